//! The table of all sub-networks of a teacher.

use super::KIND;
use super::outcome::{Failed, Row, TableOutcome};
use crate::error::TrialError;
use crate::machine;
use crate::poison::prepare_first;
use crate::rcnas::networks::{Bench, NUMBERS, Set, Trained};
use crate::scene::Scene;
use serde_json::json;
use std::rc::Rc;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::learner::{TableConfig, attacks, task};
use tox_rcnas::space::Space;
use tox_robust::attack::Attack;
use tox_robust::ball::Ball;
use tox_robust::threat::EvasionThreat;
use tox_study::spec::TrialSpec;
use tox_study::steps::Steps;
use tox_study::trial::{Finished, TrialContext, load};

/// Names of the steps.
const NETWORK: &str = "network";
const ROW: &str = "row";

/// Trains and attacks every sub-network.
pub fn run(
    spec: &TrialSpec,
    config: &TableConfig,
    mut context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    let machine = machine(context.device, true)?;
    config.check()?;
    let mut data = load(spec, &context)?;
    config.candidate.normalise.apply(&mut data)?;
    let Some(threat) = &spec.threat.inputs else {
        return Err(TrialError::Unfit("a table needs a threat to inputs".into()));
    };
    let threat: EvasionThreat = threat.read()?;
    let mut all = vec![threat.attack.clone()];
    all.extend(attacks("attacks", &config.attacks)?);
    for attack in &all {
        attack.check(threat.ball(), data.classes)?;
    }
    let (data_hash, data_notes) = (data.hash.clone(), data.notes.clone());
    let scene = Scene::of(spec, &data, device.clone());
    let prepared = prepare_first(&scene, context.part())?;
    let set = Set {
        name: spec.data.name().to_owned(),
        data: prepared.data.clone(),
        augment: spec.data.augment.clone(),
    };
    let shapes = Space::new(&config.teacher, &config.space);
    let shapes: Vec<Shape> = shapes.iter().collect();
    let share = 1.0 / shapes.len().max(1) as f64;
    let shares = [(NETWORK, 0.7 * share), (ROW, 0.3 * share)];
    let shares = shares
        .map(|(name, share)| (name.to_owned(), share))
        .to_vec();
    let name = |attack: &Attack| {
        let attack = attack.clone();
        task::attack(&EvasionThreat {
            attack,
            ..threat.clone()
        })
        .name
    };
    let mut rows = Rows {
        bench: Bench {
            config: &config.candidate,
            seed: spec.seed,
            device,
        },
        set: &set,
        ball: threat.ball(),
        attacks: all,
        steps: Steps::new(context, json!([]), spec.seed, shares),
    };
    let teacher = rows.teacher(&config.teacher)?;
    let mut outcome = TableOutcome {
        attacks: rows.attacks.iter().map(name).collect(),
        rows: Vec::with_capacity(shapes.len()),
        failed: Vec::new(),
        poison: prepared.poison(),
        cleansed: prepared.cleansed,
    };
    for shape in &shapes {
        match rows.row(shape, teacher.as_deref())? {
            Ok(row) => outcome.rows.push(row),
            Err(reason) => outcome.failed.push(Failed {
                shape: *shape,
                cost: Some(set.cost(shape, &config.candidate)),
                reason,
            }),
        }
    }
    crate::finished(KIND, &outcome, (data_hash, data_notes), machine)
}

/// What makes rows.
struct Rows<'a, 'c> {
    bench: Bench<'a>,
    set: &'a Set,
    ball: Ball,
    attacks: Vec<Attack>,
    steps: Steps<'c>,
}

impl Rows<'_, '_> {
    /// The network that warm sub-networks begin from.
    fn teacher(&mut self, shape: &Shape) -> Result<Option<Rc<Trained>>, TrialError> {
        if !self.bench.config.warm {
            return Ok(None);
        }
        let begun = (self.bench).begin(self.set, shape, self.bench.config.of_teacher(), None)?;
        let trained = self.bench.trained(&mut self.steps, begun)?;
        let shape = Box::new(*shape);
        let trained = trained.map_err(|reason| TrialError::Teacher { shape, reason })?;
        Ok(Some(Rc::new(trained)))
    }

    /// The row of a sub-network, or why there is none. Its weights are gone afterwards.
    fn row(
        &mut self,
        shape: &Shape,
        teacher: Option<&Trained>,
    ) -> Result<Result<Row, String>, TrialError> {
        let (bench, set) = (&self.bench, self.set);
        let begun = bench.begin(set, shape, &bench.config.training, teacher)?;
        let key = json!([begun.key, self.ball, self.attacks, bench.config.images]);
        let (name, network) = (format!("{ROW}-{shape}"), format!("{NETWORK}-{shape}"));
        if let Some(row) = self.steps.kept(&name, &key)? {
            self.steps.skip(&network);
            return Ok(row);
        }
        let log = self
            .steps
            .step(&network, begun.key.clone(), |place, hooks| {
                bench.train(&begun, place, hooks)
            })?;
        let place = self.steps.place(&network);
        let trained = bench.load(begun, &place, log)?;
        let row = self
            .steps
            .step(&name, key, |_, hooks| -> Result<_, TrialError> {
                let trained = match trained {
                    Ok(trained) => trained,
                    Err(reason) => return Ok(Some(Err(reason))),
                };
                let on = (set, &set.data.valid, bench.config.images);
                let found = bench.attack(on, &trained, (self.ball, &self.attacks), hooks)?;
                Ok(found.map(|found| {
                    Ok(Row {
                        shape: *shape,
                        cost: set.cost(shape, bench.config),
                        clean: found.clean,
                        robust: found.attacks.iter().map(|attack| attack.accuracy).collect(),
                        lipschitz: bench.lipschitz(set, &trained),
                    })
                }))
            })?;
        place.remove(NUMBERS);
        Ok(row)
    }
}
