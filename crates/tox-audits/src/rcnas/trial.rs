//! The search of a trial.

use super::KIND;
use super::environment::Training;
use super::judge::judge;
use super::networks::{Bench, Set};
use super::outcome::{CompressOutcome, Looked};
use crate::error::TrialError;
use crate::machine;
use crate::poison::prepare_first;
use crate::scene::Scene;
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use tox_data::hashed::{HashedFile, same};
use tox_data::{DataDir, Normalise};
use tox_nn::nets::file::WeightsFile;
use tox_rcnas::cache::Cache;
use tox_rcnas::learner::task::{attack, data};
use tox_rcnas::learner::{CompressConfig, Part as Unseen, attacks};
use tox_rcnas::outcome::Outcome as Search;
use tox_rcnas::space::Space;
use tox_rcnas::table::{Table, TableEnvironment};
use tox_rcnas::{Buffers, Environment, HeldOut, Method, Task, TaskAttack};
use tox_rcnas::{Inputs, run as search};
use tox_report::stats::spearman;
use tox_robust::attacks::Fgsm;
use tox_robust::ball::Norm;
use tox_robust::evaluation::EvaluationError;
use tox_robust::threat::EvasionThreat;
use tox_study::part::Part;
use tox_study::spec::TrialSpec;
use tox_study::steps::{StepError, Steps};
use tox_study::trial::{Finished, Progress, TrialContext, load};

/// Share of a trial's time that the search takes where its result is judged.
const SEARCH: f64 = 0.8;

