//! What a trial of ENAS measured.

use crate::poison::one_or_many;
use crate::scene::Poison;
pub use crate::space::ScreenedOp;
use serde::{Deserialize, Serialize};
use tox_poison::cleanse::Cleansed;
use tox_robust::evaluation::Evaluation;
pub use tox_search::enas::search::Epoch;
use tox_search::genotype::Genotype;

/// What a search found. Errors are in percent. A number that is not finite is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnasOutcome {
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
    /// Child step after which the first weight was not finite (not under `guarded`).
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
    /// What was done to the data; `None` without a threat to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// What each countermeasure did to the data, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub cleansed: Vec<Cleansed>,
    /// The retrained network under attack; `None` without a threat to inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacked: Option<Evaluation>,
}
