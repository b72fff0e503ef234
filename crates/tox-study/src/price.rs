//! What is left of a study costs, before it runs: trials times measured seconds.
//!
//! Nothing is guessed. A cell's trial costs what its records say, or what the trials under way say by the share
//! that they have done, or what a short run of one says; where there is none of these, it cannot be told.

use crate::child::Past;
use crate::files::{self, FileError, failed};
use crate::plan::Trial;
use crate::recipe::Study;
use crate::record::Record;
use crate::runner::{End, Job, News, RunOptions, Stop, run_jobs};
use serde::Serialize;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Least share of a trial that must be done for its rest to be told from it.
const SHARE: f64 = 0.01;

/// Trials that are looked at in all, spread over the cells.
const SAMPLE: usize = 1000;

/// What a price is told from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Basis {
    /// Trials of the cell that are done.
    Records { trials: usize },
    /// Trials of the cell that are begun, which have done this share on average.
    UnderWay { trials: usize, share: f64 },
    /// A run of one trial on this machine up to this share.
    Probe { share: f64 },
    /// Nothing.
    Nothing,
}

/// What the trials of a cell cost that are left.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellPrice {
    /// Its name.
    pub cell: String,
    /// Trials without a record.
    pub left: usize,
    /// Wall seconds of one, on `threads`.
    pub seconds: Option<f64>,
    pub threads: usize,
    pub basis: Basis,
    /// A trial of it, by its place in the plan.
    #[serde(skip)]
    pub trial: usize,
}

impl CellPrice {
    /// Core-hours of what is left.
    pub fn core_hours(&self) -> Option<f64> {
        let each = self.seconds? * self.threads as f64 / 3600.0;
        Some(each * self.left as f64)
    }
}

/// What is left of a study, cell by cell; of a study whose folder `dir` is not there, all.
///
/// # Errors
/// When a log cannot be read.
pub fn of(study: &Study, dir: &Path, threads: usize) -> Result<Vec<CellPrice>, FileError> {
    let mut cells: Vec<(String, Vec<usize>)> = Vec::new();
    for (i, trial) in study.trials.iter().enumerate() {
        let name = trial.cell();
        match cells.last_mut().filter(|(last, _)| *last == name) {
            Some((_, trials)) => trials.push(i),
            None => cells.push((name, vec![i])),
        }
    }
    let each = (SAMPLE / cells.len().max(1)).max(1);
    let mut prices = Vec::new();
    for (cell, trials) in cells {
        let place = |i: usize| dir.join("trials").join(&study.trials[i].id);
        let done = |i: &&usize| place(**i).join("record.json").is_file();
        let (made, left): (Vec<usize>, Vec<usize>) = trials.iter().partition(done);
        // A record that cannot be believed tells nothing.
        let records = made.iter().take(each);
        let records: Vec<Record> = records
            .filter_map(|&i| Record::read(&place(i).join("record.json")).ok())
            .collect();
        let mut price = CellPrice {
            cell,
            left: left.len(),
            seconds: None,
            threads,
            basis: Basis::Nothing,
            trial: left.first().copied().unwrap_or_default(),
        };
        if let Some(first) = records.first() {
            price.seconds = mean(records.iter().map(|r| r.timing.seconds));
            price.threads = first.provenance.threads;
            price.basis = Basis::Records {
                trials: records.len(),
            };
        } else {
            let mut begun = Vec::new();
            for &i in left.iter().take(each) {
                let past = Past::read(&place(i).join("events.jsonl"), 0)?;
                let share = past.done.filter(|share| *share >= SHARE);
                begun.extend(share.map(|share| (past.timing.seconds / share, share)));
            }
            if let Some(share) = mean(begun.iter().map(|b| b.1)) {
                price.seconds = mean(begun.iter().map(|b| b.0));
                let trials = begun.len();
                price.basis = Basis::UnderWay { trials, share };
            }
        }
        prices.push(price);
    }
    Ok(prices)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

/// Prices the cells of which nothing is known: runs a trial of each in a temporary folder, for `most` seconds
/// at most, and hears how far it comes.
///
/// # Errors
/// When the temporary folder cannot be used.
pub fn probe(
    study: &Study,
    prices: &mut [CellPrice],
    options: &RunOptions,
    most: Duration,
    stop: &Stop,
) -> Result<(), FileError> {
    let temp = std::env::temp_dir();
    let scratch = tempfile::tempdir().map_err(failed("create a folder in", &temp))?;
    let open = prices
        .iter_mut()
        .filter(|p| p.seconds.is_none() && p.left > 0);
    for (i, price) in open.enumerate() {
        if stop.load(Ordering::SeqCst) > 0 {
            break;
        }
        let trial: &Trial = &study.trials[price.trial];
        let dir = scratch.path().join(i.to_string());
        files::create_dir(&dir)?;
        let mut job = Job::new(0, trial, dir, options)?;
        job.kernels = study.recipe.kernels.map(crate::recipe::Kernels::word);
        let begun = Instant::now();
        let enough = AtomicUsize::new(0);
        let mut seen: Option<(f64, f64)> = None;
        let over = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (enough, over) = (&enough, &over);
            scope.spawn(move || {
                while over.load(Ordering::SeqCst) == 0 {
                    if begun.elapsed() >= most || stop.load(Ordering::SeqCst) > 0 {
                        enough.store(1, Ordering::SeqCst);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            run_jobs(VecDeque::from([job]), options, enough, &mut |notice| {
                let seconds = begun.elapsed().as_secs_f64();
                match notice.news {
                    News::Progress { done, .. } => seen = Some((seconds, done)),
                    News::Ended(End::Done) => seen = Some((seconds, 1.0)),
                    News::Ended(End::Failed(_)) => seen = None,
                    News::Ended(End::Stopped) | News::Started => {}
                }
            });
            over.store(1, Ordering::SeqCst);
        });
        if let Some((seconds, share)) = seen.filter(|(_, share)| *share >= SHARE) {
            price.seconds = Some(seconds / share);
            price.threads = options.threads;
            price.basis = Basis::Probe { share };
        }
    }
    Ok(())
}
