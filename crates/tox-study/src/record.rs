//! What one trial measured. Reports read nothing else.

use crate::spec::TrialSpec;
use serde::{Deserialize, Serialize};
use tox_search::genotype::Genotype;

/// One trial's measurements: `outcome` is deterministic, the rest says where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this structure.
    pub version: u32,
    /// Id of the trial: the hash of `spec`.
    pub trial: String,
    /// The resolved spec.
    pub spec: TrialSpec,
    /// What was measured.
    pub outcome: Outcome,
    /// Where and with what.
    pub provenance: Provenance,
    /// How long it took; differs from run to run.
    pub timing: Timing,
    /// blake3 of the record without this field, so that a changed byte is noticed.
    pub digest: String,
}

/// What a trial measured. Errors are in percent. A number that is not finite is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Full validation error of the best of the final candidates, shared weights.
    pub valid_error: f64,
    /// Its test error, shared weights.
    pub test_error: f64,
    /// Test error after training the genotype from scratch on clean weights; `None` if skipped.
    pub retrained_test_error: Option<f64>,
    /// Error of always answering the most frequent class of the test set.
    pub chance_error: f64,
    /// Child step (from 0) whose gradient norm was the first that is not finite.
    pub first_nonfinite_step: Option<u64>,
    /// Child step after which the first weight was not finite (policy `torch` only).
    pub first_nan_weight_step: Option<u64>,
    /// Child steps whose gradient norm was not finite. `guarded` skipped them.
    pub nonfinite_steps: u64,
    /// The same two for the retraining.
    pub retrain_first_nonfinite_step: Option<u64>,
    /// Child steps in all.
    pub steps: u64,
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
    /// The architecture found.
    pub genotype: Genotype,
    /// `bad_ops[n]`: how many of the final controller's samples have `n` layers with a poison op.
    pub bad_ops: Vec<u64>,
    /// Trainable parameters of the found network.
    pub parameters: u64,
    /// What the screen dropped, under the defence `screen`.
    pub screened: Vec<ScreenedOp>,
}

/// An op that the screen dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenedOp {
    /// Short name of the op.
    pub op: String,
    /// The verdict, such as `no-information`.
    pub verdict: String,
    /// The measured reason, for people.
    pub reason: String,
    /// Whether it really was put there by the adversary.
    pub poison: bool,
}

/// One epoch of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// From 0.
    pub epoch: u32,
    /// Learning rate of the child.
    pub lr: f64,
    /// Mean training loss of the child's steps.
    pub train_loss: Option<f64>,
    /// Training error of the child's steps, percent.
    pub train_error: f64,
    /// Full validation error of the best of the epoch's candidates, percent.
    pub valid_error: f64,
    /// Its test error, percent, where measured.
    pub test_error: Option<f64>,
    /// Mean accuracy of the controller's samples, in [0, 1]; `None` for random search.
    pub reward: Option<f64>,
    /// REINFORCE baseline after the epoch.
    pub baseline: Option<f64>,
    /// Mean entropy of the controller's samples, nats.
    pub entropy: Option<f64>,
    /// Mean probability that a sampled branch is a poison op.
    pub poison_share: f64,
    /// Child steps of this epoch whose gradient norm was not finite.
    pub nonfinite_steps: u64,
}

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of toxscreen.
    pub toxscreen: String,
    /// Content hash (blake3) of the data set as used: pixels, labels, splits.
    pub data_hash: String,
    /// Device string, such as `cpu`.
    pub device: String,
    /// Threads of the trial.
    pub threads: usize,
    /// Operating system and architecture.
    pub platform: String,
    /// CPU instruction set that the kernels used, such as `avx512`.
    pub simd: String,
}

/// How long a trial took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Seconds since the Unix epoch at the start.
    pub started_unix: u64,
    /// Wall seconds, over all resumed parts.
    pub seconds: f64,
    /// How often it was resumed.
    pub resumed: u32,
}
