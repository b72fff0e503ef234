//! A classifier that learns its regularisation, under the poison of Carnerero-Cano et al. or any other.

mod model;
pub mod outcome;
pub mod report;
mod trial;

pub(crate) use trial::instruction_set;

use crate::defences::parts;
use crate::only;
use crate::threats;
use outcome::Outcome;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Groups, Penalty, Victim};
use tox_data::spec::{Augment, DataSpec};
use tox_study::house::{Learner, Measure, Measures, Refusal};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "bilevel";

pub struct Bilevel;

impl Learner for Bilevel {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        BilevelConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(BilevelConfig::check)?;
        Ok(Part::new(KIND, &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Data | Surface::Inputs => Ok(()),
            Surface::Space => Err(
                "bilevel faces poisoned training data: [threat] kind = \"bilevel\"; it \
                                   searches no space of ops"
                    .into(),
            ),
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        only(trial, parts::KIND, true)
    }

    fn data(&self, trial: &TrialSpec) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        if trial.data.augment != Augment::default() {
            let words = "cannot be used with the learner \"bilevel\": its gradients are of the points as \
                         they are";
            wrong.push(("augment", words.to_owned()));
        }
        let threat = trial.threat.data.as_ref();
        let threat = threat.filter(|t| t.kind == threats::bilevel::KIND);
        let attack = threat.and_then(|t| t.read::<BilevelAttack>().ok());
        if let (Some(attack), Some(train)) = (attack, trial.data.train)
            && attack.points() >= train
        {
            let words = format!(
                "= {train}, but the threat poisons {} points ({} batches of {}): expected more training \
                 points than that\neach poison point replaces a training point: raise `train`, or lower \
                 `batch` or `batches` of the threat",
                attack.points(),
                attack.batches,
                attack.batch
            );
            wrong.push(("train", words));
        }
        wrong
    }

    /// Arrays of (N, D) are square images to it, as they are to all learners of images.
    fn takes_table(&self, data: &DataSpec) -> bool {
        data.has_columns()
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: BilevelConfig| title(&config))
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        let config = trial.learner.read()?;
        Ok(trial::run(trial, &config, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<Outcome>() else {
            return Measures::default();
        };
        let levels = &outcome.learned.levels;
        let divergence = outcome.learned.divergence.as_ref();
        let why = divergence.map(|d| {
            format!(
                "training diverged with {} poison points, in {}, after step {}",
                d.points, d.training, d.step
            )
        });
        // A training that diverged leaves no learner, and levels before that have less poison.
        let last = levels.last().filter(|_| divergence.is_none());
        let at = levels.iter().map(|level| Measure {
            metric: "test_error",
            level: level.points.to_string(),
            value: level.test_error,
            unit: "%",
        });
        let hit = levels.iter().filter_map(|level| {
            Some(Measure {
                metric: "target_success",
                level: level.points.to_string(),
                value: level.target?.success,
                unit: "%",
            })
        });
        let mut measures = Measures {
            clean_error: last.map(|level| level.test_error),
            claim: last.map(|level| level.valid_error),
            others: at.chain(hit).collect(),
            doubts: why.into_iter().collect(),
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

/// A model by the widths of its hidden layers.
pub(crate) fn model_title(hidden: &[usize]) -> String {
    match hidden {
        [] => "logistic regression".to_owned(),
        widths => {
            let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
            format!("net {}", widths.join("-"))
        }
    }
}

/// Lambdas as people read them.
pub fn lambdas(lambda: &[f64]) -> String {
    match lambda {
        [] => "none".to_owned(),
        some => {
            let some: Vec<String> = some.iter().map(|l| format!("{l:.2}")).collect();
            some.join(", ")
        }
    }
}

fn title(config: &BilevelConfig) -> String {
    let model = model_title(&config.hidden);
    let penalty = match config.penalty {
        Penalty::L2 => "L2",
        Penalty::L1 => "L1",
    };
    let groups = match config.lambda.groups {
        Groups::One => "",
        Groups::PerLayer => " per layer",
    };
    match config.victim {
        Victim::None => format!("{model}, unregularised"),
        Victim::Large => format!("{model}, large {penalty}"),
        Victim::CrossValidated => format!("{model}, cross-validated {penalty}"),
        Victim::Learned => format!("{model}, learned {penalty}{groups}"),
    }
}
