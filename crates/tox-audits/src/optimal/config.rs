//! Keys of a poison that climbs, and what they come to on the rows of a user.

use crate::rows::{self, Model};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Penalty, TargetSet, Victim};
use tox_bilevel::own::Own;
use tox_bilevel::scale::Scaling;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::DataSpec;

/// Clones of training rows with flipped labels, whose features climb the loss on trusted rows by hypergradients.
/// Without `trusted` so many training rows as `data.valid` says are held out as the trusted set; of 0 a tenth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptimalConfig {
    /// Rows that the learner trusts, and the adversary aims at; of it `dataset`, `label` and `resize` are used.
    pub trusted: Option<DataSpec>,
    /// Rows that the adversary aims at instead of the trusted ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSet>,
    /// Share of the training rows that poison replaces.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub budget: f64,
    /// Number of rows that poison replaces, instead of a share.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub points: Option<usize>,
    /// How the victim gets its regularisation.
    pub victim: Victim,
    /// The lambda of the victim `large`.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub lambda: Option<f64>,
    /// How features are scaled; default: they are not.
    pub scale: Option<Scaling>,
    /// Widths of the hidden layers; none is logistic regression.
    #[schemars(length(max = 16), inner(range(min = 1, max = 4096)))]
    pub hidden: Vec<usize>,
    /// The penalty of the training loss.
    pub penalty: Penalty,
    /// Steps of gradient descent; default: 300, more where poison asks for a lower rate.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: Option<usize>,
    /// Its learning rate; default: 1.5 over a bound of the loss's curvature.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: Option<f64>,
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

impl Default for OptimalConfig {
    fn default() -> Self {
        Self {
            trusted: None,
            target: None,
            budget: rows::BUDGET,
            points: None,
            victim: Victim::default(),
            lambda: None,
            scale: None,
            hidden: Vec::new(),
            penalty: Penalty::default(),
            steps: None,
            lr: None,
            hyperiterations: rows::HYPERITERATIONS,
            poison_lr: None,
            batch: None,
        }
    }
}

impl OptimalConfig {
    /// Whether every number is in its range, as far as that does not depend on the rows.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        match self.lambda {
            Some(lambda) => OutOfRange::unless(
                self.victim == Victim::Large,
                "lambda",
                lambda,
                "none: it belongs to the victim `large`, and other victims choose lambda themselves or have none",
            ),
            None => Ok(()),
        }
    }

    pub fn model(&self) -> Model {
        Model {
            hidden: self.hidden.clone(),
            penalty: self.penalty,
            steps: self.steps,
            lr: self.lr,
            per_layer: false,
        }
    }
}

/// The learner and the adversary on these rows.
pub struct Plan {
    pub config: BilevelConfig,
    pub attack: BilevelAttack,
}

impl Plan {
    /// # Errors
    /// A number that does not fit the rows.
    pub fn new(ask: &OptimalConfig, own: &Own) -> Result<Self, OutOfRange> {
        let rows = own.sets.train.len();
        let (key, found, points) = match ask.points {
            Some(points) => ("points", points.to_string(), points),
            None => {
                let points = tox_data::share::of(ask.budget, rows);
                ("budget", ask.budget.to_string(), points)
            }
        };
        OutOfRange::unless((1..rows).contains(&points), key, found, rows::PART)?;
        let attack = rows::attack(own, points, (ask.batch, ask.poison_lr))?;
        let mut config = ask.model().config(own, points, ask.hyperiterations);
        config.victim = ask.victim;
        if let Some(lambda) = ask.lambda {
            config.lambda.large = lambda;
        }
        config.check().map_err(rows::own_key)?;
        attack.check().map_err(rows::own_key)?;
        Ok(Self { config, attack })
    }
}
