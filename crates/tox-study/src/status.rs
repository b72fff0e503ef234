//! How far a study is.

use crate::child::past;
use crate::files::{FileError, Lock};
use crate::store::Store;
use serde::Serialize;

/// How far a study is, cell by cell in the recipe's order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Name of the study.
    pub study: String,
    /// Its cells.
    pub cells: Vec<CellStatus>,
    /// Failed trials with the reason.
    pub failures: Vec<(String, String)>,
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
    /// Trials that failed when they were last run.
    pub failed: usize,
    /// The rest.
    pub missing: usize,
    /// Wall seconds spent on its trials so far, those of finished and unfinished ones.
    pub seconds: f64,
}

impl CellStatus {
    /// Trials of the cell.
    pub fn planned(&self) -> usize {
        self.done + self.running + self.failed + self.missing
    }
}

impl Status {
    /// Looks at a study's folder.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub fn of(store: &Store) -> Result<Self, FileError> {
        let mut cells: Vec<CellStatus> = Vec::new();
        let mut failures = Vec::new();
        for trial in &store.study.trials {
            let name = trial.cell();
            if cells.last().is_none_or(|c| c.cell != name) {
                cells.push(CellStatus {
                    cell: name,
                    ..CellStatus::default()
                });
            }
            let Some(cell) = cells.last_mut() else {
                continue;
            };
            let dir = store.trial_dir(&trial.id);
            cell.seconds += past(&dir.join("events.jsonl"), 0)?.seconds;
            if store.is_done(&trial.id) {
                cell.done += 1;
            } else if Lock::is_held(&dir.join(".lock")) {
                cell.running += 1;
            } else if let Some(failure) = store.failure(&trial.id) {
                cell.failed += 1;
                failures.push((trial.id.clone(), failure.message));
            } else {
                cell.missing += 1;
            }
        }
        Ok(Self {
            study: store.study.recipe.name.clone(),
            cells,
            failures,
        })
    }
}
