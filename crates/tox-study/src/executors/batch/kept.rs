//! `cluster/` in a study's folder: what was submitted, for the driver that comes after this one.
//!
//! ```text
//! jobs.jsonl     a sealed line for each batch that was written down, submitted or refused
//! tasks-K.txt    the ids of batch K, a line a task
//! job-K.sh       its script           logs/     what jobs said
//! ```

use crate::executors::EngineError;
use crate::files::{self, FileError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tasks that are submitted together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub number: usize,
    /// The name of its job; no other job of the user has it.
    pub name: String,
    /// What the system calls it.
    pub job: Option<String>,
    /// Whether its trials end once they have made what they share.
    pub shared: bool,
    /// Batches that it waits for.
    pub after: Vec<usize>,
    /// The trials of each task.
    pub tasks: Vec<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line {
    Planned {
        batch: usize,
        engine: String,
        name: String,
        shared: bool,
        after: Vec<usize>,
        unix: u64,
    },
    Submitted {
        batch: usize,
        job: String,
    },
    Refused {
        batch: usize,
    },
}

/// The folder `cluster/` of a study.
pub struct Folder {
    study: PathBuf,
    dir: PathBuf,
    engine: &'static str,
}

impl Folder {
    /// Of the study in `study`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(study: &Path, engine: &'static str) -> Result<Self, FileError> {
        let study = std::path::absolute(study).map_err(files::failed("find", study))?;
        let dir = study.join("cluster");
        files::no_link(&dir)?;
        files::create_dir(&dir.join("logs"))?;
        Ok(Self { study, dir, engine })
    }

    /// The study's folder, from the root.
    pub fn study(&self) -> &Path {
        &self.study
    }

    /// Where jobs say what they say.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// The tasks of a batch.
    pub fn tasks(&self, batch: usize) -> PathBuf {
        self.dir.join(format!("tasks-{batch}.txt"))
    }

    /// The script of a batch.
    pub fn script(&self, batch: usize) -> PathBuf {
        self.dir.join(format!("job-{batch}.sh"))
    }

    /// Where a job says that it is over, if it is told to.
    pub fn over(&self, batch: usize) -> PathBuf {
        self.dir.join(format!("over-{batch}"))
    }

    /// What was submitted before by this engine, or may have been.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn batches(&self) -> Result<BTreeMap<usize, Batch>, EngineError> {
        let mut batches = BTreeMap::new();
        for line in self.lines()? {
            match line {
                Line::Planned {
                    batch,
                    engine,
                    name,
                    shared,
                    after,
                    unix: _,
                } if engine == self.engine => {
                    let path = self.tasks(batch);
                    let text = files::read(&path)?;
                    let ids = |line: &str| line.split(',').map(str::to_owned).collect();
                    batches.insert(
                        batch,
                        Batch {
                            number: batch,
                            name,
                            job: None,
                            shared,
                            after,
                            tasks: text.lines().map(ids).collect(),
                        },
                    );
                }
                Line::Planned { .. } => {}
                Line::Submitted { batch, job } => {
                    if let Some(batch) = batches.get_mut(&batch) {
                        batch.job = Some(job);
                    }
                }
                Line::Refused { batch } => drop(batches.remove(&batch)),
            }
        }
        Ok(batches)
    }

    fn lines(&self) -> Result<Vec<Line>, FileError> {
        let path = self.dir.join("jobs.jsonl");
        files::no_link(&path)?;
        match std::fs::read(&path) {
            // A torn line is of a driver that died before it went on.
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes)
                .lines()
                .filter_map(files::unsealed)
                .collect()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(files::failed("read", &path)(e)),
        }
    }

    fn add(&self, line: &Line) -> Result<(), FileError> {
        let path = self.dir.join("jobs.jsonl");
        let mut file = files::open_log(&path)?;
        let text = files::sealed(line) + "\n";
        file.write_all(text.as_bytes())
            .map_err(files::failed("write", &path))
    }

    /// Writes a batch down under a number and a name of its own, before it is submitted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn plan(&self, batch: Batch) -> Result<Batch, FileError> {
        let numbers = files::names(&self.dir)?.into_iter().filter_map(|name| {
            let number = name.strip_prefix("tasks-")?.strip_suffix(".txt")?;
            number.parse::<usize>().ok()
        });
        let number = numbers.max().map_or(0, |last| last + 1);
        let hash = blake3::hash(self.study.as_os_str().as_encoded_bytes()).to_hex();
        let batch = Batch {
            number,
            name: format!("tox-{}-{number}", &hash[..8]),
            ..batch
        };
        let lines: String = batch.tasks.iter().map(|ids| ids.join(",") + "\n").collect();
        files::write_atomic(&self.tasks(number), lines.as_bytes())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.add(&Line::Planned {
            batch: number,
            engine: self.engine.to_owned(),
            name: batch.name.clone(),
            shared: batch.shared,
            after: batch.after.clone(),
            unix: now.map(|d| d.as_secs()).unwrap_or_default(),
        })?;
        Ok(batch)
    }

    /// Keeps what the system calls a batch.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn submitted(&self, batch: usize, job: &str) -> Result<(), FileError> {
        let job = job.to_owned();
        self.add(&Line::Submitted { batch, job })
    }

    /// Keeps that a batch was not taken.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn refused(&self, batch: usize) -> Result<(), FileError> {
        self.add(&Line::Refused { batch })
    }
}
