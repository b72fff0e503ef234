//! What the agent acts on: something that says what a sub-network costs and how robust it is.

use super::task::Task;
use serde::{Deserialize, Serialize};
use tox_nn::nets::wrn::Shape;

/// What a network costs on one image of a task; known without training it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Multiply-accumulates.
    pub macs: u64,
    pub parameters: u64,
}

/// What a trained network can do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Accuracy on images as they are, percent.
    pub clean: f64,
    /// Accuracy under the task's attack, percent.
    pub robust: f64,
    /// Lipschitz estimate, above 0.
    pub lipschitz: f64,
}

/// How an evaluation ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Evaluated {
    Measured(Measured),
    /// This network could not be measured, such as by a training that diverged. The search goes on;
    /// the network has the reward of a degenerate one.
    Failed {
        reason: String,
    },
}

/// Why the search cannot go on at all, such as a full disk.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Something that evaluates sub-networks. What it answers may depend on task and shape only, never on
/// what it was asked before: evaluations are remembered, also over a kill.
pub trait Environment {
    /// What a network of this shape costs on the task's images.
    fn cost(&self, task: &Task, shape: &Shape) -> Result<Cost, Failure>;

    /// Trains and attacks a network of this shape; the task's budget plays no part. `None` means that
    /// it was asked to stop; asked again later it must give what it would have given.
    ///
    /// # Errors
    /// What no other sub-network would survive either; else see [`Evaluated::Failed`].
    fn evaluate(&mut self, task: &Task, shape: &Shape) -> Result<Option<Evaluated>, Failure>;
}
