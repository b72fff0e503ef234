//! What a search is given.

use super::config::RcnasConfig;
use super::task::{Buffers, Task};

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub config: &'a RcnasConfig,
    /// What meta-training draws from; methods without it may have empty ones.
    pub tasks: &'a Buffers,
    /// The task to solve.
    pub target: &'a Task,
    pub seed: u64,
}
