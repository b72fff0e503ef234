//! Rows of a user's own that are likely mislabelled or poisoned: `toxscreen suspects`.

pub mod outcome;
pub mod report;
pub mod table;
mod trial;

use crate::rows;
use outcome::SuspectsOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tox_data::DataDir;
use tox_data::hashed::HashedFile;
use tox_data::ranges;
use tox_data::spec::DataSpec;
use tox_poison::suspects::{COMBINED, Settings, named};
use tox_study::house::{Learner, Measure, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "suspects";

/// The tables that a trial leaves beside its record: every row with its scores, and probabilities of its classes.
pub const TABLES: [&str; 2] = ["suspects.csv", "probabilities.csv"];

/// The training rows that are likely mislabelled or poisoned, ranked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SuspectsConfig {
    /// Rows whose labels are surely right; of it `dataset`, `label` and `resize` are used.
    pub trusted: Option<DataSpec>,
    /// What ranks the rows: names of methods, or `combined`, the mean of the ranks of all that can be asked.
    pub method: Vec<String>,
    /// Numbers of the methods.
    pub settings: Settings,
    /// A patch of `toxscreen poison` that is known to be in the rows, to measure the methods by.
    pub known: Option<HashedFile>,
}

impl Default for SuspectsConfig {
    fn default() -> Self {
        Self {
            trusted: None,
            method: vec![COMBINED.to_owned()],
            settings: Settings::default(),
            known: None,
        }
    }
}

pub struct Suspects;

impl Learner for Suspects {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        SuspectsConfig::json_schema(generator)
    }

    /// The known poison is named by content.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut config = keys.checked(|c: &SuspectsConfig| {
            named(&c.method)?;
            ranges::check(c)
        })?;
        if let Some(known) = config.known.as_mut().filter(|known| known.hash.is_none()) {
            known.hash = Some(keys.hash_of("known", &known.path)?);
        }
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        let why = match surface {
            Surface::Data => {
                "it judges the rows as their file has them: poison a copy with `toxscreen poison`, and \
                              name its patch with `known`"
            }
            Surface::Inputs => "it hands over no model",
            Surface::Space => "it searches no space of ops",
        };
        Err(why.to_owned())
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        rows::holds_none(trial, "all training rows are judged")
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn preflight(&self, trial: &TrialSpec, _dir: &DataDir) -> Result<(), Failure> {
        trial::known(&trial.learner.read()?)?;
        Ok(())
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: SuspectsConfig| format!("suspects by {}", config.method.join(", ")))
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(trial::run(trial, &trial.learner.read()?, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<SuspectsOutcome>() else {
            return Measures::default();
        };
        let mut others = Vec::new();
        for quality in outcome.known.iter().flat_map(|known| &known.scores) {
            let measure = |metric, value, unit| Measure {
                metric,
                level: quality.score.clone(),
                value,
                unit,
            };
            others.push(measure(
                "precision_at_the_budget",
                100.0 * quality.precision,
                "%",
            ));
            others.push(measure("average_precision", quality.average_precision, ""));
        }
        Measures {
            evaluations: Some(outcome.rows as u64),
            found: outcome.suspects.first().map(outcome::Suspect::words),
            others,
            ..Measures::default()
        }
    }
}
