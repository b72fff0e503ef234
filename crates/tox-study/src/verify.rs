//! Are the records of a study as they were written, and does running a trial again give the same
//! outcome, byte for byte?

use crate::files::{self, FileError, failed};
use crate::record::Record;
use crate::runner::{End, Job, News, Notice, RunOptions, Stop, run_jobs};
use crate::store::Store;
use serde::Serialize;
use std::collections::VecDeque;

/// What was found about one trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Id of the trial.
    pub trial: String,
    /// Its cell, with the variant.
    pub cell: String,
    /// Its seed.
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, or what differs in where the two runs were made.
    pub note: String,
}

/// A verdict on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is no record yet.
    Missing,
    /// The record is as it was written; it was not run again.
    Intact,
    /// Running it again gave the same outcome.
    Same,
    /// Running it again gave another outcome.
    Differs,
    /// Running it again failed.
    Failed,
    /// The record was changed after it was written.
    Damaged,
}

impl Verdict {
    /// Whether the study does not pass with this.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Differs | Self::Failed | Self::Damaged)
    }

    /// The verdict in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Intact => "intact",
            Self::Same => "same",
            Self::Differs => "DIFFERS",
            Self::Failed => "FAILED",
            Self::Damaged => "DAMAGED",
        }
    }
}

/// Checks every record of a study and runs up to `sample` of them again (in the order of their
/// ids, which are hashes: a fixed choice that follows no cell), in a temporary folder, each on the
/// device and with the threads that its record names.
///
/// # Errors
/// When the temporary folder cannot be used.
pub fn verify(
    store: &Store,
    sample: usize,
    options: &RunOptions,
    stop: &Stop,
    notify: &mut dyn FnMut(Notice),
) -> Result<Vec<Check>, FileError> {
    let trials = &store.study.trials;
    let mut records: Vec<Option<Record>> = Vec::new();
    let mut checks: Vec<Check> = Vec::new();
    for trial in trials {
        let (record, verdict, note) = match store.record(&trial.id) {
            None => {
                let failed = store.failure(&trial.id).map(|f| f.message);
                let note = failed.map_or_else(String::new, |why| format!("it failed: {why}"));
                (None, Verdict::Missing, note)
            }
            Some(Ok(record)) => (Some(record), Verdict::Intact, String::new()),
            Some(Err(e)) => {
                let dir = store.trial_dir(&trial.id);
                let remedy = format!("delete the folder {} and run again", dir.display());
                (None, Verdict::Damaged, format!("{e}; {remedy}"))
            }
        };
        records.push(record);
        checks.push(Check {
            trial: trial.id.clone(),
            cell: trial.cell(),
            seed: trial.spec.seed,
            verdict,
            note,
        });
    }

    let mut chosen: Vec<usize> = (0..trials.len())
        .filter(|&i| records[i].is_some())
        .collect();
    chosen.sort_by_key(|&i| &trials[i].id);
    chosen.truncate(sample);
    let temp = std::env::temp_dir();
    let scratch = tempfile::tempdir().map_err(failed("create a folder in", &temp))?;
    let mut jobs = VecDeque::new();
    for i in chosen {
        let Some(record) = &records[i] else { continue };
        let dir = scratch.path().join(&trials[i].id);
        files::create_dir(&dir)?;
        let there = RunOptions {
            device: record.provenance.device.clone(),
            threads: record.provenance.threads,
            ..options.clone()
        };
        jobs.push_back(Job::new(i, &trials[i], dir, &there)?);
    }
    run_jobs(jobs, options, stop, &mut |notice| {
        let i = notice.trial;
        if let (News::Ended(end), Some(old)) = (&notice.news, &records[i]) {
            let path = scratch.path().join(&trials[i].id).join("record.json");
            let (verdict, note) = match end {
                End::Done => match Record::read(&path) {
                    Ok(new) => compare(old, &new),
                    Err(e) => (Verdict::Failed, e.to_string()),
                },
                End::Stopped => (Verdict::Intact, "stopped before it was compared".into()),
                End::Failed(failure) => (Verdict::Failed, failure.message.clone()),
            };
            checks[i].verdict = verdict;
            checks[i].note = note;
        }
        notify(notice);
    });
    Ok(checks)
}

fn compare(old: &Record, new: &Record) -> (Verdict, String) {
    let (a, b) = (&old.provenance, &new.provenance);
    let places = [
        ("toxscreen", &a.toxscreen, &b.toxscreen),
        ("data hash", &a.data_hash, &b.data_hash),
        ("platform", &a.platform, &b.platform),
        ("simd", &a.simd, &b.simd),
    ];
    let mut notes: Vec<String> = places
        .iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("{what}: {a}, now {b}"))
        .collect();
    let (x, y) = (old.outcome.to_json(), new.outcome.to_json());
    if x == y {
        return (Verdict::Same, notes.join("; "));
    }
    let line = x.lines().zip(y.lines()).find(|(x, y)| x != y);
    notes.push(match line {
        Some((x, y)) => format!("{}, now {}", x.trim(), y.trim()),
        None => "one outcome is longer".into(),
    });
    (Verdict::Differs, notes.join("; "))
}
