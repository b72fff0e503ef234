//! What was measured of a learner that somebody brings. Errors are in percent of the clean test rows.

use crate::poison::one_or_many;
use crate::scene::{Poison, Transferred};
use crate::space::ScreenedOp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tox_poison::cleanse::Cleansed;
use tox_robust::Norm;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalOutcome {
    /// What its `version` command printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it found on the rows as they were handed to it.
    pub found: Scored,
    /// The choice that it made on the clean rows, trained on these; absent where these are the clean
    /// rows or it trains no given choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Scored>,
    /// Whether it chose as on the clean rows; absent where these are the clean rows or there is no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_clean: Option<bool>,
    /// Whether another seed of its own gives the same choice on the same clean rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_other_seed: Option<bool>,
    /// The recipe's `default`, trained on these rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Scored>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "one_or_many")]
    pub cleansed: Vec<Cleansed>,
    /// Ops that the screen dropped from the space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub screened: Vec<ScreenedOp>,
    /// What an attack did to what it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attacked: Option<BlackBox>,
}

/// What an attack by its scores alone did to it. Accuracies are in percent of the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlackBox {
    /// The attack's short name.
    pub attack: String,
    pub norm: Norm,
    /// Radius of the ball, where pixels lie in 0..=1.
    pub epsilon: f64,
    /// Test images, the first ones.
    pub images: usize,
    /// Accuracy on them as they are.
    pub clean: f64,
    /// Accuracy under the attack.
    pub accuracy: f64,
    /// Times that it was asked, each about several images.
    pub queries: u64,
}

/// What a learner answered, scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scored {
    /// Error on the clean test rows.
    pub error: f64,
    /// The error that it believes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_error: Option<f64>,
    /// Mean negative log of the probability of the true class, at least 1e-15, in nats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_loss: Option<f64>,
    /// Error of each class's test rows; none for a class without any.
    pub class_errors: Vec<Option<f64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Value>,
    /// What was found, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<u64>,
    /// The configurations of its space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// A configuration of its space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    pub choice: Value,
    pub error: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_error: Option<f64>,
}

impl ExternalOutcome {
    /// What the poison does to the learner that it was crafted against.
    pub fn victim(&self) -> Option<&Transferred> {
        self.poison.as_ref()?.transferred.as_ref()
    }
}

impl Scored {
    /// Error of the best configuration of its space.
    pub fn best(&self) -> Option<f64> {
        self.candidates.iter().map(|c| c.error).reduce(f64::min)
    }

    /// What it found: its own words, or its choice.
    pub fn words(&self) -> Option<String> {
        let choice = || self.choice.as_ref().map(Value::to_string);
        self.found.clone().or_else(choice)
    }
}
