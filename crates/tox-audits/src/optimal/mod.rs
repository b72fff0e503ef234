//! Poison that climbs a learner's loss by hypergradients, on a user's rows, as files: `toxscreen poison --attack
//! bilevel`.

mod config;
pub mod outcome;
mod trial;

pub use config::{OptimalConfig, Plan};
pub use trial::{Made, measured};

use crate::bilevel::model_title;
use outcome::OptimalOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_study::house::{Learner, Measure, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "optimal-poison";

/// What a trial leaves beside its record, with the files of [`crate::poisoning`]: of 8-bit images the rows as
/// floats, so that nothing is rounded.
pub const FLOATS: &str = "poisoned.float.npz";

pub struct Optimal;

impl Learner for Optimal {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        OptimalConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(OptimalConfig::check)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Data => Err("it poisons the rows itself, by the share `budget`".into()),
            Surface::Inputs => Err("it leaves poisoned rows, and hands over no model".into()),
            Surface::Space => Err("it searches no space of ops".into()),
        }
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        let trusted = trial.learner.get("trusted").is_some_and(|t| !t.is_null());
        let words =
            "holds rows out as the trusted set, which `trusted` of the learner brings too\nwrite 0";
        let both = trusted && trial.data.valid > 0;
        both.then(|| ("valid", words.to_owned()))
            .into_iter()
            .collect()
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn title(&self, config: &Part) -> String {
        match config.read::<OptimalConfig>() {
            Ok(config) => format!("optimal poison of {}", model_title(&config.hidden)),
            Err(_) => KIND.to_owned(),
        }
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(trial::run(trial, &trial.learner.read()?, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<OptimalOutcome>() else {
            return Measures::default();
        };
        let mut others = Vec::new();
        for trained in &outcome.trained {
            let measure = |metric, value, unit| Measure {
                metric,
                level: trained.on.clone(),
                value,
                unit,
            };
            others.push(measure("test_error", trained.test_error, "%"));
            others.push(measure("trusted_error", trained.trusted_error, "%"));
            others.push(measure("trusted_loss", trained.trusted_loss, ""));
        }
        let useless = outcome.no_better_than_majority.as_ref();
        Measures {
            // Of the rows that are written last: in 8 bits where the data are.
            clean_error: outcome.trained.last().map(|poisoned| poisoned.test_error),
            others,
            doubts: (outcome.did_not_attack().into_iter())
                .chain(useless.map(ToString::to_string))
                .chain(outcome.concerns.iter().cloned())
                .collect(),
            ..Measures::default()
        }
    }
}
