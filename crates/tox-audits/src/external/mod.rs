//! A learner that somebody brings: any program, in any language, that is given rows and answers with
//! predictions. It learns from poisoned rows, and toxscreen scores it on clean ones.

mod answer;
mod config;
pub mod error;
mod imports;
pub mod outcome;
mod predict;
mod process;
pub mod protocol;
pub mod report;
mod trial;
mod work;

pub use config::{ExternalConfig, Layout, LearnerFile};

use outcome::{ExternalOutcome, Scored};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_data::DataDir;
use tox_data::spec::DataSpec;
use tox_robust::EvasionThreat;
use tox_study::house::{Learner, Measure, Measures, Programs, Refusal};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "external";

pub struct External;

fn config(trial: &TrialSpec) -> Result<ExternalConfig, Failure> {
    Ok(trial.learner.read()?)
}

impl Learner for External {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        ExternalConfig::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new(KIND, &ExternalConfig::read(keys)?))
    }

    fn surface(&self, part: &Part, surface: Surface) -> Result<(), String> {
        let spaced = || {
            part.read()
                .is_ok_and(|config: ExternalConfig| config.space.is_some())
        };
        let predicts = || {
            part.read()
                .is_ok_and(|config: ExternalConfig| config.predict)
        };
        match surface {
            Surface::Data => Ok(()),
            Surface::Inputs if predicts() => Ok(()),
            Surface::Inputs => Err(
                "it answers no queries about inputs; set `predict = true` if it serves \
                                    the phase `predict`"
                    .into(),
            ),
            Surface::Space if spaced() => Ok(()),
            Surface::Space => {
                Err("it is handed no search space; name one with `space` if it takes one".into())
            }
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        let threat = trial.threat.inputs.as_ref()?;
        let attack = threat.read::<EvasionThreat>().ok()?.attack;
        let parts = attack.parts(usize::MAX);
        let asks = parts.iter().any(|part| part.facts().gradient.is_some());
        asks.then(|| Refusal {
            surface: Surface::Inputs,
            kind: threat.kind.clone(),
            defence: false,
            hint: format!(
                "the attack {} follows gradients, and a program outside of toxscreen has scores alone; use \
                 `square`",
                attack.name()
            ),
        })
    }

    fn takes_table(&self, _data: &DataSpec) -> bool {
        true
    }

    fn needs_valid(&self) -> bool {
        false
    }

    /// What it does on clean rows.
    fn shares(&self, trial: &TrialSpec) -> Option<serde_json::Value> {
        let config: ExternalConfig = trial.learner.read().ok()?;
        let is_clean = trial.threat.is_none() && trial.defence.is_none();
        let needed = is_clean || config.retrain || config.control;
        needed.then(|| serde_json::json!(config))
    }

    fn preflight(&self, trial: &TrialSpec, _dir: &DataDir) -> Result<(), Failure> {
        Ok(trial::unchanged(&config(trial)?)?)
    }

    fn programs(&self, part: &Part) -> Option<Programs> {
        let config: ExternalConfig = part.read().ok()?;
        let own = match &config.python {
            Some(function) => vec![config.interpreter.clone(), "-m".into(), function.clone()],
            None => config.command.clone(),
        };
        let commands = [own, config.version.clone()];
        Some(Programs {
            commands: commands.into_iter().filter(|c| !c.is_empty()).collect(),
            files: config.files.into_iter().map(|f| (f.name, f.hash)).collect(),
        })
    }

    fn notes(&self, part: &Part) -> Vec<String> {
        let Ok(config) = part.read::<ExternalConfig>() else {
            return Vec::new();
        };
        let mut unlisted = imports::unlisted(&config);
        let Some(first) = unlisted.first().cloned() else {
            return Vec::new();
        };
        let (count, least) = (unlisted.len(), 5);
        unlisted.truncate(least);
        let more = match count.saturating_sub(least) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        vec![format!(
            "the learner imports {}{more}, which `files` does not list: its trials go by the content of the listed files alone, so \
             that after a change there old results would be taken for new ones; add such as files = [\"{first}\"] to the \
             recipe's learner (the trials get other ids)",
            unlisted.join(", ")
        )]
    }

    fn tolerance(&self, part: &Part) -> Option<f64> {
        let config: ExternalConfig = part.read().ok()?;
        (!config.deterministic).then_some(config.tolerance)
    }

    fn title(&self, part: &Part) -> String {
        let config = part.read::<ExternalConfig>();
        let Ok(config) = config else {
            return KIND.to_owned();
        };
        let name = match config.python {
            Some(function) => function,
            None => config.command.join(" "),
        };
        format!("external {name}")
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        Ok(trial::run(trial, &config(trial)?, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<ExternalOutcome>() else {
            return Measures::default();
        };
        let found = &outcome.found;
        let percent = |metric, value: Option<f64>| {
            value.map(|value| Measure {
                metric,
                level: String::new(),
                value,
                unit: "%",
            })
        };
        let error = |scored: &Option<Scored>| scored.as_ref().map(|s| s.error);
        let flag = |metric, value: Option<bool>| {
            percent(metric, value.map(|same| if same { 0.0 } else { 100.0 }))
        };
        let others = [
            percent("error of the clean choice", error(&outcome.kept)),
            percent("error of the default", error(&outcome.default)),
            percent("error of the best of the space", found.best()),
            percent(
                "error of the attack's own victim",
                outcome.victim().map(|v| v.error),
            ),
            flag("choice changed", outcome.as_clean),
            flag(
                "choice changed by another seed alone",
                outcome.as_other_seed,
            ),
            found.log_loss.map(|value| Measure {
                metric: "log loss",
                level: String::new(),
                value,
                unit: "nats",
            }),
        ];
        let mut measures = Measures {
            clean_error: Some(found.error),
            claim: found.claimed_error,
            evaluations: found.evaluations,
            found: found.words(),
            others: others.into_iter().flatten().collect(),
            ..Measures::default()
        };
        crate::common_measures(
            &mut measures,
            outcome.poison.as_ref(),
            &outcome.cleansed,
            None,
        );
        let attacked = outcome.attacked.iter();
        let robust = attacked.map(|a| (a.attack.clone(), a.accuracy));
        measures.robust.extend(robust);
        measures
    }
}
