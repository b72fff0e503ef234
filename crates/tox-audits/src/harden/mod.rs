//! Which regularisation withstands poison of a user's rows: `toxscreen harden`.

mod config;
pub mod outcome;
mod plan;
mod trial;

pub use config::{HardenConfig, InUse};
pub use plan::Plan;

use crate::bilevel::model_title;
use crate::rows;
use outcome::HardenOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_study::house::{Learner, Measure, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "harden";

pub struct Harden;

impl Learner for Harden {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        HardenConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(HardenConfig::check)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        let inputs = "it asks what poison of the data does to several models, and hands over none";
        rows::no_surface(surface, inputs)
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        if trial.data.valid == 0 && !rows::trusts(trial) {
            let wrong = "= 0: expected the number of training rows that are held out as the trusted set\n\
                         or name a set with learner.trusted";
            return vec![("valid", wrong.to_owned())];
        }
        rows::holds_or_trusts(trial)
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: HardenConfig| model_title(&config.hidden))
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(trial::run(trial, &trial.learner.read()?, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<HardenOutcome>() else {
            return Measures::default();
        };
        let mut others = Vec::new();
        for (treatment, level) in outcome.shown() {
            let measure = |metric, value| Measure {
                metric,
                level: level.clone(),
                value,
                unit: "%",
            };
            others.push(measure("test_error", treatment.clean()));
            others.push(measure("worst_test_error", treatment.worst()));
        }
        let useless = outcome
            .no_better_than_majority
            .map(|found| found.to_string());
        let short = outcome.short_of_convergence();
        Measures {
            clean_error: Some(outcome.advice.current().clean()),
            evaluations: Some(outcome.advice.treatments.len() as u64),
            found: Some(outcome.advised()),
            others,
            doubts: useless
                .into_iter()
                .chain(outcome.concerns)
                .chain(short)
                .collect(),
            ..Measures::default()
        }
    }
}
