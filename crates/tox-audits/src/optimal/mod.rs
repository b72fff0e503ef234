//! Poison that climbs a learner's loss by hypergradients, on a user's rows, as files: `toxscreen poison --attack
//! bilevel`.

mod config;
pub mod outcome;
mod trial;

pub use config::{OptimalConfig, Plan};
pub use outcome::Made;
pub use trial::measured;

use crate::bilevel::model_title;
use crate::{rows, target};
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
        let mut config = keys.checked(OptimalConfig::check)?;
        target::named(config.target.as_mut(), keys)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        rows::no_surface(surface, "it leaves poisoned rows, and hands over no model")
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        rows::holds_or_trusts(trial)
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: OptimalConfig| {
            format!("optimal poison of {}", model_title(&config.hidden))
        })
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
            let hit = trained.target_success;
            others.extend(hit.map(|hit| measure("target_success", hit, "%")));
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
