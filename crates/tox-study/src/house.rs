//! What people add: learners, threats, defences. The engine knows none; it asks a [`House`].

use crate::part::Part;
use crate::recipe::{Keys, RecipeError};
use crate::spec::{Surface, Threats, TrialSpec};
use crate::trial::{Failure, Finished, TrialContext};
use schemars::{Schema, SchemaGenerator};
use std::path::{Path, PathBuf};
use tox_data::DataDir;
use tox_data::spec::DataSpec;

/// All that is registered.
#[derive(Clone, Copy)]
pub struct House {
    pub learners: &'static [&'static dyn Learner],
    pub threats: &'static [&'static dyn Threat],
    pub defences: &'static [&'static dyn Defence],
    /// Kind of the threat that `poison` and `q` of a cell stand for; it takes them as its keys.
    pub poison_set: &'static str,
}

impl House {
    /// The learner of a kind.
    pub fn learner(&self, kind: &str) -> Option<&'static dyn Learner> {
        self.learners.iter().copied().find(|l| l.kind() == kind)
    }

    /// The threat of a kind.
    pub fn threat(&self, kind: &str) -> Option<&'static dyn Threat> {
        self.threats.iter().copied().find(|t| t.kind() == kind)
    }

    /// The defence of a kind.
    pub fn defence(&self, kind: &str) -> Option<&'static dyn Defence> {
        self.defences.iter().copied().find(|d| d.kind() == kind)
    }

    /// The learner of a trial.
    ///
    /// # Errors
    /// A kind that is not registered.
    pub fn of(&self, trial: &TrialSpec) -> Result<&'static dyn Learner, Failure> {
        let kind = &trial.learner.kind;
        self.learner(kind).ok_or_else(|| {
            Failure::usage(format!("there is no learner `{kind}` in this toxscreen"))
        })
    }

    /// Why a trial is not run, though a recipe may ask for it; `None` if it can be.
    pub fn refuses(&self, trial: &TrialSpec) -> Option<Refusal> {
        let learner = self.learner(&trial.learner.kind)?;
        for surface in Surface::ALL {
            let threat = trial.threat.get(surface);
            let first = threat.or_else(|| trial.defence.get(surface).first());
            if let Some(part) = first
                && let Err(hint) = learner.surface(&trial.learner, surface)
            {
                return Some(Refusal {
                    surface,
                    kind: part.kind.clone(),
                    defence: threat.is_none(),
                    hint,
                });
            }
        }
        learner.refuses(trial)
    }

    /// What a trial's threats are called together, such as `RLF 10 %`; `none` without one.
    pub fn threats_of(&self, trial: &TrialSpec) -> String {
        let name = |part: &Part| match self.threat(&part.kind) {
            Some(threat) => threat.title(part),
            None => part.kind.clone(),
        };
        let all: Vec<String> = trial.threat.all().map(|(_, part)| name(part)).collect();
        match all.is_empty() {
            true => "none".to_owned(),
            false => all.join(" + "),
        }
    }

    /// What a trial's defences are called together; empty without one.
    pub fn defences_of(&self, trial: &TrialSpec) -> String {
        let name = |part: &Part| match self.defence(&part.kind) {
            Some(defence) => defence.title(part),
            None => part.kind.clone(),
        };
        let all: Vec<String> = trial.defence.all().map(name).collect();
        all.join(" + ")
    }
}

/// A threat or a defence that a learner cannot have, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub surface: Surface,
    /// Kind of the threat or defence.
    pub kind: String,
    /// Whether it is a defence.
    pub defence: bool,
    /// Why.
    pub hint: String,
}

/// A file of the data folder, beside data sets, on which an outcome depends.
pub struct SourceFile {
    /// The learner's key that holds its hash.
    pub key: &'static str,
    pub path: PathBuf,
    /// The hash that the trial names.
    pub hash: Option<String>,
    /// Reads it, and returns its hash.
    pub read: fn(&Path) -> Result<String, Failure>,
}

/// What is audited.
pub trait Learner: Sync {
    /// Its kind, as a recipe names it.
    fn kind(&self) -> &'static str;

