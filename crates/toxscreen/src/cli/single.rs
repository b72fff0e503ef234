//! A study of one trial, which runs in this process: what a command is to the engine.

use super::options::Session;
use super::progress::Bar;
use super::trial::execute_in_house;
use super::{Result, bug, report, say, scratch, system, this_command, usage};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs::File;
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

/// What `--out` names: a file that the trial leaves, the folder of its study, or both.
#[derive(Default)]
pub struct Kept {
    pub file: Option<PathBuf>,
    pub folder: Option<PathBuf>,
}

impl Kept {
    /// A name that ends in .npz is the file.
    pub fn of(out: &[PathBuf]) -> Result<Self> {
        let is_file = |path: &&PathBuf| path.extension().is_some_and(|end| end == "npz");
        let (files, folders): (Vec<&PathBuf>, Vec<&PathBuf>) = out.iter().partition(is_file);
        if files.len() > 1 || folders.len() > 1 {
            return Err(usage(
                format!(
                    "--out names {} .npz files and {} folders, expected at most one of each",
                    files.len(),
                    folders.len()
                ),
                "give --out FILE.npz for the file, --out DIR for the study's folder",
            ));
        }
        let first = |paths: Vec<&PathBuf>| paths.first().map(|path| (*path).clone());
        Ok(Self {
            file: first(files),
            folder: first(folders),
        })
    }

    /// A folder alone.
    pub fn folder(folder: Option<&Path>) -> Self {
        Self {
            file: None,
            folder: folder.map(Path::to_owned),
        }
    }

    /// Where the trial runs beside the file until that is there, so that a stopped one goes on.
    fn beside(&self) -> Option<PathBuf> {
        if self.folder.is_some() {
            return None;
        }
        let mut name = self.file.clone()?.into_os_string();
        name.push(".unfinished");
        Some(name.into())
    }

    /// Copies what the trial left, by its name there, and removes the folder beside the file.
    pub fn take(&self, ran: &Ran, files: &[(&str, PathBuf)]) -> Result<()> {
        for (name, to) in files {
            let from = ran.folder.join(name);
            let copy = || {
                let mut from = File::open(&from)?;
                tox_data::atomic::write_named(to, |file| std::io::copy(&mut from, file).map(|_| ()))
            };
            copy()
                .map_err(|e| system(&format!("copy {} to {}", from.display(), to.display()), &e))?;
        }
        let Some(beside) = self.beside() else {
            return Ok(());
        };
        // What a kill leaves of it must begin anew: it has no record without its files, and no trial without the
        // study.
        let remove = || {
            std::fs::remove_file(ran.folder.join("record.json"))?;
            std::fs::remove_dir_all(beside.join("trials"))?;
            std::fs::remove_dir_all(&beside)
        };
        remove().map_err(|e| system(&format!("remove {}", beside.display()), &e))
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

impl Ran {
    /// What was measured.
    pub fn outcome<T: DeserializeOwned>(&self) -> Result<T> {
        let read = self.record.outcome.read();
        read.map_err(|e| bug(&e.to_string()))
    }
}

/// A study of one trial.
pub struct Single<'a> {
    pub study: &'a Study,
    pub kept: &'a Kept,
    pub session: &'a Session,
    pub data_dir: Option<&'a Path>,
}

impl Single<'_> {
    /// Runs the trial, from its checkpoint or from its record if there is one, with a bar called `name`, and
    /// writes the report of a folder that is kept. `None` if it was stopped, which is said.
    pub fn run(&self, name: &str, stop: &AtomicBool) -> Result<Option<Ran>> {
        let (scratch, beside) = (scratch()?, self.kept.beside());
        let kept = self.kept.folder.as_ref().or(beside.as_ref());
        let dir = kept.map_or(scratch.path(), PathBuf::as_path);
        let trial = &self.study.trials[0];
        if let Some(beside) = &beside {
            goes_on(beside, &trial.id)?;
        }
        let (store, lock) = Store::create(&HOUSE, dir, self.study)?;
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
                match (&self.kept.folder, &beside) {
                    (Some(_), _) => say(format_args!("stopped; go on with: {}", this_command())),
                    (None, Some(beside)) => say(format_args!(
                        "stopped; the same command goes on from {}",
                        beside.display()
                    )),
                    (None, None) => say(format_args!("stopped; nothing was kept")),
                }
                return Ok(None);
            }
            Err(failure) => {
                if let Some(beside) = beside
                    .as_ref()
                    .filter(|beside| !is_worth(beside).unwrap_or(true))
                {
                    // That it stays is no reason to say anything else than how the trial failed.
                    let _ = std::fs::remove_dir_all(beside);
                }
                return Err(failure);
            }
            Ok(record) => record,
        };
        if self.kept.folder.is_some() {
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

/// Refuses to go on in the folder beside a file for another trial than the one that was stopped there.
fn goes_on(beside: &Path, trial: &str) -> Result<()> {
    if !is_worth(beside)? {
        return Ok(());
    }
    let before = Store::open(&HOUSE, beside)?;
    if before.study.trials.iter().any(|before| before.id == trial) {
        return Ok(());
    }
    let message = format!(
        "{} belongs to another command that was stopped",
        beside.display()
    );
    let hint = "run that one again to go on, or delete it";
    Err(Failure::new(Exit::Failed, &message).hinted(hint))
}

/// Whether there is anything in the folder beside a file to go on from.
fn is_worth(beside: &Path) -> Result<bool> {
    let trials = beside.join("trials");
    for trial in files::names(&trials)? {
        let names = files::names(&trials.join(trial))?;
        if names
            .iter()
            .any(|name| name.starts_with("checkpoint") || name == "record.json")
        {
            return Ok(true);
        }
    }
    Ok(false)
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
