//! Evaluations, remembered by task and configuration.
//!
//! Training and attacking a network is nearly all that a search costs, and all else is deterministic
//! given the evaluations.

use super::environment::Evaluated;
use super::task::Task;
use std::collections::BTreeMap;
use tox_nn::nets::wrn::Shape;

/// Evaluations of one environment.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    known: BTreeMap<String, Evaluated>,
}

/// All of a task and a sub-network that an evaluation depends on, as text: not the budget.
pub fn key(task: &Task, shape: &Shape) -> String {
    // Debug quotes names, so that no two different texts can run together, and writes numbers exactly.
    format!(
        "{:?} {:?} {:?} {:?}",
        task.data, task.attack, task.teacher, shape
    )
}

impl Cache {
    /// The evaluation of a sub-network, if it is known.
    pub fn get(&self, task: &Task, shape: &Shape) -> Option<&Evaluated> {
        self.known.get(&key(task, shape))
    }

    /// Keeps an evaluation.
    pub fn put(&mut self, task: &Task, shape: &Shape, evaluated: Evaluated) {
        self.known.insert(key(task, shape), evaluated);
    }
}
