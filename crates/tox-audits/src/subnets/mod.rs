//! The table of all sub-networks of a teacher, trained and attacked, on which searches are compared.

pub mod outcome;
pub mod report;
mod trial;

use crate::defences::parts;
use crate::only;
use crate::rcnas::NO_OPS;
use crate::threats::bilevel;
use outcome::TableOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_rcnas::learner::TableConfig;
use tox_study::house::{Learner, Measures, Refusal};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "sub-networks";

pub struct SubNetworks;

impl Learner for SubNetworks {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        TableConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(TableConfig::check)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Inputs | Surface::Data => Ok(()),
            Surface::Space => Err(NO_OPS.into()),
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        only(trial, bilevel::KIND, false).or_else(|| only(trial, parts::KIND, true))
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: TableConfig| format!("sub-networks of {}", config.teacher))
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        let config = trial.learner.read()?;
        Ok(trial::run(trial, &config, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<TableOutcome>() else {
            return Measures::default();
        };
        let best = outcome
            .rows
            .iter()
            .max_by(|a, b| a.clean.total_cmp(&b.clean));
        let mut measures = Measures {
            clean_error: best.map(|row| 100.0 - row.clean),
            found: best.map(|row| row.shape.to_string()),
            evaluations: Some(outcome.rows.len() as u64),
            ..Measures::default()
        };
        crate::common_measures(
            &mut measures,
            outcome.poison.as_ref(),
            &outcome.cleansed,
            None,
        );
        measures
    }
}