/// Runs a compression.
pub fn run(
    spec: &TrialSpec,
    config: &CompressConfig,
    mut context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    config.check()?;
    let device = tox_nn::device::parse(context.device)?;
    let mut clean = load(spec, &context)?;
    config.candidate.normalise.apply(&mut clean)?;
    let threat: Option<EvasionThreat> = spec.threat.inputs.as_ref().map(Part::read).transpose()?;
    let threat = threat.as_ref();
    let threats = threats(config, threat);
    for (_, threat) in &threats {
        if let Some(threat) = threat {
            threat.check(clean.classes)?;
        }
    }
    // What the end would be refused by, before anything is trained.
    if let Some(judge) = &config.judge {
        let threat = threat.map_or_else(|| EvasionThreat::new(Fgsm {}.into()), Clone::clone);
        for attack in attacks("judge.attacks", &judge.attacks)? {
            attack.check(threat.ball(), clean.classes)?;
        }
        if clean.test.is_empty() {
            return Err(EvaluationError::NoImages.into());
        }
    }
    let whole = config.table.as_ref().map(looked_up).transpose()?;
    let table = whole.as_ref().map(|table| Trainings::of(table, config));
    let table = table.transpose()?;
    if let Some(file) = &config.weights {
        file.unchanged()?;
    }
    let scene = Scene::of(spec, &clean, device.clone());
    let prepared = prepare_first(&scene, context.part())?;
    let (data_hash, mut data_notes) = (clean.hash.clone(), clean.notes.clone());
    data_notes.extend(clean.first(&clean.valid, config.candidate.images)?);
    if let Some(judge) = &config.judge {
        data_notes.extend(clean.first(&clean.test, judge.images)?);
    }
    if let Some(file) = &config.weights {
        data_notes.extend(unused(file, &clean.normalise)?);
    }
    let mut sets = vec![Set {
        name: spec.data.name().to_owned(),
        data: prepared.data.clone(),
        augment: spec.data.augment.clone(),
    }];
    if config.search.method == Method::RcNas {
        let dir = DataDir::resolve(context.data_dir)?;
        for other in &config.meta.data {
            let mut data = tox_data::load_seeded(other, &dir, spec.seed)?;
            config.candidate.normalise.apply(&mut data)?;
            // Two files of one name are told apart by their folders.
            let taken = sets.iter().any(|set: &Set| set.name == other.name());
            let name = if taken { &other.dataset } else { other.name() };
            sets.push(Set {
                name: name.to_owned(),
                data,
                augment: other.augment.clone(),
            });
        }
    }
    let target = Task {
        data: data(&sets[0].name, &sets[0].data),
        attack: known(threat),
        teacher: config.teacher,
        budget: config.budget,
    };
    let tasks = buffers(config, &target, &sets);
    let inputs = Inputs {
        config: &config.search,
        tasks: &tasks,
        target: &target,
        seed: spec.seed,
    };
    let TrialContext { dir, progress, .. } = context;
    let share = if config.judge.is_some() { SEARCH } else { 1.0 };
    // What the search says about itself is said with every step of a training.
    let told = RefCell::new((0.0, String::new()));
    let outer = RefCell::new(progress);
    let tell = |done: f64, message: &str| {
        *told.borrow_mut() = (done, message.to_owned());
        let message = message.to_owned();
        (outer.borrow_mut())(Progress {
            done: share * done,
            message,
        });
    };
    let mut inner = |step: Progress| {
        let (done, search) = &*told.borrow();
        let message = match search.is_empty() {
            true => step.message,
            false => format!("{search}; {}", step.message),
        };
        let done = share * done + (1.0 - share) * step.done;
        (outer.borrow_mut())(Progress { done, message });
    };
    let machine = machine(context.device, true)?;
    let context = TrialContext {
        progress: &mut inner,
        ..context
    };
    let mut training = Training {
        bench: Bench {
            config: &config.candidate,
            seed: spec.seed,
            device,
        },
        sets: &sets,
        threats,
        given: config.weights.clone().map(|file| (config.teacher, file)),
        // Teacher and result are judged at equal shares of what the search leaves.
        steps: Steps::new(
            context,
            json!([]),
            spec.seed,
            vec![("judge".to_owned(), 0.5)],
        ),
        teachers: Vec::new(),
    };
    let mut lookup = table.as_ref().map(|table| {
        let lookup = TableEnvironment::new(&table.target, spec.seed);
        match &table.meta {
            Some(meta) => lookup.apart(meta, &target),
            None => lookup,
        }
    });
    let environment: &mut dyn Environment = match &mut lookup {
        Some(lookup) => lookup,
        None => &mut training,
    };
    // Networks and measurements are kept by the steps: a trial that goes on repeats the search on them.
    let mut cache = Cache::default();
    let found = search(&inputs, environment, &mut cache, &mut |done, message| {
        tell(done, message);
    })?;
    let search = found.ok_or(TrialError::Step(StepError::Stopped))?;
    tell(1.0, "");
    let table = match (&table, &whole) {
        (Some(table), Some(whole)) => Some(compared(&table.target, whole, config, &search)?),
        _ => None,
    };
    let judged = match (&config.judge, search.found()) {
        (Some(config), Some(found)) => {
            let found = found.shape;
            judge(
                &mut training,
                config,
                (&target.teacher, &found),
                threat,
                dir,
            )?
        }
        _ => Vec::new(),
    };
    let outcome = CompressOutcome {
        search,
        table,
        judged,
        poison: prepared.poison(),
        cleansed: prepared.cleansed,
    };
    crate::finished(KIND, &outcome, (data_hash, data_notes), machine)
}

/// The attack of the target as the agent knows it; without one, robust accuracy is that on images as
/// they are.
fn known(threat: Option<&EvasionThreat>) -> TaskAttack {
    threat.map_or_else(
        || TaskAttack {
            name: "none".to_owned(),
            norm: Norm::Linf,
            epsilon: 0.0,
            steps: 1,
            members: 1,
            black_box: false,
        },
        attack,
    )
}

/// All attacks by name.
fn threats(
    config: &CompressConfig,
    target: Option<&EvasionThreat>,
) -> Vec<(String, Option<EvasionThreat>)> {
    let others = config.meta.attacks.iter().map(Some);
    let all = [target].into_iter().chain(others);
    all.map(|threat| (known(threat).name, threat.cloned()))
        .collect()
}

