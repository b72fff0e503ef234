//! ENAS macro search, or random search over the same space (Wu, Saxena and Jain poison that space).

mod model;
pub mod outcome;
pub mod report;
mod trial;

use crate::defences::parts;
use crate::only;
use crate::threats::bad_ops::{self, SPACE_HINT};
use crate::threats::bilevel;
use outcome::EnasOutcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_poison::space::SpacePoison;
use tox_poison::space_file;
use tox_search::enas::config::{EnasConfig, NanPolicy, Skips, Strategy};
use tox_search::space::Space;
use tox_study::house::{Learner, Measures, Refusal};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, Threats, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "enas";

pub struct Enas;

impl Learner for Enas {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        EnasConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut config = keys.checked(EnasConfig::check)?;
        if let Some(own) = config.space.take() {
            let own = space_file::read_own(own, keys.folder());
            let hint = Some(SPACE_HINT.to_owned());
            config.space = Some(own.map_err(|e| keys.refuse("space", e.to_string(), hint))?);
        }
        Ok(Part::new(KIND, &config))
    }

    fn resolved(&self, part: Part, _threat: &Threats) -> Part {
        match part.read::<EnasConfig>() {
            Ok(config) if config.clean_space() == Space::enas() => Part::new(
                KIND,
                &EnasConfig {
                    space: None,
                    ..config
                },
            ),
            Ok(_) | Err(_) => part,
        }
    }

    fn surface(&self, config: &Part, surface: Surface) -> Result<(), String> {
        let config: Option<EnasConfig> = config.read().ok();
        match surface {
            Surface::Space | Surface::Data => Ok(()),
            Surface::Inputs if config.is_some_and(|c| c.retrain.epochs > 0) => Ok(()),
            Surface::Inputs => Err(
                "there is no trained network to attack: what is found is trained for `retrain.epochs` \
                 epochs, which is 0"
                    .into(),
            ),
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        let config: Option<EnasConfig> = trial.learner.read().ok();
        let poison: Option<SpacePoison> = trial.threat.space.as_ref().and_then(|t| t.read().ok());
        let fits = config.zip(poison);
        let fits = fits.map(|(config, p)| p.set.poison(&config.clean_space(), p.q));
        if let Some(Err(e)) = fits {
            return Some(bad_ops::unfit(&e));
        }
        only(trial, bilevel::KIND, false).or_else(|| only(trial, parts::KIND, true))
    }

    fn rests_on_nan(&self, config: &Part) -> bool {
        config
            .read()
            .is_ok_and(|config| trial::rests_on_nan(&config))
    }

    fn title(&self, config: &Part) -> String {
        let Ok(config) = config.read::<EnasConfig>() else {
            return KIND.to_owned();
        };
        let strategy = match config.strategy {
            Strategy::Enas => "enas",
            Strategy::Random => "random",
        };
        let policy = match config.child.nan_policy {
            NanPolicy::Guarded => ", guarded",
            NanPolicy::Torch19 => ", torch-1.9",
            NanPolicy::Torch => "",
        };
        let skips = match config.child.skips {
            Skips::Separate => "",
            Skips::InPlace => ", skips in place",
        };
        let space = config.space.as_ref().map_or_else(String::new, |own| {
            format!(", space of {} ops", own.ops().len())
        });
        format!("{strategy}{policy}{skips}{space}")
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        let config = trial.learner.read()?;
        Ok(trial::run(trial, &config, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<EnasOutcome>() else {
            return Measures::default();
        };
        let mut measures = Measures {
            clean_error: Some(outcome.retrained_test_error.unwrap_or(outcome.test_error)),
            claim: Some(outcome.valid_error),
            found: Some(outcome.genotype.to_string()),
            ..Measures::default()
        };
        let attacked = outcome.attacked.as_ref();
        crate::common_measures(
            &mut measures,
            outcome.poison.as_ref(),
            &outcome.cleansed,
            attacked,
        );
        measures
    }
}
