//! One trial: data set -> threat -> defence -> learner -> outcome. Joins the floors below; no
//! science of its own.

use crate::record::Outcome;
use crate::spec::TrialSpec;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// What a trial needs beside its spec. Nothing here may change the outcome, except the device and
/// the number of threads.
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
    /// Instruction set that the kernels used.
    pub simd: String,
}

/// Why a trial did not end with an outcome.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Asked to stop; the checkpoint is written.
    #[error("stopped; run the same command again to go on")]
    Stopped,
}

/// Runs the trial, going on from the checkpoint in `context.dir` if there is one.
///
/// # Errors
/// See [`TrialError`].
pub fn execute(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, TrialError> {
    let _ = (spec, context);
    Err(TrialError::Stopped) // replaced on the branch that joins the learner
}
