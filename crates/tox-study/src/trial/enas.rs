//! A trial of ENAS: a search, on a space that may be poisoned and screened.

use super::{Finished, TrialContext, TrialError, load, with_hooks};
use crate::record::{EnasOutcome, Outcome, ScreenedOp};
use crate::spec::{Defence, Threat, TrialSpec};
use tox_nn::Device;
use tox_poison::screen::{ScreenConfig, screen, screened};
use tox_search::enas::config::EnasConfig;
use tox_search::enas::search::{self, Inputs};
use tox_search::space::Space;

/// Runs the trial.
pub fn execute(
    spec: &TrialSpec,
    config: &EnasConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    let data = load(spec, &context)?;
    let mut space = Space::enas();
    if let Threat::SearchSpace(poison) = &spec.threat {
        space = poison.set.poison(&space, poison.q)?;
    }
    let mut dropped = Vec::new();
    if spec.defence == Defence::Screen {
        (space, dropped) = screen_space(&space, &data, spec.seed, &device)?;
    }
    config.check()?;
    let inputs = Inputs {
        data: &data,
        augment: &spec.data.augment,
        space: &space,
        config,
        seed: spec.seed,
        device,
    };
    let on_cpu = context.device == "cpu";
    let found = with_hooks(spec, context, &data.hash, |hooks| {
        search::run(&inputs, hooks)
    })?;
    let found = found.ok_or(TrialError::Stopped)?;
    let outcome = EnasOutcome {
        valid_error: found.valid_error,
        test_error: found.test_error,
        retrained_test_error: found.retrained_test_error,
        chance_error: data.chance_error(),
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
    };
    let simd = if on_cpu {
        tox_nn::kernels::instruction_set()
    } else {
        "plain"
    };
    Ok(Finished {
        outcome: Outcome::Enas(outcome),
        data_hash: data.hash,
        data_notes: data.notes,
        simd: simd.to_owned(),
    })
}

/// The space without what the screen finds poisonous, and what that was.
fn screen_space(
    space: &Space,
    data: &tox_data::Dataset,
    seed: u64,
    device: &Device,
) -> Result<(Space, Vec<ScreenedOp>), TrialError> {
    let reports = screen(space, data, &ScreenConfig::default(), seed, device)?;
    let dropped = space
        .ops
        .iter()
        .zip(&reports)
        .filter(|(_, report)| report.poisonous());
    let dropped = dropped
        .map(|(op, report)| ScreenedOp {
            op: op.op.to_string(),
            verdict: report.verdict_names(),
            reason: report.reasons(),
            poison: op.poison,
        })
        .collect();
    let space = screened(space, &reports);
    if space.ops.is_empty() {
        Err(TrialError::NothingLeft)
    } else {
        Ok((space, dropped))
    }
}
