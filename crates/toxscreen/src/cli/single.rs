//! A study of one trial, which runs in this process: what a command is to the engine.

use super::options::Session;
use super::progress::Bar;
use super::trial::execute_in_house;
use super::{Result, bug, report, say, scratch, this_command, usage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use tox_audits::HOUSE;
use tox_data::DataDir;
use tox_data::spec::DataSpec;
use tox_study::child::{self, Event, Options};
use tox_study::files;
use tox_study::part::Part;
use tox_study::recipe::{Overrides, RecipeError, Setting, Study};
use tox_study::record::Record;
use tox_study::store::Store;
use tox_study::trial::{Exit, Failure};

/// What messages call a recipe that nobody wrote.
const NAME: &str = "the command line";

/// The recipe of one trial of a learner, called `name`.
pub fn recipe(name: &str, learner: &Part, data: &DataSpec, seed: u64) -> Value {
    json!({
        "name": name,
        "seeds": [seed],
        "data": data,
        "learner": learner.to_toml(),
        "cell": [{ "label": name }],
    })
}

/// The study of a recipe, with its data named by content; `set` are keys that the user changed.
pub fn study(recipe: &Value, seed: u64, dir: &DataDir, set: &[String]) -> Result<Study> {
    let table = toml::Value::try_from(recipe).map_err(|_| {
        let message = format!("--seed {seed}: expected at most {}", i64::MAX);
        usage(message, "give a smaller seed")
    })?;
    let set = set.iter().map(|s| Setting::parse(s));
    let overrides = Overrides {
        set: set.collect::<Result<_, RecipeError>>()?,
        ..Overrides::default()
    };
    let text = toml::to_string(&table).map_err(|e| bug(&e.to_string()))?;
    let study = Study::parse(&HOUSE, NAME, &text, &overrides)?;
    let (study, faults) = study.resolved(&HOUSE, dir)?;
    match faults.into_iter().next() {
        Some(fault) => Err(fault.into()),
        None => Ok(study),
    }
}

/// A trial that is done.
pub struct Ran {
    pub record: Record,
    /// Its folder.
    pub folder: PathBuf,
    /// Where it lies, if nothing is kept.
    _scratch: TempDir,
}

/// A study of one trial.
pub struct Single<'a> {
    pub study: &'a Study,
    /// Its folder; without one nothing is kept.
    pub out: Option<&'a Path>,
    /// Whether the folder gets a report.
    pub report: bool,
    pub session: &'a Session,
    pub data_dir: Option<&'a Path>,
}

impl Single<'_> {
    /// Runs the trial, from its checkpoint or from its record if there is one, with a bar called `name`, and
    /// writes the report of a folder that is kept. `None` if it was stopped, which is said.
    pub fn run(&self, name: &str, stop: &AtomicBool) -> Result<Option<Ran>> {
        let scratch = scratch()?;
        let dir = self.out.unwrap_or(scratch.path());
        let (store, lock) = Store::create(&HOUSE, dir, self.study)?;
        let trial = &self.study.trials[0];
        let folder = store.trial_dir(&trial.id);
        files::create_dir(&folder)?;
        let spec = folder.join("spec.json");
        files::write_atomic(&spec, trial.spec_json().as_bytes())?;
        let options = Options {
            spec,
            dir: folder.clone(),
            data_dir: self.data_dir.map(Path::to_owned),
            shared: None,
            shared_only: false,
            device: self.session.device.clone(),
            threads: self.session.threads(),
        };
        let record = match run(name, &options, stop) {
            Err(failure) if failure.exit == Exit::Stopped => {
                match self.out {
                    Some(_) => say(format_args!("stopped; go on with: {}", this_command())),
                    None => say(format_args!("stopped; nothing was kept")),
                }
                return Ok(None);
            }
            record => record?,
        };
        if self.out.is_some() && self.report {
            report::write(dir)?;
        }
        drop(lock);
        Ok(Some(Ran {
            record,
            folder,
            _scratch: scratch,
        }))
    }
}

/// Runs a trial in this process, with a bar.
pub fn run(name: &str, options: &Options, stop: &AtomicBool) -> Result<Record> {
    let mut bar = Bar::new(name);
    let record = child::run(options, stop, &execute_in_house, &mut |event| {
        if let Event::Progress { done, message, .. } = event {
            bar.tell(*done, message);
        }
    });
    bar.close();
    record.map_err(Failure::from)
}
