//! The folder of a study on disk.
//!
//! ```text
//! study.toml             the resolved recipe          plan.jsonl     one line a trial
//! trials/<id>/spec.json  events.jsonl  checkpoint.*  record.json | failure.json
//! ```
//!
//! A trial with a `record.json` is done. `.lock` and `trials/<id>/.lock` keep two processes out of
//! one folder; the system releases them when a process ends, so a kill leaves nothing to clean up.

use crate::files::{self, FileError, Lock};
use crate::plan::Trial;
use crate::recipe::{Overrides, RecipeError, Study};
use crate::record::Record;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Value;

/// A study's folder that can be read.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// The study as it was written there.
    pub study: Study,
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

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder in it cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its recipe is not one.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// There is no study in it.
    #[error("there is no study in {}: it has no study.toml", dir.display())]
    NoStudy {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process runs trials in it.
    #[error("another toxscreen runs the study in {}", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// The recipe changed so that finished trials would no longer belong to the study.
    #[error(
        "the recipe differs from the one that {} was made with, and {lost} finished trials would \
         not belong to it any more:\n{}", dir.display(), differences.join("\n")
    )]
    Changed {
        /// The folder.
        dir: PathBuf,
        /// Finished trials that the new recipe does not have.
        lost: usize,
        /// One line for each key that changed: `key: old -> new`.
        differences: Vec<String>,
    },
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(_) => Some("choose a folder that can be written with --out".into()),
            Self::Recipe(e) => e.hint(),
            Self::NoStudy { .. } => Some("`toxscreen run --out DIR` makes one".into()),
            Self::Busy { .. } => Some("wait for it, or choose another folder with --out".into()),
            Self::Changed { .. } => Some(
                "give the new recipe a folder of its own with --out, or move the old one away; \
                 cells and seeds may be added in place"
                    .into(),
            ),
        }
    }
}

impl Store {
    /// Opens the study in `dir` for reading.
    ///
    /// # Errors
    /// When there is none or its recipe does not read.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("study.toml");
        if !path.is_file() {
            return Err(StoreError::NoStudy {
                dir: dir.to_owned(),
            });
        }
        Ok(Self {
            dir: dir.to_owned(),
            study: Study::load(&path, &Overrides::default())?,
        })
    }

    /// Makes `dir` the folder of `study`, or goes on in it. The lock lasts until it is dropped.
    ///
    /// # Errors
    /// When the folder cannot be written, is in use, or has finished trials that `study` lacks.
    pub fn create(dir: &Path, study: &Study) -> Result<(Self, Lock), StoreError> {
        files::create_dir(&dir.join("trials"))?;
        let lock = Lock::take(&dir.join(".lock"), Duration::from_secs(1))?;
        let lock = lock.ok_or_else(|| StoreError::Busy {
            dir: dir.to_owned(),
        })?;
        files::remove_unfinished(dir)?;
        match Self::open(dir) {
            Ok(old) => old.check_extension(study)?,
            Err(StoreError::NoStudy { .. }) => {}
            Err(e) => return Err(e),
        }
        let store = Self {
            dir: dir.to_owned(),
            study: study.clone(),
        };
        let mut plan = String::new();
        for trial in &study.trials {
            plan.push_str(&serde_json::to_string(trial).unwrap_or_default());
            plan.push('\n');
        }
        files::write_atomic(&dir.join("study.toml"), study.to_toml().as_bytes())?;
        files::write_atomic(&dir.join("plan.jsonl"), plan.as_bytes())?;
        Ok((store, lock))
    }

    /// A trial's id is the hash of all that its outcome depends on, so a study may grow and its
    /// words may change; only a finished trial must not fall out of it.
    fn check_extension(&self, new: &Study) -> Result<(), StoreError> {
        let kept: BTreeSet<_> = new.trials.iter().map(|t| &t.id).collect();
        let is_lost = |t: &&Trial| !kept.contains(&t.id) && self.is_done(&t.id);
        let lost = self.study.trials.iter().filter(is_lost).count();
        if lost == 0 {
            return Ok(());
        }
        Err(StoreError::Changed {
            dir: self.dir.clone(),
            lost,
            differences: differences(&self.study, new),
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
        let text = files::read(&self.trial_dir(id).join("failure.json")).ok()?;
        serde_json::from_str(&text).ok()
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

/// The keys by which two studies differ.
fn differences(old: &Study, new: &Study) -> Vec<String> {
    let (old, new) = (flat(old), flat(new));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let absent = "(not there)".to_owned();
    keys.into_iter()
        .filter(|&k| old.get(k) != new.get(k))
        .map(|k| {
            let of = |m: &BTreeMap<String, String>| m.get(k).unwrap_or(&absent).clone();
            format!("  {k}: {} -> {}", of(&old), of(&new))
        })
        .collect()
}

/// A study's recipe as dotted keys; cells go by their name instead of their place.
fn flat(study: &Study) -> BTreeMap<String, String> {
    fn walk(key: String, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Table(t) => {
                for (k, v) in t {
                    let dot = if key.is_empty() { "" } else { "." };
                    walk(format!("{key}{dot}{k}"), v, out);
                }
            }
            Value::Array(a) if a.iter().any(Value::is_table) => {
                for cell in a {
                    let text = |k| cell.get(k).and_then(Value::as_str);
                    let label = text("label").unwrap_or_default();
                    let name = match text("variant") {
                        Some(v) => format!("cell {label} ({v})"),
                        None => format!("cell {label}"),
                    };
                    walk(name, cell, out);
                }
            }
            other => {
                out.insert(key, other.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    if let Ok(value) = Value::try_from(&study.recipe) {
        walk(String::new(), &value, &mut out);
    }
    out
}
