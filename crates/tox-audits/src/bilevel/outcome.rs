//! What a trial measured: Algorithm 2's numbers, and what other threats did.

use crate::poison::one_or_many;
use crate::scene::Poison;
use serde::{Deserialize, Serialize};
use tox_bilevel::outcome::BilevelOutcome;
use tox_poison::cleanse::Cleansed;
use tox_robust::evaluation::Evaluation;

/// What a trial measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    #[serde(flatten)]
    pub learned: BilevelOutcome,
    /// A poison that was not optimised against the learner; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// What each countermeasure did to the training points, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub cleansed: Vec<Cleansed>,
    /// The last level's victim under attack; `None` without a threat to inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacked: Option<Evaluation>,
}
