//! A trial of ENAS: a search, on a space that may be poisoned and screened.

use super::KIND;
use super::model;
use super::outcome::EnasOutcome;
use crate::error::TrialError;
use crate::judge;
use crate::machine;
use crate::network::architectures::{Arch, Classifier, Found, Images};
use crate::poison::{self, prepare};
use crate::scene::Scene;
use crate::space::{bad_ops, is_read, is_screened, screen_space};
use serde_json::json;
use tox_nn::kernels::conv::FEWEST_OF_WINOGRAD;
use tox_search::enas::config::{Conv, EnasConfig, NanPolicy};
use tox_search::enas::search::{self, Inputs};
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{Finished, TrialContext, load};

/// Whether some convolutions are done with fewer products than the direct way.
fn fewer_products(config: &EnasConfig) -> bool {
    config.child.conv == Conv::Winograd && config.child.channels >= FEWEST_OF_WINOGRAD
}

/// Whether a weight that becomes NaN stays so, which ends the search.
pub fn rests_on_nan(config: &EnasConfig) -> bool {
    match config.child.nan_policy {
        NanPolicy::Torch | NanPolicy::Torch19 => true,
        NanPolicy::Guarded => false,
    }
}

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &EnasConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let opened = tox_nn::device::open(context.device)?;
    if rests_on_nan(config) {
        opened.keeps_nan(context.device)?;
    }
    let device = opened.device;
    let clean = load(spec, &context)?;
    let threat = judge::threat(spec)?;
    judge::possible(threat.as_ref(), &clean)?;
    if let Some(own) = &config.space {
        is_read("learner.space", own)?;
    }
    let mut space = config.clean_space();
    if let Some(poison) = bad_ops(spec)? {
        space = poison.set.poison(&space, poison.q)?;
    }
    config.check()?;
    let machine = machine(context.device, fewer_products(config))?;
    let scene = Scene::of(spec, &clean, device.clone());
    let dir = context.dir;
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, weights(spec));
    let prepared = prepare(&scene, &mut steps)?;
    let data = &prepared.data;
    let mut dropped = Vec::new();
    if is_screened(spec) {
        (space, dropped) = screen_space(&space, data, spec.seed, &device)?;
    }
    let inputs = Inputs {
        data,
        // What is found is judged by clean images alone, whatever the search saw.
        retrain: &clean,
        augment: &spec.data.augment,
        space: &space,
        config,
        seed: spec.seed,
        device: device.clone(),
    };
    let key = json!({ "spec": spec });
    let found = steps.again("search", key.clone(), |hooks| -> Result<_, TrialError> {
        Ok(search::run(&inputs, hooks)?)
    })?;
    let network = found.network.as_ref();
    let network = network.map(|network| model::network(network, &clean, &device));
    if let Some(network) = &network {
        let arch = Arch::child(&found.genotype, config.child.skips);
        Found::on(arch, &clean).keep(&network.state(), dir)?;
    }
    let attacked = match (&threat, &network) {
        (Some(threat), Some(network)) => {
            let made = steps.step("attack", key, |_, hooks| {
                let [_, c, h, w] = clean.test.images.shape;
                let images = Images {
                    shape: [c, h, w],
                    classes: clean.classes,
                };
                let oracle = network.oracle(&clean.normalise, images, device);
                judge::attack((spec, threat), &*oracle, &clean, hooks)
            })?;
            Some(made)
        }
        _ => None,
    };
    let outcome = EnasOutcome {
        valid_error: found.valid_error,
        test_error: found.test_error,
        retrained_test_error: found.retrained_test_error,
        chance_error: clean.chance_error(),
        first_nonfinite_step: found.faults.first_nonfinite_step,
        first_nan_weight_step: found.faults.first_nan_weight_step,
        nonfinite_steps: found.faults.nonfinite_steps,
        retrain_first_nonfinite_step: found.retrain_faults.first_nonfinite_step,
        steps: found.steps,
        epochs: found.epochs,
        genotype: found.genotype,
        bad_ops: found.bad_ops,
        parameters: found.parameters,
        screened: dropped,
        poison: prepared.poison(),
        cleansed: prepared.cleansed,
        attacked,
    };
    let chance = clean.chance_error();
    Ok(crate::finished(KIND, &outcome, (clean.hash, clean.notes), machine)?.guessing(chance))
}

/// Shares of a trial's time, roughly: what a search costs is 1.
fn weights(spec: &TrialSpec) -> Vec<(String, f64)> {
    let mut all = poison::steps(spec);
    all.push(("search".to_owned(), 1.0));
    if spec.threat.inputs.is_some() {
        all.push(("attack".to_owned(), 0.5));
    }
    poison::shares(all)
}
