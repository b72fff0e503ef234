//! What people add: learners, threats, defences. The engine knows none; it asks a [`House`].

use crate::part::Part;
use crate::recipe::{Keys, RecipeError};
use crate::spec::{Surface, Threats, TrialSpec};
use crate::trial::{Exit, Failure, Finished, TrialContext};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tox_data::features::{Ask, Opened};
use tox_data::spec::DataSpec;
use tox_data::{Data, DataDir, DataError, DataRef, TableSet, load_any, load_seeded, source_hash};

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
        let refused = learner.refuses(trial);
        refused.or_else(|| self.refuses_table(trial).filter(|_| trial.data.is_table()))
    }

    /// Why a trial is not run on a table of numbers; `None` if it can be.
    pub fn refuses_table(&self, trial: &TrialSpec) -> Option<Refusal> {
        let refusal = |surface, part: &Part, defence, hint| Refusal {
            surface,
            kind: part.kind.clone(),
            defence,
            hint,
        };
        for (surface, part) in trial.threat.all() {
            let threat = self.threat(&part.kind);
            if let Some(Err(hint)) = threat.map(|threat| threat.takes_table(part)) {
                return Some(refusal(surface, part, false, hint));
            }
        }
        for surface in Surface::ALL {
            for part in trial.defence.get(surface) {
                let defence = self.defence(&part.kind);
                if let Some(Err(hint)) = defence.map(|defence| defence.takes_table(part)) {
                    return Some(refusal(surface, part, true, hint));
                }
            }
        }
        None
    }

    /// Data as the learner of a trial takes them.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn load(
        &self,
        trial: &TrialSpec,
        data: &DataSpec,
        dir: &DataDir,
        seed: u64,
    ) -> Result<Data, DataError> {
        match self.learner(&trial.learner.kind) {
            Some(learner) if learner.takes_rows() => {
                let opened = Opened::of(&data.into(), dir)?;
                Ok(Data::Table(TableSet::of(data.name(), opened)))
            }
            Some(learner) if learner.takes_table(data) => load_any(data, dir, seed),
            Some(_) | None => load_seeded(data, dir, seed).map(Data::Images),
        }
    }

    /// The hash that names data by content, as the learner of a trial takes them.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn source_hash(
        &self,
        trial: &TrialSpec,
        data: &DataSpec,
        dir: &DataDir,
    ) -> Result<String, DataError> {
        let learner = self.learner(&trial.learner.kind);
        match learner.is_some_and(|learner| learner.takes_rows()) {
            true => {
                let ask = Ask {
                    hash: None,
                    ..data.into()
                };
                Ok(Opened::of(&ask, dir)?.hash())
            }
            false => source_hash(data, dir),
        }
    }

    /// Runs a trial, going on from the checkpoint in `context.dir` if there is one.
    ///
    /// # Errors
    /// Why there is no outcome.
    pub fn execute(
        &self,
        trial: &TrialSpec,
        context: TrialContext<'_>,
    ) -> Result<Finished, Failure> {
        let learner = self.of(trial)?;
        self.check(learner, trial, &context)?;
        // Burn's own ops ask for rayon's global pool, so ours is that one. A second trial in one
        // process (tests) finds it built; results do not depend on the number of threads.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(context.threads)
            .build_global();
        learner.run(trial, context)
    }

    /// Refuses what a recipe would have refused, but a spec may still say.
    fn check(
        &self,
        learner: &dyn Learner,
        trial: &TrialSpec,
        context: &TrialContext<'_>,
    ) -> Result<(), Failure> {
        if let Some(refusal) = self.refuses(trial) {
            let what = if refusal.defence { "defence" } else { "threat" };
            return Err(Failure::usage(format!(
                "the trial's learner `{}` cannot be run with the {what} `{}`: {}; correct the recipe",
                trial.learner.kind, refusal.kind, refusal.hint
            )));
        }
        let unnamed = |what: &str| {
            Failure::usage(format!(
                "the trial's spec does not name {what} by content, so that its id and its record would not \
                 say which data they are of; make it with `toxscreen plan --json` or `toxscreen run` where \
                 the data are"
            ))
        };
        if let Some(data) = trial.data_sets().iter().find(|d| d.hash.is_none()) {
            return Err(unnamed(&data.dataset));
        }
        let dir = DataDir::resolve(context.data_dir).map_err(|e| Failure::new(Exit::Data, &e))?;
        let files = learner.files(&trial.learner, &dir);
        if let Some(file) = files.iter().find(|f| f.hash.is_none()) {
            return Err(unnamed(&file.path.display().to_string()));
        }
        if context.device != "cpu" && !learner.on_device() {
            return Err(Failure::usage(format!(
                "the learner `{}` runs on the CPU, but the device is {}; leave --device out",
                trial.learner.kind, context.device
            )));
        }
        Ok(())
    }

    /// What a trial makes first that others need too: two trials with an equal text make the same. Executors
    /// let one trial make each of them ([`TrialContext::shared_only`]) before the others begin, which would wait
    /// for it in jobs of their own. What is not named here is shared all the same, later.
    pub fn shares(&self, trial: &TrialSpec) -> Vec<String> {
        let of = |part: &Part| self.threat(&part.kind)?.shares(part, &trial.learner);
        let threats = trial.threat.all().filter_map(|(_, part)| of(part));
        let learner = self.learner(&trial.learner.kind);
        let all = threats.chain(learner.and_then(|l| l.shares(trial)));
        let with = |key: Value| json!([trial.data, trial.seed, key]).to_string();
        all.map(with).collect()
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

/// Programs that trials start.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Programs {
    /// Each program with its arguments, as the recipe writes them.
    pub commands: Vec<Vec<String>>,
    /// Names and hashes of the recipe's files that they read.
    pub files: Vec<(String, Option<String>)>,
}

