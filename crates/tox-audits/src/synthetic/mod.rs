//! The bilevel paper's example of one poison point on two Gaussians.

pub mod report;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_bilevel::config::SyntheticConfig;
use tox_bilevel::outcome::SyntheticOutcome;
use tox_bilevel::synthetic;
use tox_data::spec::{Augment, SplitKind};
use tox_study::house::{Learner, Measure, Measures};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, Machine, TrialContext, with_hooks};

use crate::error::TrialError;

/// Its kind.
pub const KIND: &str = "synthetic";

pub struct Synthetic;

impl Learner for Synthetic {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        SyntheticConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(SyntheticConfig::check)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, _surface: Surface) -> Result<(), String> {
        Err("synthetic has its own poison point: leave the threat out".into())
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        let (data, mut wrong) = (&trial.data, Vec::new());
        let mut check = |key, bad: bool, words: &str| {
            if bad {
                wrong.push((key, words.to_owned()));
            }
        };
        let even = |n: usize| n >= 2 && n.is_multiple_of(2);
        let other =
            "must be \"gaussians\" for the learner \"synthetic\", which draws its own points";
        check("dataset", !data.is_drawn(), other);
        let points = "must be the points of both classes together, an even number such as 64";
        check("train", !data.train.is_some_and(even), points);
        check("valid", !even(data.valid), points);
        let meaning = "has no meaning for \"gaussians\"";
        check("classes", data.classes.is_some(), meaning);
        let drawn = "has no meaning for \"gaussians\", which are always drawn";
        check("split", data.split != SplitKind::Official, drawn);
        check("test", data.test.is_some(), meaning);
        check("resize", data.resize.is_some(), meaning);
        check("rgb", data.rgb, meaning);
        check("augment", data.augment != Augment::default(), meaning);
        wrong
    }

    fn draws(&self) -> bool {
        true
    }

    fn title(&self, _config: &Part) -> String {
        KIND.to_owned()
    }

    fn on_device(&self) -> bool {
        false
    }

    /// Its points come from the seed alone.
    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(run(trial, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<SyntheticOutcome>() else {
            return Measures::default();
        };
        let paths = [
            ("none", &outcome.attack_none),
            ("fixed", &outcome.attack_fixed),
        ];
        let errors = paths.into_iter().flat_map(|(level, path)| {
            let clean = ("clean_valid_error", path.clean_error);
            [clean, ("poisoned_valid_error", path.error)].map(|(metric, value)| Measure {
                metric,
                level: level.to_owned(),
                value,
                unit: "%",
            })
        });
        Measures {
            others: errors.collect(),
            ..Measures::default()
        }
    }
}

fn run(trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, TrialError> {
    const DRAWN: &str = "drawn from the seed";
    let config: SyntheticConfig = trial.learner.read()?;
    // A recipe has both numbers; a spec without is refused with 0 found.
    let train = trial.data.train.unwrap_or_default();
    let found = with_hooks(trial, context, DRAWN, |hooks| {
        synthetic::run(&config, train, trial.data.valid, trial.seed, hooks)
    })?;
    let outcome = found.ok_or(tox_study::steps::StepError::Stopped)?;
    crate::finished(
        KIND,
        &outcome,
        (DRAWN.to_owned(), Vec::new()),
        Machine::cpu("plain".to_owned()),
    )
}
