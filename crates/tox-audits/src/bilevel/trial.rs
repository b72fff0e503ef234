//! A trial: poison, countermeasures, Algorithm 2, attack.

use super::model::Mlp;
use super::outcome::Outcome;
use super::{Bilevel, KIND};
use crate::error::TrialError;
use crate::judge;
use crate::poison::{self, Prepared, prepare_any};
use crate::scene::{Reach, Scene};
use crate::target;
use crate::threats;
use serde_json::json;
use tox_bilevel::audit::{self, AuditError, Inputs};
use tox_bilevel::config::{BilevelAttack, BilevelConfig};
use tox_bilevel::sets::Sets;
use tox_data::{Data, isa};
use tox_study::house::Learner;
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{Finished, Machine, TrialContext, load, load_any};

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &BilevelConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let clean = match Bilevel.takes_table(&spec.data) {
        true => load_any(spec, &context)?,
        false => Data::Images(load(spec, &context)?),
    };
    let threat = judge::threat(spec)?;
    // Inputs of a table are not perturbed.
    if let Some(images) = clean.as_ref().images() {
        judge::possible(threat.as_ref(), images)?;
    }
    let own = spec.threat.data.as_ref();
    let own = own.filter(|t| t.kind == threats::bilevel::KIND);
    let attack: Option<BilevelAttack> = own.map(|t| t.read()).transpose()?;
    let device = tox_nn::device::parse(context.device)?;
    let scene = Scene {
        // The learner trusts its validation points.
        reach: Reach::Train,
        own: &[threats::bilevel::KIND],
        ..Scene::of(spec, clean.as_ref(), device)
    };
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, weights(spec));
    let Prepared {
        data,
        poisoned,
        cleansed,
    } = prepare_any(&scene, &mut steps)?;
    let sets = match &data {
        Data::Images(data) => Sets::of(data, config.range),
        Data::Table(data) => Sets::of_table(data, config.range),
    };
    let mut sets = sets.map_err(AuditError::from)?;
    if let Some(target) = attack.as_ref().and_then(|attack| attack.target.as_ref()) {
        sets.target = Some(target::of_data(target, &data, config.range)?);
    }
    let inputs = Inputs {
        sets: &sets,
        config,
        attack: attack.as_ref(),
        seed: spec.seed,
    };
    let key = json!({ "spec": spec });
    let finished = steps.again("learning", key.clone(), |hooks| -> Result<_, TrialError> {
        Ok(audit::run(&inputs, hooks)?)
    })?;
    let attacked = match &threat {
        Some(threat) => {
            let images = scene.images()?;
            let made = steps.step("attack", key, |_, hooks| {
                let model = Mlp::last(&inputs, &finished, images)?;
                judge::attack((spec, threat), &model, images, hooks)
            })?;
            Some(made)
        }
        None => None,
    };
    let outcome = Outcome {
        learned: finished.outcome,
        poison: poisoned.map(|poisoned| poisoned.poison),
        cleansed,
        attacked,
    };
    let clean = clean.as_ref();
    let data = (clean.hash().to_owned(), clean.notes().to_vec());
    let machine = Machine::cpu(instruction_set());
    Ok(crate::finished(KIND, &outcome, data, machine)?.guessing(clean.chance_error()))
}

/// Shares of a trial's time, roughly: what learning costs is 1.
fn weights(spec: &TrialSpec) -> Vec<(String, f64)> {
    let mut all = poison::steps(spec);
    all.push(("learning".to_owned(), 1.0));
    if spec.threat.inputs.is_some() {
        all.push(("attack".to_owned(), 0.2));
    }
    poison::shares(all)
}

/// What decides the last digits: 8-bit rows are integers to one instruction set alone. There is nothing
/// plain about this learner.
pub fn instruction_set() -> String {
    match isa::integers() {
        true => format!("{} with vnni", isa::name()),
        false => isa::name().to_owned(),
    }
}