    /// Its keys.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Reads its keys, checks their ranges and fills in what is not written.
    ///
    /// # Errors
    /// The first key that does not hold.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError>;

    /// Without the keys that have no effect, so that two ways to write one trial have one id. A cell may
    /// still give them one, which is why [`Learner::read`] keeps them.
    fn resolved(&self, config: Part, _threat: &Threats) -> Part {
        config
    }

    /// Whether it has a surface.
    ///
    /// # Errors
    /// Why it has not.
    fn surface(&self, config: &Part, surface: Surface) -> Result<(), String>;

    /// Why a trial has no meaning although every surface is there.
    fn refuses(&self, _trial: &TrialSpec) -> Option<Refusal> {
        None
    }

    /// Keys of `[data]` that it cannot use, and what is wrong with each, such as `must be even`.
    fn data(&self, _trial: &TrialSpec) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Files of the data folder that it reads beside data sets.
    fn files(&self, _config: &Part, _dir: &DataDir) -> Vec<SourceFile> {
        Vec::new()
    }

    /// What every one of its trials would fail by, found before the first.
    ///
    /// # Errors
    /// That.
    fn preflight(&self, _trial: &TrialSpec, _dir: &DataDir) -> Result<(), Failure> {
        Ok(())
    }

    /// What it is, in a few words.
    fn title(&self, config: &Part) -> String;

    /// Whether it can run on another device than the CPU.
    fn on_device(&self) -> bool {
        true
    }

    /// Runs a trial, from its checkpoint if there is one.
    ///
    /// # Errors
    /// Why there is no outcome.
    fn run(&self, trial: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure>;

    /// What an outcome says in the words that all learners share.
    fn measures(&self, trial: &TrialSpec, outcome: &Part) -> Measures;
}

/// What an outcome says in the words that all learners share. Errors and accuracies are in percent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// Error on clean test data.
    pub clean_error: Option<f64>,
    /// The error that the learner believes in, such as its validation error.
    pub claim: Option<f64>,
    /// Accuracy under each attack on inputs, by the attack's short name.
    pub robust: Vec<(String, f64)>,
    /// Candidates that were evaluated.
    pub evaluations: Option<u64>,
    /// What was found, such as a genotype.
    pub found: Option<String>,
    /// Others: a metric's name, its level such as a number of points, its value and its unit.
    pub others: Vec<Measure>,
    /// Why a number is not to be trusted.
    pub doubts: Vec<String>,
}

/// One measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    pub metric: &'static str,
    /// Which of several, such as a share of poison; empty for one alone.
    pub level: String,
    pub value: f64,
    pub unit: &'static str,
}

/// Something that an adversary does to one surface.
pub trait Threat: Sync {
    /// Its kind, as a recipe names it.
    fn kind(&self) -> &'static str;

    fn surface(&self) -> Surface;

    /// Its keys.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Reads its keys and checks their ranges.
    ///
    /// # Errors
    /// The first key that does not hold.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError>;

    /// What it is called in a table, such as `RLF 10 %`.
    fn title(&self, config: &Part) -> String;

    /// Its strength: a share of rows, a radius, a number of ops; `None` where there is no such number.
    fn budget(&self, _config: &Part) -> Option<f64> {
        None
    }
}

/// Something that a defender puts before one surface.
pub trait Defence: Sync {
    /// Its kind, as a recipe names it.
    fn kind(&self) -> &'static str;

    fn surface(&self) -> Surface;

    /// Its keys.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Reads its keys and checks their ranges.
    ///
    /// # Errors
    /// The first key that does not hold.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError>;

    /// What it is called in a table.
    fn title(&self, config: &Part) -> String {
        config.kind.clone()
    }
}

/// The data sets that a learner's keys name.
pub(crate) fn data_sets(learner: &Part) -> Vec<DataSpec> {
    let mut found = Vec::new();
    for value in learner.keys.values() {
        crate::part::walk(value, &mut |map| {
            if map.contains_key("dataset") {
                let set = serde_json::from_value(serde_json::Value::Object(map.clone()));
                found.extend(set.ok());
            }
        });
    }
    found
}
