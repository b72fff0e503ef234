//! Where a search stands between two small steps: what a checkpoint holds beside the buffers.

use super::train::Faults;
use serde::{Deserialize, Serialize};

/// One epoch of a search. Errors are in percent; a number that is not finite is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    pub epoch: u32,
    pub lr: f64,
    pub train_loss: Option<f64>,
    pub train_error: f64,
    /// Full validation error of the best of the epoch's candidates, shared weights.
    pub valid_error: f64,
    pub test_error: Option<f64>,
    /// Mean accuracy of the controller's samples, in [0, 1]; `None` for random search.
    pub reward: Option<f64>,
    pub baseline: Option<f64>,
    /// Mean entropy of the controller's samples, nats.
    pub entropy: Option<f64>,
    /// Mean probability that a sampled branch is a poison op.
    pub poison_share: f64,
    /// Child steps of this epoch whose gradient norm was not finite.
    pub nonfinite_steps: u64,
}

/// Where a search stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Child step number `.0` of the epoch is next.
    Train(usize),
    /// Controller update number `.0` of the epoch is next.
    Control(usize),
    /// The found genotype's retraining: epoch and step are next.
    Retrain(usize, usize),
    Done,
}

/// Sums over the current epoch. f64 as bits, because JSON knows no NaN.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    pub loss_bits: u64,
    pub wrong: usize,
    pub images: usize,
    pub nonfinite_before: u64,
    pub accuracy: f64,
    pub entropy: f64,
    pub updates: usize,
}

/// The final measurements, taken before the retraining.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Final {
    pub valid_error: f64,
    pub test_error: f64,
    pub layers: Vec<(usize, Vec<bool>)>,
    pub bad_ops: Vec<u64>,
}

/// The part of a search's state that is not a buffer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub phase: Phase,
    pub epoch: usize,
    pub step: u64,
    pub sums: Sums,
    pub epochs: Vec<Epoch>,
    pub faults: Faults,
    pub retrain_faults: Faults,
    pub baseline: Option<f64>,
    pub adam_steps: u32,
    pub touched: Vec<bool>,
    pub last: Option<Final>,
}
