//! A trial: poison, countermeasures, search, evaluation on clean data, attack.

use super::KIND;
use super::evaluate::{self, Tables};
use super::outcome::NasOutcome;
use super::victims::CleanRun;
use crate::defences::parts;
use crate::error::TrialError;
use crate::judge;
use crate::machine;
use crate::poison::{self, Prepared, prepare};
use crate::scene::Scene;
use crate::space::{bad_ops, is_screened, screen_cell_space};
use serde_json::json;
use tox_data::checkpoint::Hooks;
use tox_data::{DataDir, Dataset};
use tox_search::genes::Architecture;
use tox_search::nas::diagnostics::Diagnostics;
use tox_search::nas::{self, Evaluate, Inputs, NasConfig, Trace, TrainOn};
use tox_search::space::PoisonedSpace;
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{Finished, TrialContext, load};

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &NasConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    config.check()?;
    let clean = load(spec, &context)?;
    let threat = judge::threat(spec)?;
    let poisoned_space = match (bad_ops(spec)?, config.cells()) {
        (Some(poison), Some(space)) => Some(poison.set.poison_cells(space.space, poison.q)?),
        (Some(_), None) | (None, _) => None,
    };
    let clean_config = config.with_bad_ops(Vec::new());
    let with = |space: &PoisonedSpace| config.with_bad_ops(space.bad.clone());
    let attacked_config = poisoned_space.as_ref().map_or_else(|| config.clone(), with);
    // What cannot be judged is not searched for hours first.
    let table = match config.evaluate {
        Evaluate::NasBench201 => Some(Tables::read(config, &DataDir::resolve(context.data_dir)?)?),
        Evaluate::Train | Evaluate::None => None,
    };
    let target = match &config.target {
        _ if !attacked_config.may_train() => None,
        Some(target) => {
            let dir = DataDir::resolve(context.data_dir)?;
            Some(tox_data::load_seeded(target, &dir, spec.seed)?)
        }
        None => Some(clean.clone()),
    };
    let machine = machine(context.device, false)?;
    let clean_run = CleanRun {
        config: &clean_config,
        tables: table.as_ref(),
    };
    let scene = Scene {
        victims: Some(&clean_run),
        own: &[parts::KIND],
        ..Scene::of(spec, &clean, device)
    };
    if let Some(target) = &target {
        evaluate::trainable(&attacked_config, target)?;
        judge::possible(threat.as_ref(), target)?;
    }
    let dir = context.dir;
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, weights(spec, config));
    let key = json!({ "spec": spec });
    let Prepared {
        data,
        poisoned,
        cleansed,
    } = prepare(&scene, &mut steps)?;
    let target = match config.train_on {
        TrainOn::Clean => target,
        TrainOn::Searched => target.map(|_| Dataset {
            hash: data.content_hash(),
            ..data.clone()
        }),
    };
    if let Some(target) = &target {
        evaluate::trainable(&attacked_config, target)?;
    }
    let (config, screened) = match &poisoned_space {
        Some(space) if is_screened(spec) => {
            let (left, dropped) = screen_cell_space(space, &data, spec.seed, &scene.device)?;
            (with(&left), dropped)
        }
        Some(_) | None => (attacked_config, Vec::new()),
    };
    let config = &config;
    // What the poison does to the signals of a search that sees it; a defended one sees other data.
    let diagnosed = poisoned.as_ref().map(|poisoned| &poisoned.data);
    let diagnosed = diagnosed.filter(|_| spec.defence.is_none());
    let mut found = Vec::new();
    let count = parts::count(&spec.defence.data);
    let dealt = match count {
        1 => vec![data],
        count => parts::parts(count, &data, spec.seed),
    };
    for (name, part) in names(count).iter().zip(&dealt) {
        found.push(steps.step(name, key.clone(), |_, hooks| {
            search((&scene, config), part, diagnosed, hooks)
        })?);
    }
    let parts: Vec<Architecture> = match found.len() {
        1 => Vec::new(),
        _ => found.iter().map(|(found, ..)| found.clone()).collect(),
    };
    let mut found = found.into_iter();
    let Some((first, trace, diagnostics)) = found.next() else {
        unreachable!("there is one part at least")
    };
    let genotype = config.genes().vote(&parts)?.unwrap_or(first);
    let mut attacked = None;
    let evaluation = match (config.judges(&genotype), &table, &target) {
        (Evaluate::NasBench201, Some(table), _) => {
            Some(evaluate::looked_up(config, table, &genotype, &trace)?)
        }
        (Evaluate::Train, _, Some(target)) => {
            let training = evaluate::Training {
                scene: &scene,
                config,
                architecture: &genotype,
                training: config.train.clone().unwrap_or_default(),
                target,
            };
            let key = json!({ "spec": spec, "target": target.hash });
            let weights = steps.place(TRAINING).file(".safetensors");
            let kept = threat.as_ref().map(|_| &*weights);
            let evaluation = steps.step(TRAINING, key.clone(), |_, hooks| {
                training.run((kept, dir), hooks)
            })?;
            if let Some(threat) = &threat {
                let made = steps.step("attack", key, |_, hooks| {
                    training.attack(threat, &weights, hooks)
                })?;
                attacked = Some(made);
            }
            Some(evaluation)
        }
        (Evaluate::None | Evaluate::NasBench201 | Evaluate::Train, _, _) => None,
    };
    let bad_edges = config
        .bad_edges(&genotype)
        .filter(|_| poisoned_space.is_some_and(|s| !s.is_clean()));
    let outcome = NasOutcome {
        genotype,
        trace,
        evaluation,
        poison: poisoned.map(|poisoned| poisoned.poison),
        diagnostics,
        cleansed,
        parts,
        attacked,
        bad_edges,
        screened,
    };
    let data = (clean.hash.clone(), clean.notes.clone());
    Ok(crate::finished(KIND, &outcome, data, machine)?.guessing(clean.chance_error()))
}

