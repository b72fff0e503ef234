//! The folder of a study on disk.
//!
//! ```text
//! study.toml             the resolved recipe          plan.jsonl     one line a trial
//! trials/<id>/spec.json  events.jsonl  checkpoint.*  record.json | failure.json
//! ```
//!
//! A trial with a `record.json` is done. `.lock` and `trials/<id>/.lock` keep two processes out of
//! one folder; the system releases them when a process ends, so a kill leaves nothing to clean up.

mod changes;
mod error;

pub use changes::other_content;
pub use error::StoreError;

use crate::child::remove_leftovers;
use crate::files::{self, FileError};
use crate::house::House;
use crate::lease;
use crate::lock::Lock;
use crate::plan::Trial;
use crate::recipe::{self, Overrides, Study};
use crate::record::Record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A study's folder that can be read.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// The study as it was written there.
    pub study: Study,
    /// What was found amiss in the folder and mended, for people.
    pub notes: Vec<String>,
}

/// How a trial failed; `failure.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Id of the trial.
    pub trial: String,
    /// What went wrong, in one line.
    pub message: String,
    /// Exit code of the trial's process; `None` = it was killed by a signal.
    pub exit_code: Option<i32>,
    /// The last lines that it wrote to stderr.
    pub stderr: Vec<String>,
}

impl Failure {
    /// As it is written.
    pub fn to_json(&self) -> String {
        files::sealed(self) + "\n"
    }

    /// Writes it into the folder of its trial.
    ///
    /// # Errors
    /// A file that cannot be written, as on a full disk.
    pub fn keep(&self, dir: &Path) -> Result<(), FileError> {
        files::write_atomic(&dir.join("failure.json"), self.to_json().as_bytes())
    }

    /// Reads `failure.json`, if it is there. Of one that was changed nothing is believed but that there
    /// was a failure.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.strip_suffix('\n').unwrap_or_default();
        Some(files::unsealed(line).unwrap_or_else(|| Self {
            trial: String::new(),
            message: format!(
                "why is not known: {} was changed after it was written; run the study again",
                path.display()
            ),
            exit_code: None,
            stderr: Vec::new(),
        }))
    }
}

/// Names of the files in a study's folder that it writes whatever its learner.
pub const FILES: [&str; 5] = [
    "study.toml",
    "plan.jsonl",
    "results.csv",
    "wide.csv",
    "report.html",
];

/// Names of the folders that it writes.
pub const FOLDERS: [&str; 4] = ["trials", "shared", "figures", "cluster"];

/// Refuses links where files and folders of a study belong.
fn no_links(dir: &Path) -> Result<(), FileError> {
    for name in FILES.into_iter().chain(FOLDERS).chain([".lock"]) {
        files::no_link(&dir.join(name))?;
    }
    for folder in ["shared", "figures"] {
        no_links_in(&dir.join(folder))?;
    }
    Ok(())
}

/// Refuses links among the files of a folder, which need not be there.
fn no_links_in(dir: &Path) -> Result<(), FileError> {
    for name in files::names(dir)? {
        files::no_link(&dir.join(name))?;
    }
    Ok(())
}

/// The same for the folders of all trials.
fn no_links_of_trials(dir: &Path) -> Result<(), FileError> {
    let trials = dir.join("trials");
    for name in files::names(&trials)? {
        let path = trials.join(name);
        files::no_link(&path)?;
        if path.is_dir() {
            no_links_in(&path)?;
        }
    }
    Ok(())
}

/// Refuses a folder that is not yet that of a study, but has files where its would be.
///
/// # Errors
/// That.
pub fn unoccupied(
    dir: &Path,
    names: impl IntoIterator<Item = impl Into<String>>,
) -> Result<(), StoreError> {
    let names = names.into_iter().map(Into::into);
    let there = |name: &String| dir.join(name).symlink_metadata().is_ok();
    let files: Vec<String> = names.filter(there).collect();
    match files.is_empty() {
        true => Ok(()),
        false => Err(StoreError::Occupied {
            dir: dir.to_owned(),
            files,
        }),
    }
}

impl Store {
    /// Opens the study in `dir` for reading.
    ///
    /// # Errors
    /// When there is none, its recipe does not read or was changed, or a file of it is a link.
    pub fn open(house: &House, dir: &Path) -> Result<Self, StoreError> {
        let store = Self::open_alone(house, dir)?;
        no_links_of_trials(dir)?;
        Ok(store)
    }