impl Programs {
    /// What a user trusts: the BLAKE3 of the commands and of the files' contents.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&json).to_hex().to_string()
    }
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

    /// Whether it takes the rows of a file as they are, images or not, as [`Opened`] has them, and divides them
    /// itself.
    fn takes_rows(&self) -> bool {
        false
    }

    /// Whether it takes these data as a table of numbers, if they are one; else it gets images or nothing.
    fn takes_table(&self, _data: &DataSpec) -> bool {
        self.takes_rows()
    }

    /// Whether it draws the points of the data set `gaussians`, which no other learner can use.
    fn draws(&self) -> bool {
        false
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

    /// Programs of the user's machine that its trials start; a recipe with any is itself a program, and
    /// runs only where the user allows it.
    fn programs(&self, _config: &Part) -> Option<Programs> {
        None
    }

    /// What a user is to know of it before its trials run.
    fn notes(&self, _config: &Part) -> Vec<String> {
        Vec::new()
    }

    /// How far errors in percent may lie apart when a trial is run again, in points; `None` where they
    /// must be the same.
    fn tolerance(&self, _config: &Part) -> Option<f64> {
        None
    }

    /// What a trial makes before all of its own, beside its threats, that others of its data and seed need too;
    /// see [`House::shares`].
    fn shares(&self, _trial: &TrialSpec) -> Option<Value> {
        None
    }

    /// Whether it must be given validation rows.
    fn needs_valid(&self) -> bool {
        !self.takes_rows()
    }

    /// What it is, in a few words.
    fn title(&self, config: &Part) -> String;

    /// Whether it can run on another device than the CPU.
    fn on_device(&self) -> bool {
        true
    }

    /// Whether its outcome rests on what NaN does, so that a device must not lose one.
    fn rests_on_nan(&self, _config: &Part) -> bool {
        false
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
    /// Error of always answering the most frequent class of the test rows; `None` where it is not known.
    pub chance: Option<f64>,
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
    /// What did nothing, such as a defence that changed no row.
    pub idle: Vec<String>,
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

    /// Whether it can be done to a table of numbers.
    ///
    /// # Errors
    /// Why not.
    fn takes_table(&self, _config: &Part) -> Result<(), String> {
        Ok(())
    }

    /// Whether it changes any of these rows, as far as that is known before a trial.
    ///
    /// # Errors
    /// Why not.
    fn fits(&self, _config: &Part, _data: DataRef<'_>) -> Result<(), String> {
        Ok(())
    }

    /// What it makes, before a trial of this learner has made anything of its own, that others of the same data
    /// and seed need too; see [`House::shares`].
    fn shares(&self, _config: &Part, _learner: &Part) -> Option<Value> {
        None
    }

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

    /// Whether it can be used on a table of numbers.
    ///
    /// # Errors
    /// Why not.
    fn takes_table(&self, _config: &Part) -> Result<(), String> {
        Ok(())
    }

    /// What it is called in a table.
    fn title(&self, config: &Part) -> String {
        config.kind.clone()
    }
}
