//! Are the files of a study as they were written, are its data those that it was made with, and does
//! running a trial again give the same outcome, byte for byte?
//!
//! What cannot be known: whether someone sealed a record anew with another time, number of threads or
//! version. The seal has no key.

mod compare;
mod folder;

use crate::files::{self, FileError, failed};
use crate::house::House;
use crate::record::Record;
use crate::runner::{End, Job, News, Notice, RunOptions, Stop, run_jobs};
use crate::store::Store;
use crate::trial::Exit;
use compare::compare;
use folder::Sets;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use tox_data::{DataDir, isa};

/// What was found about a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Its trials, in their order.
    pub trials: Vec<Check>,
    /// Files that are not as they should be.
    pub files: Vec<FileCheck>,
}

/// What was found about a file, or about data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileCheck {
    /// The file below the study's folder, or what a recipe calls the data.
    pub file: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub note: String,
}

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

/// A verdict on a record or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is no record yet.
    Missing,
    /// The record is as it was written; it was not run again.
    Intact,
    /// Running it again gave the same outcome.
    Same,
    /// It was made with another instruction set, platform or toxscreen, or on a device that does not repeat
    /// itself, so that bits cannot be compared here; every number lies within the tolerance.
    Close,
    /// So it was, and some value lies further apart; or data or files that it was made with are not here.
    CannotTell,
    /// Its learner does not repeat itself, and its errors lie within the tolerance that the recipe gives it.
    Within,
    /// Of no consequence: left over, or torn by a kill.
    Noted,
    /// Running it again gave another outcome.
    Differs,
    /// Running it again failed, or its data or files are others now.
    Failed,
    /// It was changed after it was written.
    Damaged,
}

impl Verdict {
    /// Whether the study does not pass with this.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Differs | Self::Failed | Self::Damaged)
    }

    /// Whether it says that something cannot be compared here.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Close | Self::CannotTell)
    }

    /// The verdict in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Intact => "intact",
            Self::Same => "same",
            Self::Close => "close",
            Self::CannotTell => "cannot tell",
            Self::Within => "within",
            Self::Noted => "noted",
            Self::Differs => "DIFFERS",
            Self::Failed => "FAILED",
            Self::Damaged => "DAMAGED",
        }
    }
}

/// Checks every record of a study and runs up to `sample` of them again (in the order of their
/// ids, which are hashes: a fixed choice that follows no cell), in a temporary folder, each on the
/// device and with the threads that its record names; `usable` says why a device cannot be used here.
///
/// # Errors
/// When the temporary folder cannot be used.
pub fn verify(
    house: &House,
    store: &Store,
    sample: usize,
    options: &RunOptions,
    usable: &dyn Fn(&str) -> Result<(), String>,
    stop: &Stop,
    notify: &mut dyn FnMut(Notice),
) -> Result<Found, FileError> {
    let data_dir = DataDir::resolve(options.data_dir.as_deref());
    let mut sets = Sets::new(*house, data_dir.as_ref());
    let mut files = folder::files(store)?;
    files.extend(sets.files(store));
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
            Some(Ok(record)) => match sets.amiss(&record) {
                Some(amiss) => (None, Verdict::Damaged, amiss),
                None => {
                    let note = elsewhere(&record);
                    (Some(record), Verdict::Intact, note)
                }
            },
            Some(Err(_)) => {
                let damage = store.damage(&trial.id);
                (None, Verdict::Damaged, damage.unwrap_or_default())
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
    let mut devices: BTreeMap<&str, Result<(), String>> = BTreeMap::new();
    for i in chosen {
        let Some(record) = &records[i] else { continue };
        if let Some((verdict, lacks)) = sets.lacks(&record.spec) {
            checks[i].verdict = verdict;
            checks[i].note = format!("cannot be run again here: {lacks}");
            continue;
        }
        let device = record.provenance.device.as_str();
        if let Err(why) = devices.entry(device).or_insert_with(|| usable(device)) {
            checks[i].verdict = Verdict::CannotTell;
            checks[i].note = format!("made on {}, here: {why}", record.provenance.place());
            continue;
        }
        let dir = scratch.path().join(&trials[i].id);
        files::create_dir(&dir)?;
        let there = RunOptions {
            devices: vec![record.provenance.device.clone()],
            threads: record.provenance.threads,
            ..options.clone()
        };
        let mut job = Job::new(i, &trials[i], dir, &there)?;
        job.kernels = kernels(record);
        jobs.push_back(job);
    }
    run_jobs(jobs, options, stop, &mut |notice| {
        let i = notice.trial;
        if let (News::Ended(end), Some(old)) = (&notice.news, &records[i]) {
            let path = scratch.path().join(&trials[i].id).join("record.json");
            let (verdict, note) = match end {
                End::Done => match Record::read(&path) {
                    Ok(new) => {
                        let found = compare(old, &new, tolerance(house, old));
                        if found.0 == Verdict::Same {
                            let again = scratch.path().join(&trials[i].id);
                            files.extend(folder::left(store, &trials[i].id, &again));
                        }
                        found
                    }
                    Err(e) => (Verdict::Failed, e.to_string()),
                },
                End::Stopped => (Verdict::Intact, "stopped before it was compared".into()),
                // Not the record's fault, such as what a learner reads beside its files.
                End::Failed(failure) if failure.exit_code == Some(Exit::Data.code().into()) => {
                    let note = format!("cannot be run again here: {}", failure.message);
                    (Verdict::CannotTell, note)
                }
                End::Failed(failure) => (Verdict::Failed, failure.message.clone()),
            };
            checks[i].verdict = verdict;
            checks[i].note = note;
        }
        notify(notice);
    });
    Ok(Found {
        trials: checks,
        files,
    })
}

/// How far errors may lie apart where the record's learner does not repeat itself.
fn tolerance(house: &House, record: &Record) -> Option<f64> {
    let learner = house.learner(&record.spec.learner.kind)?;
    learner.tolerance(&record.spec.learner)
}

/// What is unlike here in where a record was made.
fn elsewhere(record: &Record) -> String {
    let (found, here) = (&record.provenance.toxscreen, env!("CARGO_PKG_VERSION"));
    match found == here {
        true => String::new(),
        false => format!("made by toxscreen {found}, this is {here}"),
    }
}

/// What `TOXSCREEN_KERNELS` must be for a trial to run with the instruction set of its record, where this
/// machine can and nobody asked for another.
fn kernels(record: &Record) -> Option<&'static str> {
    let given = std::env::var_os("TOXSCREEN_KERNELS").is_some_and(|value| !value.is_empty());
    let here = match isa::plain() {
        true => isa::name_of_plain(),
        false => isa::name(),
    };
    if given || record.provenance.device != "cpu" {
        return None;
    }
    let word = |c: char| c == ',' || c.is_whitespace();
    match record.provenance.simd.split(word).next() {
        Some(there) if there == here => None,
        Some("avx2") if here == "avx512" => Some("avx2"),
        Some("portable") => Some("portable"),
        // The synthetic example has no kernels and is plain whatever is asked for.
        Some("plain") if !record.spec.data.is_drawn() => Some("plain"),
        _ => None,
    }
}
