//! Poison of a user's rows, as files: `toxscreen poison`, with every poison that is crafted from the rows and a
//! budget.

pub mod outcome;
mod trial;
mod victim;

pub use victim::{Victim, few, most_stages, small_search};

use crate::error::{Fails, TrialError};
use crate::rows;
use crate::threats;
use outcome::PoisoningOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tox_data::DataDir;
use tox_data::ranges;
use tox_search::space::SpaceError;
use tox_study::house::{Learner, Measure, Measures, Refusal};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "poison";

/// What a trial leaves beside its record: the rows with the poison in them, and the poison alone, whose manifest
/// lies beside it.
pub const ROWS: &str = "poisoned.npz";
pub const PATCH: &str = "patch.npz";

/// The threat to the data is crafted on the training rows as their file has them, and left as files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoisoningConfig {
    /// Of `gc`: whose gradient is cancelled, in the place of the threat's own `victim`, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub victim: Option<Victim>,
}

pub struct Poisoning;

impl Learner for Poisoning {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        PoisoningConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut config: PoisoningConfig = keys.checked(ranges::check)?;
        config.victim = config.victim.map(Victim::resolved);
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Data => Ok(()),
            Surface::Inputs => Err("it leaves poisoned rows, and hands over no model".into()),
            Surface::Space => Err("it searches no space of ops".into()),
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        if let Some(defence) = trial.defence.data.first() {
            return Some(Refusal {
                surface: Surface::Data,
                kind: defence.kind.clone(),
                defence: true,
                hint: "it leaves the rows as the adversary does: `toxscreen clean` cleans them"
                    .into(),
            });
        }
        crate::only(trial, threats::bilevel::KIND, false)
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        rows::holds_none(trial, "poison may take any training row")
    }

    fn takes_rows(&self) -> bool {
        true
    }

    fn preflight(&self, trial: &TrialSpec, _dir: &DataDir) -> Result<(), Failure> {
        trial::poison(trial).map_err(refused)?;
        let config: PoisoningConfig = trial.learner.read()?;
        let checked = config.victim.as_ref().map_or(Ok(()), Victim::check);
        checked.map_err(|e| Failure::usage(e.below("learner.victim").to_string()))
    }

    fn title(&self, _config: &Part) -> String {
        "poisoned rows".to_owned()
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        trial::run(trial, &trial.learner.read()?, context).map_err(refused)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<PoisoningOutcome>() else {
            return Measures::default();
        };
        let check = &outcome.poison.check;
        let measure = |metric, value, unit| Measure {
            metric,
            level: String::new(),
            value,
            unit,
        };
        let mut others = vec![
            measure("poisoned_rows", check.points as f64, ""),
            measure("flipped_labels", check.flipped as f64, ""),
        ];
        if let Some(cancelled) = &check.cancelled {
            others.push(measure("cosine_before", cancelled.before().cosine, ""));
            others.push(measure("cosine_after", cancelled.after.cosine, ""));
        }
        let mut measures = Measures {
            others,
            doubts: outcome.warning().into_iter().collect(),
            ..Measures::default()
        };
        crate::common_measures(&mut measures, Some(&outcome.poison), &[], None);
        measures
    }
}

/// Sizes of a victim of cells that are asked for.
const VICTIM_SIZES: [&str; 2] = ["channels", "cells"];

/// In a poison's own words, with what to change.
fn refused(error: TrialError) -> Failure {
    match error {
        TrialError::Poison(error) => error.fails(),
        TrialError::Space(error) => {
            let hint = if let SpaceError::Size { key, .. } = &error
                && VICTIM_SIZES.contains(key)
            {
                format!("change --{key}")
            } else {
                "--genotype resnet18 takes images of any size".to_owned()
            };
            Failure::usage(format!("cannot build the victim: {error}")).hinted(hint)
        }
        TrialError::Config(error) => {
            Failure::usage(format!("cannot search for the victim: {error}"))
                .hinted("bring more training rows")
        }
        other => other.into(),
    }
}
