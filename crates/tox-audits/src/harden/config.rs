//! Keys of a hardening.

use crate::rows::{self, Model};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::config::Penalty;
use tox_bilevel::scale::Scaling;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::DataSpec;

/// Whether another regularisation withstands poison better than the one in use. `data.valid` training rows are
/// held out as the trusted set, which must be clean, unless `trusted` brings one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HardenConfig {
    /// Rows that are surely clean; of it `dataset`, `label` and `resize` are used.
    pub trusted: Option<DataSpec>,
    /// Share of the training rows that poison replaces.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub budget: f64,
    /// The regularisation in use, as C of scikit-learn's LogisticRegression; default: 1. Networks have none.
    pub current: Option<InUse>,
    /// Divisions of the rows, each with poison of its own.
    #[schemars(range(min = 2, max = 100))]
    pub splits: usize,
    /// How features are scaled; default: they are not.
    pub scale: Option<Scaling>,
    /// Widths of the hidden layers; none is logistic regression.
    #[schemars(length(max = 16), inner(range(min = 1, max = 4096)))]
    pub hidden: Vec<usize>,
    /// The penalty whose strength is sought.
    pub penalty: Penalty,
    /// Of a network: steps of gradient descent; default: 300, more where poison asks for a lower rate.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: Option<usize>,
    /// Of a network: its learning rate; default: 1.5 over a bound of the loss's curvature.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: Option<f64>,
    /// Whether each layer has a lambda of its own.
    pub per_layer: bool,
    /// Outer steps in which poison, and a learned lambda, move.
    #[schemars(range(min = 1, max = 100_000))]
    pub hyperiterations: usize,
    /// Step of the poison points, in units of the features; default: 1/50 of the diagonal of their box.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub poison_lr: Option<f64>,
    /// Points that are optimised together, a divisor of their number; default: all.
    #[schemars(range(min = 1, max = 1_000_000))]
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
    C(#[schemars(range(min = 1e-8, max = 1e8))] f64),
}

impl Default for HardenConfig {
    fn default() -> Self {
        Self {
            trusted: None,
            budget: rows::BUDGET,
            current: None,
            splits: 5,
            scale: None,
            hidden: Vec::new(),
            penalty: Penalty::default(),
            steps: None,
            lr: None,
            per_layer: false,
            hyperiterations: rows::HYPERITERATIONS,
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
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let Some(current) = self.current else {
            return Ok(());
        };
        OutOfRange::unless(
            self.hidden.is_empty(),
            "current",
            current,
            "none, for it is of no use to a network, which is compared with having no penalty",
        )
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
}

impl std::fmt::Display for InUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::C(c) => write!(f, "{c}"),
        }
    }
}