/// What meta-training draws from: the target's parts, but for those that it must not see, and others.
fn buffers(config: &CompressConfig, target: &Task, sets: &[Set]) -> Buffers {
    fn add<T: PartialEq>(to: &mut Vec<T>, from: impl IntoIterator<Item = T>) {
        for item in from {
            if !to.contains(&item) {
                to.push(item);
            }
        }
    }
    let mut buffers = Buffers {
        data: vec![target.data.clone()],
        attacks: vec![target.attack.clone()],
        teachers: vec![target.teacher],
        budgets: vec![target.budget],
        held_out: HeldOut::default(),
    };
    add(
        &mut buffers.data,
        sets.iter().map(|set| data(&set.name, &set.data)),
    );
    add(&mut buffers.attacks, config.meta.attacks.iter().map(attack));
    add(&mut buffers.teachers, config.meta.teachers.iter().copied());
    add(&mut buffers.budgets, config.meta.budgets.iter().copied());
    for part in &config.unseen {
        match part {
            Unseen::Data => buffers.held_out.data.push(target.data.name.clone()),
            Unseen::Attack => buffers.held_out.attacks.push(target.attack.name.clone()),
            Unseen::Teacher => buffers.held_out.teachers.push(target.teacher.to_string()),
        }
    }
    buffers
}

/// What a search found, beside all that the table has within the budget.
fn compared(
    table: &Table,
    whole: &Table,
    config: &CompressConfig,
    search: &Search,
) -> Result<Looked, TrialError> {
    let (data, attack) = (&search.target.data.name, &search.target.attack.name);
    let space = Space::new(&config.teacher, &config.search.space);
    table.complete(data, &space)?;
    let mut within = Vec::new();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (shape, [a, b]) in whole.twice(data, attack)? {
        if whole.cost(data, shape)?.macs <= search.budget {
            first.push(a);
            second.push(b);
        }
    }
    for shape in space.iter() {
        if table.cost(data, &shape)?.macs <= search.budget {
            within.extend(table.robust(data, attack, &shape)?);
        }
    }
    let found = match search.found() {
        Some(found) => table.robust(data, attack, &found.shape)?,
        None => None,
    };
    Ok(Looked {
        hash: table.hash().to_owned(),
        within: within.len(),
        best: within.iter().copied().fold(0.0, f64::max),
        mean: within.iter().sum::<f64>() / within.len().max(1) as f64,
        found,
        retest: spearman(&first, &second),
    })
}

/// The trainings of a table that the search looks up, and those of meta-training if these are others.
struct Trainings<'a> {
    target: Cow<'a, Table>,
    meta: Option<Table>,
}

impl<'a> Trainings<'a> {
    fn of(table: &'a Table, config: &CompressConfig) -> Result<Self, TrialError> {
        let meta = &config.meta.trainings;
        Ok(match meta.is_empty() {
            true => Self {
                target: Cow::Borrowed(table),
                meta: None,
            },
            false => Self {
                target: Cow::Owned(table.trainings(|seed| !meta.contains(&seed))?),
                meta: Some(table.trainings(|seed| meta.contains(&seed))?),
            },
        })
    }
}

/// What the weights say of a normalisation that is not the trial's.
fn unused(file: &HashedFile, normalise: &Normalise) -> Result<Option<String>, TrialError> {
    let Some(own) = WeightsFile::read(Path::new(&file.path))?.normalise else {
        return Ok(None);
    };
    let same = |ours: &[f32], theirs: &[f32]| {
        let theirs = theirs.iter().cycle();
        ours.iter().zip(theirs).all(|(a, b)| a == b)
    };
    let used = same(&normalise.mean, &own.mean) && same(&normalise.std, &own.std);
    Ok((!used).then(|| {
        let [mean, std] = &own.names;
        format!(
            "the teacher’s weights have a normalisation of their own (`{mean}` {:?}, `{std}` {:?}), which was \
             not used: `candidate.normalise` is another",
            own.mean, own.std
        )
    }))
}

fn looked_up(file: &HashedFile) -> Result<Table, TrialError> {
    let table = Table::read(Path::new(&file.path))?;
    same(&file.path, file.hash.as_ref(), table.hash())?;
    Ok(table)
}
