//! What a search found, as it is recorded.

use super::config::Method;
use super::environment::{Cost, Measured};
use super::observe::Topology;
use super::task::Task;
use serde::{Deserialize, Serialize};
use tox_nn::nets::wrn::Shape;

/// One distinct evaluation on the target task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// From 1; so many evaluations were spent with it.
    pub index: usize,
    /// Step of fine-tuning, from 0; of the controls always 0.
    pub step: usize,
    pub shape: Shape,
    pub cost: Cost,
    /// What it can do; `None` if the evaluation failed.
    pub measured: Option<Measured>,
    pub failed: Option<String>,
    /// Its reward when it was first drawn.
    pub reward: f64,
    /// Whether it is within the budget.
    pub feasible: bool,
    /// Whether the method had run out of proposals, so that it was drawn uniformly.
    pub filled: bool,
    /// Highest robust accuracy within the budget so far, this one included, percent.
    pub best_robust: Option<f64>,
    /// Highest reward within the budget so far.
    pub best_reward: Option<f64>,
}

/// A round of meta-training, or a step of fine-tuning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Mean reward of all drawn.
    pub reward: f64,
    /// Mean entropy of the policy on the round's tasks before its update, nats.
    pub entropy: f64,
    /// Share of what was drawn that was over its budget.
    pub over_budget: f64,
    /// Distinct evaluations so far.
    pub evaluations: usize,
}

/// How meta-training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaSummary {
    pub rounds: Vec<Round>,
    /// Distinct pairs of task and sub-network that it evaluated, where tasks that differ by the budget
    /// alone are one; their teachers are not counted. Those are not part of the target's evaluations: they are what meta-training cost.
    pub evaluations: usize,
    /// Visits of pairs that it had evaluated.
    pub repeats: usize,
    /// Of the evaluations those that failed.
    pub failed: usize,
    /// Parts of the target (`data`, `attack`, `teacher`) that it never met.
    pub unseen: Vec<String>,
}

/// The network to compress.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    pub cost: Cost,
    /// What it can do. This evaluation is not counted: all methods need it.
    pub measured: Measured,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub method: Method,
    pub target: Task,
    /// Its budget in multiply-accumulates.
    pub budget: u64,
    pub teacher: Teacher,
    /// Meta-training, where there was one.
    pub meta: Option<MetaSummary>,
    /// Steps of fine-tuning; empty for methods without an agent.
    pub steps: Vec<Round>,
    /// The distinct evaluations in order: as many for every method.
    pub evaluations: Vec<Evaluation>,
    /// Further visits of sub-networks that were evaluated.
    pub repeats: usize,
    /// Sub-networks drawn that were over the budget, and so were not evaluated.
    pub skipped: usize,
    /// The result: index into `evaluations`, from 0. `None` if nothing within the budget could be
    /// measured.
    pub best: Option<usize>,
    /// The paper's observation, checked on the result.
    pub topology: Option<Topology>,
}

impl Outcome {
    /// The sub-network found.
    pub fn found(&self) -> Option<&Evaluation> {
        self.best.and_then(|best| self.evaluations.get(best))
    }
}