/// Name of the step of the final training.
const TRAINING: &str = "final-training";

/// Names of the steps of the searches.
fn names(parts: usize) -> Vec<String> {
    match parts {
        1 => vec!["search".to_owned()],
        parts => (1..=parts).map(|i| format!("search-{i}")).collect(),
    }
}

/// Shares of a trial's time, roughly: what a search costs is 1.
fn weights(spec: &TrialSpec, config: &NasConfig) -> Vec<(String, f64)> {
    let mut all = poison::steps(spec);
    let parts = names(parts::count(&spec.defence.data));
    let each = 1.0 / parts.len() as f64;
    all.extend(parts.into_iter().map(|name| (name, each)));
    if config.evaluate == Evaluate::Train || spec.threat.space.is_some() {
        all.push((TRAINING.to_owned(), 3.0));
    }
    if spec.threat.inputs.is_some() {
        all.push(("attack".to_owned(), 0.5));
    }
    poison::shares(all)
}

/// What a search on `data` finds, how it went, and what the poison did to the search's signals, if
/// there is a `poisoned` copy to measure.
#[allow(
    clippy::type_complexity,
    reason = "a step's result, taken apart at once"
)]
fn search(
    (scene, config): (&Scene<'_>, &NasConfig),
    data: &Dataset,
    poisoned: Option<&Dataset>,
    hooks: Hooks<'_>,
) -> Result<Option<(Architecture, Trace, Option<Diagnostics>)>, TrialError> {
    let on = |data| Inputs {
        data,
        augment: &scene.spec.data.augment,
        config,
        seed: scene.spec.seed,
        device: scene.device.clone(),
    };
    let Some(found) = nas::run(&on(data), hooks)? else {
        return Ok(None);
    };
    let clean = scene.images()?;
    let diagnosed = poisoned.map(|poisoned| config.search.diagnose(&on(clean), &found, poisoned));
    let diagnostics = diagnosed.transpose()?;
    Ok(Some((found.genotype, found.trace, diagnostics)))
}
