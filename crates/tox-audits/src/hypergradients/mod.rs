//! What each way to a hypergradient costs, and how far from the truth it is, on a user's rows: `toxscreen
//! hypergradients`.

mod trial;

pub use trial::part;

use crate::bilevel::model_title;
use crate::rows::{self, Model};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tox_bilevel::config::{BilevelConfig, Victim};
use tox_bilevel::hypergradient::compare::Comparison;
use tox_bilevel::own::Own;
use tox_data::ranges::{self, OutOfRange};
use tox_study::house::{Learner, Measure, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "hypergradients";

/// All ways to the two derivatives of the trusted rows' loss, by the features of flipped labels that have not moved yet
/// and by lambda. So many training rows as `data.valid` says are held out as the trusted set; of 0 a tenth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HypergradientsConfig {
    /// Share of the training rows that poison replaces.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub budget: f64,
    /// Widths of the hidden layers; none is logistic regression.
    #[schemars(length(max = 16), inner(range(min = 1, max = 4096)))]
    pub hidden: Vec<usize>,
    /// Where the derivatives are taken.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub lambda: f64,
    /// Lengths of the inner training.
    #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 100_000)))]
    pub steps: Vec<usize>,
    /// Its learning rate; default: 1.5 over a bound of the loss's curvature.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: Option<f64>,
    /// Each way is timed so often, and the least time counts.
    #[schemars(range(min = 1, max = 1000))]
    pub repeats: usize,
}

impl Default for HypergradientsConfig {
    fn default() -> Self {
        Self {
            budget: rows::BUDGET,
            hidden: Vec::new(),
            lambda: -4.0,
            steps: vec![50, 100, 400],
            lr: None,
            repeats: 3,
        }
    }
}

impl HypergradientsConfig {
    /// The learner, and the poison points.
    ///
    /// # Errors
    /// A number that does not fit the rows.
    pub fn plan(&self, own: &Own) -> Result<(BilevelConfig, usize), OutOfRange> {
        let points = tox_data::share::of(self.budget, own.sets.train.len());
        OutOfRange::unless(points > 0, "budget", self.budget, rows::PART)?;
        let model = Model {
            hidden: self.hidden.clone(),
            steps: self.steps.first().copied(),
            lr: self.lr,
            ..Model::default()
        };
        let mut config = model.config(own, 0, 1);
        config.victim = Victim::Large;
        config.lambda.large = self.lambda;
        config.check().map_err(rows::own_key)?;
        Ok((config, points))
    }
}

pub struct Ways;

impl Learner for Ways {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        HypergradientsConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config: HypergradientsConfig = keys.checked(ranges::check)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        rows::no_surface(surface, "it measures derivatives, and hands over no model")
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: HypergradientsConfig| {
            format!("hypergradients of {}", model_title(&config.hidden))
        })
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(trial::run(trial, &trial.learner.read()?, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<Comparison>() else {
            return Measures::default();
        };
        let of = |row: &tox_bilevel::hypergradient::compare::MethodRow| {
            let measured = [
                ("peak_bytes", Some(row.peak_bytes as f64), "B"),
                ("error_poison", row.error_poison, ""),
                ("error_lambda", row.error_lambda, ""),
                ("off_reverse_poison", row.off_reverse_poison, ""),
                ("off_reverse_lambda", row.off_reverse_lambda, ""),
            ];
            let level = format!("{}, T = {}", row.method.name(), row.steps);
            measured.map(|(metric, value, unit)| {
                Some(Measure {
                    metric,
                    level: level.clone(),
                    value: value?,
                    unit,
                })
            })
        };
        let failed = outcome.rows.iter().filter_map(|row| {
            let why = row.failure.as_ref()?;
            Some(format!("{} at T = {}: {why}", row.method.name(), row.steps))
        });
        Measures {
            others: outcome.rows.iter().flat_map(of).flatten().collect(),
            doubts: outcome.no_reference.iter().cloned().chain(failed).collect(),
            ..Measures::default()
        }
    }
}
