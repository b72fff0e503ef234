//! What a compression measured.

use crate::poison::one_or_many;
use crate::scene::Poison;
use serde::{Deserialize, Serialize};
use tox_nn::nets::wrn::Shape;
use tox_poison::cleanse::Cleansed;
use tox_rcnas::Cost;
use tox_rcnas::outcome::Outcome as Search;
use tox_robust::evaluation::Evaluation;
use tox_robust::training::Epoch;

/// A search for a sub-network, and how its result compares with the teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompressOutcome {
    /// How the search went and what it found.
    pub search: Search,
    /// Where candidates were looked up; `None` if they were trained.
    pub table: Option<Looked>,
    /// Teacher and result, as trained in the end and attacked on test images; empty if nobody asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<Judged>,
    /// What was done to the data; `None` without a threat to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// What each countermeasure did to the data, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub cleansed: Vec<Cleansed>,
}

/// What a table knows of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// BLAKE3 of the table's file.
    pub hash: String,
    /// Sub-networks within the budget.
    pub within: usize,
    /// Highest robust accuracy among them, percent.
    pub best: f64,
    /// Mean robust accuracy among them, percent: that of a random one.
    pub mean: f64,
    /// That of the sub-network found: the mean over the table's seeds, where the search saw one.
    pub found: Option<f64>,
    /// Rank correlation of the networks within the budget between their first two trainings: how much one tells of
    /// another. `None` of a table with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retest: Option<f64>,
}

/// Which of the two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The network that was compressed.
    Teacher,
    /// What was found.
    Found,
}

/// A trained network under all attacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// Which.
    pub role: Role,
    /// Its shape.
    pub shape: Shape,
    /// What it costs.
    pub cost: Cost,
    /// Lipschitz estimate.
    pub lipschitz: f64,
    /// Its training; empty if its weights were given.
    pub epochs: Vec<Epoch>,
    /// What the attacks did, with the checks that say whether they are to be trusted.
    pub evaluation: Evaluation,
}
