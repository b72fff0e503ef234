//! Keys of a hardening.

use crate::commands::rows::{Held, Model, Source};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, ConfigError, Norm, Penalty};
use tox_bilevel::own::{Own, OwnError};
use tox_bilevel::scale::Scaling;
use tox_data::spec::DataSpec;
use tox_study::spec::TrialSpec;

/// Most divisions.
const MOST_SPLITS: usize = 100;

/// Whether another regularisation withstands poison better than the one in use. `data.valid` training rows are
/// held out as the trusted set, which must be clean, unless `trusted` brings one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HardenConfig {
    /// Rows that are surely clean; of it `dataset`, `label` and `resize` are used.
    pub trusted: Option<DataSpec>,
    /// Share of the training rows that poison replaces, above 0 and below 1.
    pub budget: f64,
    /// The regularisation in use, as C of scikit-learn's LogisticRegression, 1e-8 to 1e8; default: 1. Networks
    /// have none.
    pub current: Option<InUse>,
    /// Divisions of the rows, each with poison of its own, 2 to 100.
    pub splits: usize,
    /// How features are scaled; default: they are not.
    pub scale: Option<Scaling>,
    /// Widths of the hidden layers; none is logistic regression.
    pub hidden: Vec<usize>,
    /// The penalty whose strength is sought.
    pub penalty: Penalty,
    /// Of a network: steps of gradient descent; default: 300, more where poison asks for a lower rate.
    pub steps: Option<usize>,
    /// Of a network: its learning rate; default: 1.5 over a bound of the loss's curvature.
    pub lr: Option<f64>,
    /// Whether each layer has a lambda of its own.
    pub per_layer: bool,
    /// Outer steps in which poison, and a learned lambda, move.
    pub hyperiterations: usize,
    /// Step of the poison points, in units of the features; default: 1/50 of the diagonal of their box.
    pub poison_lr: Option<f64>,
    /// Points that are optimised together, a divisor of their number; default: all.
    pub batch: Option<usize>,
}

/// A regularisation in use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InUse {
    /// No penalty.
    None,
    /// C of scikit-learn's LogisticRegression.
    #[serde(untagged)]
    C(f64),
}

impl Default for HardenConfig {
    fn default() -> Self {
        Self {
            trusted: None,
            budget: 0.1,
            current: None,
            splits: 5,
            scale: None,
            hidden: Vec::new(),
            penalty: Penalty::default(),
            steps: None,
            lr: None,
            per_layer: false,
            hyperiterations: 50,
            poison_lr: None,
            batch: None,
        }
    }
}

impl HardenConfig {
    /// Whether every number is in its range, as far as that does not depend on the rows.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, found: String, expected| {
            Err(ConfigError {
                key,
                found,
                expected,
            })
        };
        if !(2..=MOST_SPLITS).contains(&self.splits) {
            let expected = "2 to 100: an interval needs at least two divisions";
            return refuse("splits", self.splits.to_string(), expected);
        }
        // Not a number is no share.
        if !(self.budget > 0.0 && self.budget < 1.0) {
            let expected = "a share of the training rows above 0 and below 1, such as 0.1";
            return refuse("budget", self.budget.to_string(), expected);
        }
        match self.current {
            Some(current) if !self.hidden.is_empty() => {
                let expected = "none, for it is of no use to a network, which is compared with having no penalty";
                return refuse("current", current.to_string(), expected);
            }
            Some(InUse::C(c)) if !(1e-8..=1e8).contains(&c) => {
                let expected = "a C from 1e-8 to 1e8, or no penalty";
                return refuse("current", c.to_string(), expected);
            }
            Some(_) | None => {}
        }
        let mut config = BilevelConfig {
            hidden: self.hidden.clone(),
            hyperiterations: self.hyperiterations,
            ..BilevelConfig::default()
        };
        let inner = &mut config.inner;
        inner.steps = self.steps.unwrap_or(inner.steps);
        inner.lr = self.lr.unwrap_or(inner.lr);
        config.check().map_err(own_key)?;
        let attack = BilevelAttack {
            batch: self.batch.unwrap_or(1),
            batches: 1,
            lr: self.poison_lr.unwrap_or(1.0),
            norm: Norm::Point,
        };
        attack.check().map_err(own_key)
    }

    pub fn model(&self) -> Model {
        Model {
            hidden: self.hidden.clone(),
            penalty: self.penalty,
            steps: self.steps,
            lr: self.lr,
            per_layer: self.per_layer,
        }
    }

    /// A division of the rows of a trial; another `fold` holds others out.
    ///
    /// # Errors
    /// Rows that cannot be divided so.
    pub fn divide(&self, trial: &TrialSpec, source: &Source, fold: usize) -> Result<Own, OwnError> {
        let held = Held {
            valid: self.trusted.is_none().then_some(trial.data.valid),
            seed: trial.seed,
            scaling: self.scale,
        };
        source.divide(held, fold)
    }
}

impl std::fmt::Display for InUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::C(c) => write!(f, "{c}"),
        }
    }
}

/// A number of the learner or the adversary, by the key that it has here.
pub fn own_key(error: ConfigError) -> ConfigError {
    let key = match error.key {
        "inner.steps" => "steps",
        "inner.lr" => "lr",
        "lr" => "poison_lr",
        key => key,
    };
    ConfigError { key, ..error }
}
