//! How far a study is.

use crate::child::Past;
use crate::files::FileError;
use crate::lock::Lock;
use crate::plan::Trial;
use crate::store::Store;
use serde::Serialize;

/// How far a study is, cell by cell in the recipe's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Name of the study.
    pub study: String,
    /// Its cells.
    pub cells: Vec<CellStatus>,
    /// Trials that were begun and have no record.
    pub begun: Vec<Begun>,
    /// Failed trials with the reason.
    pub failures: Vec<(String, String)>,
    /// What cannot be believed, in words.
    pub damaged: Vec<String>,
}

/// How far a cell is. The counts add up to the planned trials.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CellStatus {
    /// Label, with the variant.
    pub cell: String,
    /// Trials with a record.
    pub done: usize,
    /// Trials that a process works on now.
    pub running: usize,
    /// Trials that were begun and go on from there when the study is run again.
    pub stopped: usize,
    /// Trials that failed when they were last run.
    pub failed: usize,
    /// Trials whose record was changed after it was written.
    pub damaged: usize,
    /// Trials that were not begun.
    pub missing: usize,
    /// Wall seconds spent on its trials so far, those of finished and unfinished ones.
    pub seconds: f64,
}

/// A trial that was begun and has no record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Begun {
    /// Its id.
    pub trial: String,
    /// Its cell, with the variant.
    pub cell: String,
    /// Its seed.
    pub seed: u64,
    /// Whether a process works on it now.
    pub running: bool,
    /// Share that was done when it last said so, 0 to 1.
    pub done: f64,
    /// Wall seconds spent on it.
    pub seconds: f64,
}

impl CellStatus {
    /// Trials of the cell.
    pub fn planned(&self) -> usize {
        self.done + self.running + self.stopped + self.failed + self.damaged + self.missing
    }
}

impl Status {
    /// Looks at a study's folder.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn of(store: &Store) -> Result<Self, FileError> {
        let mut status = Self {
            study: store.study.recipe.name.clone(),
            cells: Vec::new(),
            begun: Vec::new(),
            failures: Vec::new(),
            damaged: Vec::new(),
        };
        for trial in &store.study.trials {
            status.add(store, trial)?;
        }
        Ok(status)
    }

    fn add(&mut self, store: &Store, trial: &Trial) -> Result<(), FileError> {
        let name = trial.cell();
        if self.cells.last().is_none_or(|c| c.cell != name) {
            self.cells.push(CellStatus {
                cell: name.clone(),
                ..CellStatus::default()
            });
        }
        let Some(cell) = self.cells.last_mut() else {
            return Ok(());
        };
        let dir = store.trial_dir(&trial.id);
        let log = dir.join("events.jsonl");
        let past = Past::read(&log, 0)?;
        cell.seconds += past.timing.seconds;
        if past.damaged > 0 {
            self.damaged.push(format!(
                "{}: {} lines were torn by a kill or changed since; the time in them is left out",
                log.display(),
                past.damaged
            ));
        }
        if store.is_done(&trial.id) {
            match store.damage(&trial.id) {
                None => cell.done += 1,
                Some(damage) => {
                    cell.damaged += 1;
                    self.damaged.push(damage);
                }
            }
            return Ok(());
        }
        let running = Lock::is_held(&dir.join(".lock"));
        let failure = store.failure(&trial.id);
        if let Some(failure) = failure.filter(|_| !running) {
            cell.failed += 1;
            self.failures.push((trial.id.clone(), failure.message));
        } else if running || past.timing.resumed > 0 {
            *(if running {
                &mut cell.running
            } else {
                &mut cell.stopped
            }) += 1;
            self.begun.push(Begun {
                trial: trial.id.clone(),
                cell: name,
                seed: trial.spec.seed,
                running,
                done: past.done.unwrap_or(0.0),
                seconds: past.timing.seconds,
            });
        } else {
            cell.missing += 1;
        }
        Ok(())
    }
}
