//! What attacks found out about a network.

use serde::{Deserialize, Serialize};
use tox_robust::evaluation::Evaluation;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkOutcome {
    pub parameters: u64,
    /// Multiply-accumulates of an image.
    pub macs: u64,
    pub evaluation: Evaluation,
}
