//! A trial of a search on data that may be poisoned: poison, search, evaluation on clean data.

mod evaluate;
mod poison;
mod steps;

use super::{Finished, TrialContext, TrialError, load};
use crate::record::{NasOutcome, Outcome};
use crate::spec::{Threat, TrialSpec};
use serde_json::json;
use steps::Steps;
use tox_data::checkpoint::Hooks;
use tox_data::{DataDir, Dataset};
use tox_nn::Device;
use tox_search::nas::diagnostics::{Diagnostics, Pair, diagnose};
use tox_search::nas::{self, Evaluate, Inputs, NasConfig, Trace};
use tox_search::space::cells::CellGenotype;
use tox_search::table::{FILE, Table};

/// What every part of a trial needs.
struct Scene<'a> {
    spec: &'a TrialSpec,
    config: &'a NasConfig,
    /// The data without poison.
    clean: &'a Dataset,
    device: Device,
}

/// Runs the trial.
pub fn execute(
    spec: &TrialSpec,
    config: &NasConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    config.check()?;
    // What cannot be evaluated is not searched for hours first.
    let table = match config.evaluate {
        Evaluate::NasBench201 => {
            let dir = DataDir::resolve(context.data_dir)?;
            let table = Table::read(&dir.path().join(FILE))?;
            table.values(config.column)?;
            Some(table)
        }
        Evaluate::None => None,
    };
    let clean = load(spec, &context)?;
    let on_cpu = context.device == "cpu";
    let scene = Scene {
        spec,
        config,
        clean: &clean,
        device,
    };
    let mut steps = Steps::new(context, &clean.hash, spec.seed, weights(spec));
    let poisoned = poison::poison(&scene, &mut steps)?;
    let data = poisoned.as_ref().map(|(data, _)| data);
    let (genotype, trace, diagnostics) =
        steps.step("search", json!({ "spec": spec }), |_, hooks| {
            search(&scene, data, hooks)
        })?;
    let evaluation = match &table {
        Some(table) => Some(evaluate::looked_up(&scene, table, &genotype, &trace)?),
        None => None,
    };
    let outcome = NasOutcome {
        genotype,
        trace,
        evaluation,
        poison: poisoned.map(|(_, poison)| poison),
        diagnostics,
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
fn weights(spec: &TrialSpec) -> Vec<(&'static str, f64)> {
    let mut weights = match spec.threat {
        Threat::Clf(_) => vec![("classifier", 1.0)],
        Threat::Gc(_) => vec![("clean-search", 1.0), ("victim", 0.5), ("gc", 1.0)],
        _ => Vec::new(),
    };
    weights.push(("search", 1.0));
    let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= all);
    weights
}

/// What a search on `poisoned`, or else on the clean data, finds, how it went, and what the poison did
/// to the search's signals.
#[allow(
    clippy::type_complexity,
    reason = "a step's result, taken apart at once"
)]
fn search(
    scene: &Scene<'_>,
    poisoned: Option<&Dataset>,
    hooks: Hooks<'_>,
) -> Result<Option<(CellGenotype, Trace, Option<Diagnostics>)>, TrialError> {
    let (config, seed) = (scene.config, scene.spec.seed);
    let augment = &scene.spec.data.augment;
    let inputs = Inputs {
        data: poisoned.unwrap_or(scene.clean),
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
