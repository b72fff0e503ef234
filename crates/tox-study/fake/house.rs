//! A house with one learner, whose trials are chains of hashes, and a threat and a defence or two that do
//! nothing: the engine is tested on them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tox_data::ranges;
use tox_study::files;
use tox_study::house::{Defence, House, Learner, Measures, Threat};
use tox_study::part::Part;
use tox_study::plan::trial_id;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Exit, Failure, Finished, Machine, Parts, Progress, TrialContext};

pub fn house() -> House {
    House {
        learners: &[&Fake],
        threats: &[
            &Named("ops", Surface::Space),
            &Named("flips", Surface::Data),
            &Named("evasion", Surface::Inputs),
        ],
        defences: &[
            &Named("screen", Surface::Space),
            &Named("knn", Surface::Data),
        ],
        poison_set: "ops",
    }
}

/// How a trial goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Course {
    #[default]
    Quick,
    /// Every step takes 20 ms.
    Slow,
    /// The process ends without an outcome.
    Broken,
    /// The outcome is not a number.
    Nan,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[schemars(range(min = 1))]
    pub steps: usize,
    pub course: Course,
    pub chain: Chain,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Chain {
    pub rate: f32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { rate: 0.1 }
    }
}

impl Default for Config {
    fn default() -> Self {
        let (course, chain) = (Course::default(), Chain::default());
        Self {
            steps: 5,
            course,
            chain,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub error: f64,
    pub third: f64,
    pub steps: usize,
    pub state: String,
}

struct Fake;

impl Learner for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Config::json_schema(generator)
    }

    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let config = keys.checked(ranges::check::<Config>)?;
        Ok(Part::new("fake", &config))
    }

    fn surface(&self, _config: &Part, surface: Surface) -> Result<(), String> {
        match surface {
            Surface::Space | Surface::Data => Ok(()),
            Surface::Inputs => Err("it hands over no model".into()),
        }
    }

    fn draws(&self) -> bool {
        true
    }

    fn title(&self, _config: &Part) -> String {
        "a chain of hashes".into()
    }

    fn on_device(&self) -> bool {
        false
    }

    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
        let config: Config = trial
            .learner
            .read()
            .map_err(|e| Failure::new(Exit::Usage, &e))?;
        if config.course == Course::Broken {
            eprintln!("some words\nerror: nothing works here");
            std::process::exit(1);
        }
        let checkpoint = context.dir.join("checkpoint.txt");
        let kept = std::fs::read_to_string(&checkpoint).unwrap_or_default();
        let kept = kept.split_once(' ');
        let (mut step, mut state) = match kept {
            Some((step, state)) => (step.parse().unwrap_or_default(), state.to_owned()),
            None => (0, trial_id(trial)),
        };
        while step < config.steps {
            if context.stop.load(Ordering::SeqCst) {
                return Err(Failure::new(Exit::Stopped, &"stopped"));
            }
            if config.course == Course::Slow {
                std::thread::sleep(Duration::from_millis(20));
            }
            step += 1;
            state = blake3::hash(state.as_bytes()).to_hex().to_string();
            files::write_atomic(&checkpoint, format!("{step} {state}").as_bytes())
                .map_err(|e| Failure::new(Exit::Failed, &e))?;
            (context.progress)(Progress {
                done: step as f64 / config.steps as f64,
                message: format!("step {step}"),
            });
        }
        let error = if config.course == Course::Nan {
            f64::NAN
        } else {
            0.1
        };
        let outcome = Outcome {
            error,
            third: 10.0 / 3.0,
            steps: step,
            state,
        };
        let outcome = Part::finite("fake", &outcome);
        Ok(Finished {
            outcome: outcome
                .ok_or_else(|| Failure::new(Exit::Failed, &"the error is not finite"))?,
            data_hash: "none".into(),
            chance_error: None,
            data_notes: Vec::new(),
            machine: Machine::cpu("none".into()),
            parts: Parts::new(),
        })
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        Measures {
            clean_error: outcome.get("error").and_then(serde_json::Value::as_f64),
            ..Measures::default()
        }
    }
}

/// A threat or a defence of a kind, with a set and how often it is put in.
struct Named(&'static str, Surface);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct NamedKeys {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(alias = "poison")]
    set: Option<String>,
    q: u64,
}

impl Named {
    fn part(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new(self.0, &keys.read::<NamedKeys>()?))
    }
}

/// A threat and a defence of the same keys.
macro_rules! named {
    ($of:ident { $($more:tt)* }) => {
        impl $of for Named {
            fn kind(&self) -> &'static str {
                self.0
            }

            fn surface(&self) -> Surface {
                self.1
            }

            fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
                NamedKeys::json_schema(generator)
            }

            fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
                self.part(keys)
            }

            $($more)*
        }
    };
}

named!(Threat {
    fn title(&self, config: &Part) -> String {
        config.kind.to_uppercase()
    }
});

named!(Defence {});
