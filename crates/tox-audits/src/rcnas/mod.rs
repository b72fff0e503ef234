//! RC-NAS (Wang et al.): a search for the sub-network of a teacher that is most robust within a budget, and
//! the comparison of both.

mod environment;
mod judge;
pub mod networks;
pub mod outcome;
pub mod report;
mod trial;

use crate::defences::parts;
use crate::only;
use crate::threats::bilevel;
use outcome::{CompressOutcome, Role};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tox_rcnas::Method;
use tox_rcnas::learner::CompressConfig;
use tox_study::house::{Learner, Measure, Measures, Refusal};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, Threats, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

/// Its kind.
pub const KIND: &str = "rc-nas";

pub struct RcNas;

/// Why it has no ops to poison.
pub const NO_OPS: &str = "it faces perturbed inputs: [threat] kind = \"evasion\", and poisoned data; its \
                          space has depths and widths, and no ops";

impl Learner for RcNas {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        CompressConfig::json_schema(generator)
    }

    /// Files are named by their hashes too.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut config: CompressConfig = keys.checked(CompressConfig::check)?;
        for (key, file) in [
            ("weights", &mut config.weights),
            ("table", &mut config.table),
        ] {
            if let Some(file) = file.as_mut().filter(|file| file.hash.is_none()) {
                file.hash = Some(keys.hash_of(key, &file.path)?);
            }
        }
        Ok(Part::new(KIND, &config))
    }

    /// Data sets that are not read are not named.
    fn resolved(&self, part: Part, _threat: &Threats) -> Part {
        match part.read::<CompressConfig>() {
            Ok(mut config) if config.search.method != Method::RcNas => {
                config.meta.data.clear();
                Part::new(KIND, &config)
            }
            Ok(_) | Err(_) => part,
        }
    }

    fn surface(&self, config: &Part, surface: Surface) -> Result<(), String> {
        let table = config.get("table").is_some_and(|table| !table.is_null());
        match surface {
            Surface::Inputs => Ok(()),
            Surface::Data if table => Err(
                "its candidates are looked up in a table, so that no data are learned from".into(),
            ),
            Surface::Data => Ok(()),
            Surface::Space => Err(NO_OPS.into()),
        }
    }

    fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        only(trial, bilevel::KIND, false).or_else(|| only(trial, parts::KIND, true))
    }

    fn title(&self, config: &Part) -> String {
        config.titled(|config: CompressConfig| {
            format!("{}, {}", config.search.method.word(), config.teacher)
        })
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        let config = trial.learner.read()?;
        Ok(trial::run(trial, &config, context)?)
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let Ok(outcome) = outcome.read::<CompressOutcome>() else {
            return Measures::default();
        };
        let found = outcome.search.found();
        let mut measures = Measures {
            evaluations: Some(outcome.search.evaluations.len() as u64),
            found: found.map(|found| found.shape.to_string()),
            ..Measures::default()
        };
        for judged in &outcome.judged {
            match judged.role {
                Role::Found => {
                    measures.clean_error = Some(100.0 - judged.evaluation.clean);
                    crate::common_measures(&mut measures, None, &[], Some(&judged.evaluation));
                }
                Role::Teacher => measures.others.push(Measure {
                    metric: "teacher_error",
                    level: String::new(),
                    value: 100.0 - judged.evaluation.clean,
                    unit: "%",
                }),
            }
        }
        crate::common_measures(
            &mut measures,
            outcome.poison.as_ref(),
            &outcome.cleansed,
            None,
        );
        measures
    }
}
