//! Evaluations, remembered by task and configuration.
//!
//! Training and attacking a network is nearly all that a search costs, and all else is deterministic
//! given the evaluations. So a search is interrupted and resumed by replay: it starts again, and what was
//! evaluated is looked up.

use super::environment::Evaluated;
use super::task::Task;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tox_data::atomic;
use tox_nn::nets::wrn::Shape;

/// Why an evaluation could not be kept or looked up.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum CacheError {
    /// The operating system refused.
    #[error("cannot {what} {}: {source}; check the folder's rights and space", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file that is no evaluation, or that of another configuration.
    #[error(
        "{} is not the evaluation that its name says: {what}; remove it, and it will be evaluated again",
        path.display()
    )]
    Damaged { path: PathBuf, what: String },
}

/// An evaluation on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    key: String,
    evaluated: Evaluated,
}

/// Evaluations, in memory and, if it has a folder, in one JSON file each.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
    context: String,
    known: BTreeMap<String, Evaluated>,
}

/// All of a task and a sub-network that an evaluation depends on, as text: not the budget.
pub fn key(task: &Task, shape: &Shape) -> String {
    // Debug quotes names, so that no two different texts can run together, and writes numbers exactly.
    format!(
        "{:?} {:?} {:?} {:?}",
        task.data, task.attack, task.teacher, shape
    )
}

impl Cache {
    /// In memory only.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// In a folder, which is made if it is not there. `context` is all that evaluations depend on beside
    /// task and shape, such as the training's settings and its seed; evaluations of another context are
    /// never found.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: &Path, context: &str) -> Result<Self, CacheError> {
        fs::create_dir_all(folder).map_err(|source| CacheError::File {
            what: "make the folder",
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            folder: Some(folder.to_owned()),
            context: context.to_owned(),
            known: BTreeMap::new(),
        })
    }

    fn full_key(&self, task: &Task, shape: &Shape) -> String {
        format!("{:?} {}", self.context, key(task, shape))
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let name = format!("{}.json", blake3::hash(key.as_bytes()).to_hex());
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    /// The evaluation of a sub-network, if it is known.
    ///
    /// # Errors
    /// When its file cannot be read or is not what its name says.
    pub fn get(&mut self, task: &Task, shape: &Shape) -> Result<Option<Evaluated>, CacheError> {
        let key = self.full_key(task, shape);
        if let Some(evaluated) = self.known.get(&key) {
            return Ok(Some(evaluated.clone()));
        }
        let Some(path) = self.path(&key) else {
            return Ok(None);
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(CacheError::File {
                    what: "read",
                    path,
                    source,
                });
            }
        };
        let kept: Kept = match serde_json::from_slice(&bytes) {
            Ok(kept) => kept,
            Err(e) => {
                let what = e.to_string();
                return Err(CacheError::Damaged { path, what });
            }
        };
        if kept.key != key {
            let what = format!("expected that of {key}, found that of {}", kept.key);
            return Err(CacheError::Damaged { path, what });
        }
        self.known.insert(key, kept.evaluated.clone());
        Ok(Some(kept.evaluated))
    }

    /// Keeps an evaluation.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn put(
        &mut self,
        task: &Task,
        shape: &Shape,
        evaluated: &Evaluated,
    ) -> Result<(), CacheError> {
        let key = self.full_key(task, shape);
        if let Some(path) = self.path(&key) {
            let kept = Kept {
                key: key.clone(),
                evaluated: evaluated.clone(),
            };
            let write = || {
                let bytes = serde_json::to_vec_pretty(&kept)?;
                atomic::write(&path, |file| file.write_all(&bytes))
            };
            write().map_err(|source: io::Error| CacheError::File {
                what: "write",
                path: path.clone(),
                source,
            })?;
        }
        self.known.insert(key, evaluated.clone());
        Ok(())
    }
}
