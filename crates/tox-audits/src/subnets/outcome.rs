//! What a table of sub-networks is made of.

use crate::poison::one_or_many;
use crate::scene::Poison;
use serde::{Deserialize, Serialize};
use tox_nn::nets::wrn::Shape;
use tox_poison::cleanse::Cleansed;
use tox_rcnas::Cost;

/// Sub-networks of a teacher, each trained and attacked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOutcome {
    /// Short names of the attacks, in the order of each row's accuracies.
    pub attacks: Vec<String>,
    /// One row a sub-network, in the order of the space.
    pub rows: Vec<Row>,
    /// Sub-networks that could not be trained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Failed>,
    /// What was done to the data; `None` without a threat to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    /// What each countermeasure did to the data, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub cleansed: Vec<Cleansed>,
}

/// A sub-network that was trained and attacked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its shape.
    pub shape: Shape,
    /// What it costs.
    pub cost: Cost,
    /// Accuracy on images as they are, percent.
    pub clean: f64,
    /// Accuracy under each attack, percent of all images.
    pub robust: Vec<f64>,
    /// Lipschitz estimate.
    pub lipschitz: f64,
}

/// A sub-network that could not be trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Its shape.
    pub shape: Shape,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Why.
    pub reason: String,
}