    /// As [`Store::open`] for one trial, `which` is its place in the plan: the folders of the others, of which there
    /// may be thousands on a slow file system, are not looked at. `None` if there is no such trial.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_for(
        house: &House,
        dir: &Path,
        which: impl Fn(&Study) -> Option<usize>,
    ) -> Result<(Self, Option<usize>), StoreError> {
        let store = Self::open_alone(house, dir)?;
        let found = which(&store.study);
        if let Some(found) = found {
            let dir = store.trial_dir(&store.study.trials[found].id);
            files::no_link(&dir)?;
            no_links_in(&dir)?;
        }
        Ok((store, found))
    }

    fn open_alone(house: &House, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("study.toml");
        if !path.is_file() {
            return Err(StoreError::NoStudy {
                dir: dir.to_owned(),
            });
        }
        no_links(dir)?;
        if !recipe::is_sealed(&files::read(&path)?) {
            return Err(StoreError::Edited { path });
        }
        Ok(Self {
            dir: dir.to_owned(),
            study: Study::load(house, &path, &Overrides::default())?,
            notes: Vec::new(),
        })
    }

    /// Makes `dir` the folder of `study`, or goes on in it. The lock lasts until it is dropped.
    ///
    /// # Errors
    /// When the folder cannot be written, is in use, has finished trials that `study` lacks, or was made
    /// with other data.
    pub fn create(house: &House, dir: &Path, study: &Study) -> Result<(Self, Lock), StoreError> {
        files::create_dir(dir)?;
        no_links(dir)?;
        no_links_of_trials(dir)?;
        files::create_dir(&dir.join("trials"))?;
        let leased = lease::choose(dir)?;
        let lock = Lock::take(&dir.join(".lock"), Duration::from_secs(1))?;
        let lock = lock.ok_or_else(|| StoreError::Busy {
            dir: dir.to_owned(),
        })?;
        files::remove_unfinished(dir)?;
        let mut notes: Vec<String> = leased
            .map(|why| {
                format!("{why}: processes exclude each other by leases in the study's folder")
            })
            .into_iter()
            .collect();
        match Self::open_alone(house, dir) {
            Ok(old) => {
                old.check_extension(study)?;
                notes.extend(old.plan_amiss());
            }
            Err(StoreError::NoStudy { .. }) => {
                for id in files::names(&dir.join("trials"))? {
                    if dir.join("trials").join(id).join("spec.json").is_file() {
                        return Err(StoreError::Headless {
                            dir: dir.to_owned(),
                        });
                    }
                }
                let figures = files::names(&dir.join("figures"))?;
                let figures = figures.iter().map(|name| format!("figures/{name}"));
                let names = FILES.map(str::to_owned).into_iter().chain(figures);
                unoccupied(dir, names)?;
            }
            Err(e) => return Err(e),
        }
        let store = Self {
            dir: dir.to_owned(),
            study: study.clone(),
            notes,
        };
        let text = recipe::sealed(&study.to_toml());
        files::write_atomic(&dir.join("study.toml"), text.as_bytes())?;
        store.write_plan()?;
        Ok((store, lock))
    }

    /// `plan.jsonl`: what `study.toml` means.
    pub fn plan(&self) -> String {
        let mut plan = String::new();
        for trial in &self.study.trials {
            plan.push_str(&serde_json::to_string(trial).unwrap_or_default());
            plan.push('\n');
        }
        plan
    }

    fn write_plan(&self) -> Result<(), FileError> {
        files::write_atomic(&self.dir.join("plan.jsonl"), self.plan().as_bytes())
    }

    /// What is wrong with `plan.jsonl`, if it is there and not what `study.toml` means.
    fn plan_amiss(&self) -> Option<String> {
        let path = self.dir.join("plan.jsonl");
        let found = std::fs::read(&path).ok()?;
        (found != self.plan().as_bytes()).then(|| {
            format!(
                "{} was not what study.toml means: it was changed, or a kill came before it was written; \
                 it was made again",
                path.display()
            )
        })
    }

    /// Makes `plan.jsonl` again if it is not what `study.toml` means, and says so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mend_plan(&mut self) -> Result<(), FileError> {
        if let Some(amiss) = self.plan_amiss() {
            self.notes.push(amiss);
            self.write_plan()?;
        }
        Ok(())
    }

    /// Removes what kills left: unfinished files, and what trials with a record have no use for. Nothing
    /// while a trial runs, whoever started it.
    ///
    /// # Errors
    /// When a folder cannot be read, or a file not be removed.
    pub fn sweep(&self) -> Result<(), FileError> {
        let trials = self.dir.join("trials");
        let dirs = files::names(&trials)?;
        let dirs: Vec<PathBuf> = dirs.iter().map(|id| trials.join(id)).collect();
        if dirs.iter().any(|dir| Lock::is_held(&dir.join(".lock"))) {
            return Ok(());
        }
        let more = ["shared", "figures"].map(|name| self.dir.join(name));
        for dir in dirs.iter().chain(&more).filter(|dir| dir.is_dir()) {
            files::remove_unfinished(dir)?;
            if dir.join("record.json").is_file() {
                remove_leftovers(dir)?;
            }
        }
        Ok(())
    }

    /// Removes what killed writes left in the study's folder, if nobody runs the study; nobody does while the
    /// lock that is given is held.
    ///
    /// # Errors
    /// When a folder cannot be read, or a file not be removed.
    pub fn tidy(&self) -> Result<Option<Lock>, FileError> {
        let lock = Lock::take(&self.dir.join(".lock"), Duration::ZERO)?;
        if lock.is_some() {
            files::remove_unfinished(&self.dir)?;
            self.sweep()?;
        }
        Ok(lock)
    }

    /// A trial's id is the hash of all that its outcome depends on, so a study may grow and its
    /// words may change; only a finished trial must not fall out of it.
    fn check_extension(&self, new: &Study) -> Result<(), StoreError> {
        let changes = changes::of_files(&self.study, new);
        if !changes.is_empty() {
            return Err(StoreError::OtherData {
                dir: self.dir.clone(),
                changes,
            });
        }
        let (old, asked) = (self.study.recipe.kernels, new.recipe.kernels);
        if old != asked && self.study.trials.iter().any(|t| self.is_done(&t.id)) {
            return Err(StoreError::Kernels {
                dir: self.dir.clone(),
                old,
                new: asked,
            });
        }
        let kept: BTreeSet<_> = new.trials.iter().map(|t| &t.id).collect();
        let is_lost = |t: &&Trial| !kept.contains(&t.id) && self.is_done(&t.id);
        let lost = self.study.trials.iter().filter(is_lost).count();
        if lost == 0 {
            return Ok(());
        }
        Err(StoreError::Changed {
            dir: self.dir.clone(),
            lost,
            differences: changes::differences(&self.study, new),
        })
    }

    /// The study's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of a trial.
    pub fn trial_dir(&self, id: &str) -> PathBuf {
        self.dir.join("trials").join(id)
    }

    /// Where a trial's record is, once it is done.
    pub fn record_path(&self, id: &str) -> PathBuf {
        self.trial_dir(id).join("record.json")
    }

    /// Whether a trial has a record in the study's folder `dir`, which need not exist.
    pub fn has_record(dir: &Path, id: &str) -> bool {
        dir.join("trials").join(id).join("record.json").is_file()
    }

    /// Whether a trial has a record.
    pub fn is_done(&self, id: &str) -> bool {
        Self::has_record(&self.dir, id)
    }

    /// How a trial failed, if it did.
    pub fn failure(&self, id: &str) -> Option<Failure> {
        Failure::read(&self.trial_dir(id).join("failure.json"))
    }

    /// The record of a trial, checked; `None` = it is not done.
    ///
    /// # Errors
    /// When the record was changed or belongs to another trial.
    pub fn record(&self, id: &str) -> Option<Result<Record, crate::record::RecordError>> {
        let path = self.record_path(id);
        path.is_file().then(|| match Record::read(&path) {
            Ok(record) if record.trial != id => Err(crate::record::RecordError::Changed {
                path,
                what: "it is another trial's",
            }),
            other => other,
        })
    }
}

impl Store {
    /// Why the record of a trial cannot be believed, and the remedy; `None` if it can, or there is none.
    pub fn damage(&self, id: &str) -> Option<String> {
        let error = self.record(id)?.err()?;
        let dir = self.trial_dir(id);
        let remedy = "and run the study again to make it anew";
        Some(format!(
            "{error}; delete the folder {} {remedy}",
            dir.display()
        ))
    }
}
