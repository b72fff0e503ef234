//! A trial of a search on data that may be poisoned: poison, countermeasure, search, evaluation on
//! clean data.

mod defence;
mod evaluate;
mod poison;

use super::steps::{Steps, data_key};
use super::{Finished, TrialContext, TrialError, load, unchanged};
use crate::record::{NasOutcome, Outcome};
use crate::spec::{Defence, Threat, TrialSpec};
use defence::defend;
use serde_json::json;
use tox_data::checkpoint::Hooks;
use tox_data::{DataDir, Dataset};
use tox_nn::Device;
use tox_search::genes::Architecture;
use tox_search::nas::diagnostics::{Diagnostics, Pair, diagnose};
use tox_search::nas::{self, Evaluate, Inputs, NasConfig, Trace};
use tox_search::table::{FILE, Table};

/// What every part of a trial needs.
struct Scene<'a> {
    spec: &'a TrialSpec,
    config: &'a NasConfig,
    /// The data without poison.
    clean: &'a Dataset,
    device: Device,
}

/// What judges the found architecture.
#[allow(clippy::large_enum_variant, reason = "a trial has one")]
enum Judge {
    Nobody,
    Table(Table),
    /// The clean data that it is trained on.
    Training(Dataset),
}

/// Runs the trial.
pub fn execute(
    spec: &TrialSpec,
    config: &NasConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    config.check()?;
    let clean = load(spec, &context)?;
    // What cannot be judged is not searched for hours first.
    let judge = match config.evaluate {
        Evaluate::NasBench201 => {
            let dir = DataDir::resolve(context.data_dir)?;
            let path = dir.path().join(FILE);
            let table = Table::read(&path)?;
            unchanged(
                &path.display().to_string(),
                config.table_hash.as_ref(),
                table.hash(),
            )?;
            table.values(config.column)?;
            table.values(evaluate::select(config.column))?;
            Judge::Table(table)
        }
        Evaluate::Train => Judge::Training(match &config.target {
            Some(target) => {
                let dir = DataDir::resolve(context.data_dir)?;
                tox_data::load_seeded(target, &dir, spec.seed)?
            }
            None => clean.clone(),
        }),
        Evaluate::None => Judge::Nobody,
    };
    let on_cpu = context.device == "cpu";
    let scene = Scene {
        spec,
        config,
        clean: &clean,
        device,
    };
    if let Judge::Training(target) = &judge {
        evaluate::trainable(&scene, target)?;
    }
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, weights(spec, config));
    let key = json!({ "spec": spec });
    let poisoned = poison::poison(&scene, &mut steps)?;
    let (defended, cleansed) = match &spec.defence {
        Defence::Cleanse(countermeasure) => {
            let cleaned = defend(&scene, countermeasure, poisoned.as_ref(), &mut steps)?;
            (Some(cleaned.0), Some(cleaned.1))
        }
        Defence::None | Defence::Screen | Defence::Parts(_) => (None, None),
    };
    let given = poisoned.as_ref().map(|poisoned| &poisoned.data);
    let data = defended.as_ref().or(given).unwrap_or(&clean);
    let mut found = Vec::new();
    for (name, part) in defence::parts(&spec.defence, data, spec.seed) {
        // What the poison does to the signals of a search that sees it; a defended one sees other data.
        let plain = spec.defence == Defence::None;
        let diagnosed = given.filter(|_| plain);
        let part = part.as_ref().unwrap_or(data);
        found.push(steps.step(&name, key.clone(), |_, hooks| {
            search(&scene, part, diagnosed, hooks)
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
    let evaluation = match &judge {
        Judge::Nobody => None,
        Judge::Table(table) => Some(evaluate::looked_up(&scene, table, &genotype, &trace)?),
        Judge::Training(target) => {
            let key = json!({ "spec": spec, "target": target.hash });
            Some(steps.step("final-training", key, |_, hooks| {
                evaluate::trained(&scene, target, &genotype, hooks)
            })?)
        }
    };
    let outcome = NasOutcome {
        genotype,
        trace,
        evaluation,
        poison: poisoned.map(|poisoned| poisoned.poison),
        diagnostics,
        cleansed,
        parts,
    };
    let simd = match on_cpu {
        true => tox_nn::kernels::instruction_set(),
        false => "plain",
    };
    Ok(Finished {
        outcome: Outcome::Nas(outcome),
        data_hash: clean.hash.clone(),
        data_notes: clean.notes.clone(),
        simd: simd.to_owned(),
    })
}

/// Shares of a trial's time, roughly: what a search costs is 1.
fn weights(spec: &TrialSpec, config: &NasConfig) -> Vec<(String, f64)> {
    let threat = match spec.threat {
        Threat::Clf(_) => vec![("classifier", 1.0)],
        Threat::Gc(_) => vec![("clean-search", 1.0), ("victim", 0.5), ("gc", 1.0)],
        _ => Vec::new(),
    };
    let threat = threat.into_iter();
    let mut weights: Vec<_> = threat.map(|(name, w)| (name.to_owned(), w)).collect();
    if let Defence::Cleanse(_) = spec.defence {
        weights.push(("countermeasure".to_owned(), 0.5));
    }
    let parts = defence::names(&spec.defence);
    let each = 1.0 / parts.len() as f64;
    weights.extend(parts.into_iter().map(|name| (name, each)));
    if config.evaluate == Evaluate::Train {
        weights.push(("final-training".to_owned(), 3.0));
    }
    let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= all);
    weights
}

/// What a search on `data` finds, how it went, and what the poison did to the search's signals, if
/// there is a `poisoned` copy to measure.
#[allow(
    clippy::type_complexity,
    reason = "a step's result, taken apart at once"
)]
fn search(
    scene: &Scene<'_>,
    data: &Dataset,
    poisoned: Option<&Dataset>,
    hooks: Hooks<'_>,
) -> Result<Option<(Architecture, Trace, Option<Diagnostics>)>, TrialError> {
    let (config, seed) = (scene.config, scene.spec.seed);
    let augment = &scene.spec.data.augment;
    let inputs = Inputs {
        data,
        augment,
        config,
        seed,
        device: scene.device.clone(),
    };
    let Some(found) = nas::run(&inputs, hooks)? else {
        return Ok(None);
    };
    let diagnostics = match poisoned {
        Some(poisoned) => {
            let pair = Pair {
                clean: scene.clean,
                poisoned,
                augment,
            };
            let diagnosed = diagnose(config, &found, pair, seed, &scene.device);
            Some(diagnosed?)
        }
        None => None,
    };
    Ok(Some((found.genotype, found.trace, diagnostics)))
}
