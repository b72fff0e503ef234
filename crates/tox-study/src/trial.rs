//! One trial: data set -> threat -> defence -> learner -> outcome. Joins the floors below; no
//! science of its own.

use crate::plan::trial_id;
use crate::record::{Outcome, ScreenedOp};
use crate::spec::{Defence, Learner, Threat, TrialSpec};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tox_data::checkpoint::{CheckpointError, Hooks};
use tox_data::{DataDir, DataError};
use tox_nn::Device;
use tox_nn::device::DeviceError;
use tox_poison::screen::{ScreenConfig, ScreenError, screen, screened};
use tox_poison::space::QError;
use tox_search::enas::config::ConfigError;
use tox_search::enas::search::{self, Inputs};
use tox_search::space::Space;

/// What a trial needs beside its spec. Nothing here may change the outcome, except the device.
pub struct TrialContext<'a> {
    /// The trial's folder: its checkpoint lives here.
    pub dir: &'a Path,
    /// `--data-dir`, when given.
    pub data_dir: Option<&'a Path>,
    /// `cpu`, `vulkan:0`, `cuda:0`.
    pub device: &'a str,
    /// Threads that the trial may use.
    pub threads: usize,
    /// Set when the trial should write a checkpoint and end with [`TrialError::Stopped`].
    pub stop: &'a AtomicBool,
    /// Called now and then with how far the trial is.
    pub progress: &'a mut dyn FnMut(Progress),
}

/// How far a trial is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Share of the work that is done, 0 to 1.
    pub done: f64,
    /// What is going on, such as `epoch 3/20, validation error 41.2 %`.
    pub message: String,
}

/// A finished trial.
pub struct Finished {
    /// What was measured.
    pub outcome: Outcome,
    /// Content hash of the data as used.
    pub data_hash: String,
    /// What is unusual about this copy of the data.
    pub data_notes: Vec<String>,
    /// Instruction set that the kernels used, or `plain`.
    pub simd: String,
}

/// Why a trial did not end with an outcome.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Asked to stop; the checkpoint is written.
    #[error("stopped; run the same command again to go on")]
    Stopped,
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A number of the learner is out of range.
    #[error("the trial's learner: {0}; correct the recipe")]
    Config(#[from] ConfigError),
    /// The threat's multiplicity is out of range.
    #[error("the trial's threat: {0}; correct the recipe")]
    Threat(#[from] QError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The space cannot be screened on this data.
    #[error(transparent)]
    Screen(#[from] ScreenError),
    /// Every op was found poisonous.
    #[error(
        "the screen found every op of the search space poisonous, so nothing is left to search; \
         run `toxscreen screen` on the space, or leave `defence` out"
    )]
    NothingLeft,
}

/// Runs the trial, going on from the checkpoint in `context.dir` if there is one.
///
/// # Errors
/// See [`TrialError`].
pub fn execute(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, TrialError> {
    let device = tox_nn::device::parse(context.device)?;
    let threads = context.threads;
    // Burn's own ops ask for rayon's global pool, so ours is that one. A second trial in one
    // process (tests) finds it built; results do not depend on the number of threads.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    let data = tox_data::load(&spec.data, &DataDir::resolve(context.data_dir)?)?;
    // One class cannot be told wrong; one image has no batch statistics.
    for (key, found, expected) in [
        ("dataset (classes)", data.classes, "at least 2 classes"),
        ("train", data.train.len(), "at least 2 images"),
        ("valid", data.valid.len(), "at least 2 images"),
    ] {
        if found < 2 {
            let (name, expected) = (data.name, expected.to_owned());
            return Err(DataError::Spec {
                name,
                key,
                found,
                expected,
            }
            .into());
        }
    }
    let clean = Space::enas();
    let mut space = match &spec.threat {
        Threat::None => clean,
        Threat::SearchSpace(poison) => poison.set.poison(&clean, poison.q)?,
    };
    let mut dropped = Vec::new();
    if spec.defence == Defence::Screen {
        (space, dropped) = screen_space(&space, &data, spec.seed, &device)?;
    }
    let Learner::Enas(config) = &spec.learner;
    config.check()?;
    let inputs = Inputs {
        data: &data,
        augment: &spec.data.augment,
        space: &space,
        config,
        seed: spec.seed,
        device,
    };
    let progress = context.progress;
    // A checkpoint goes on only where everything that the outcome depends on is as it was.
    let key = format!(
        "trial {}, data {}, device {}, toxscreen {}",
        trial_id(spec),
        data.hash,
        context.device,
        env!("CARGO_PKG_VERSION")
    );
    let hooks = Hooks {
        key: &key,
        checkpoint: &context.dir.join("checkpoint.safetensors"),
        save_every: checkpoint_interval(),
        stop: &mut || context.stop.load(Ordering::SeqCst),
        progress: &mut |done, message| {
            progress(Progress {
                done,
                message: message.to_owned(),
            })
        },
    };
    let found = search::run(&inputs, hooks)?.ok_or(TrialError::Stopped)?;
    let outcome = Outcome {
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
    let kernels = tox_nn::kernels::wanted() && context.device == "cpu";
    let simd = if kernels {
        tox_nn::kernels::instruction_set()
    } else {
        "plain"
    };
    Ok(Finished {
        outcome,
        data_hash: data.hash,
        data_notes: data.notes,
        simd: simd.to_owned(),
    })
}

/// `TOXSCREEN_CHECKPOINT_SECONDS`, or 30 s: how much work a kill -9 may cost.
fn checkpoint_interval() -> Duration {
    let given = std::env::var("TOXSCREEN_CHECKPOINT_SECONDS").ok();
    let seconds = given
        .and_then(|s| s.parse::<f64>().ok())
        .filter(|s| (0.0..1e6).contains(s));
    Duration::from_secs_f64(seconds.unwrap_or(30.0))
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
