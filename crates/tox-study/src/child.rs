//! The process of one trial: `toxscreen trial`. It is its own fault domain; a cluster runs the
//! same command.

use crate::files::{self, FileError, failed};
use crate::lock::Lock;
use crate::plan::trial_id;
use crate::record::{Provenance, Record, RecordError, Timing};
use crate::spec::TrialSpec;
use crate::trial::{Exit, Failure, Finished, Parts, Progress, TrialContext};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tox_data::checkpoint::NOTE;

/// Time that a trial has for its last checkpoint after the process that started it is gone.
const GRACE: Duration = Duration::from_secs(30);

/// Shortest time between two progress lines.
const PACE: Duration = Duration::from_millis(250);

/// A line of `events.jsonl`, and of a trial's stdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The process began, from a checkpoint or from nothing.
    Started {
        /// Seconds since the Unix epoch.
        unix: u64,
    },
    /// It got somewhere.
    Progress {
        /// Wall seconds since this process began.
        seconds: f64,
        /// Share of the trial that is done, 0 to 1.
        done: f64,
        /// What is going on.
        message: String,
    },
    /// The process ends; the trial has a record.
    Finished {
        /// Wall seconds since this process began.
        seconds: f64,
    },
}

/// What `toxscreen trial` was told.
#[derive(Clone, Debug)]
pub struct Options {
    /// `spec.json`.
    pub spec: PathBuf,
    /// The trial's folder.
    pub dir: PathBuf,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--shared`: what the trials of a study share.
    pub shared: Option<PathBuf>,
    /// See [`TrialContext::shared_only`].
    pub shared_only: bool,
    /// Device string.
    pub device: String,
    /// Threads of this trial.
    pub threads: usize,
}

/// Why the process of a trial ended without a record.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The spec is not one.
    #[error("{} is not a trial's spec: {message}", path.display())]
    Spec {
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// Another process runs this trial.
    #[error("another process runs the trial in {}", dir.display())]
    Busy {
        /// The trial's folder.
        dir: PathBuf,
    },
    /// The record cannot be made.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The trial itself.
    #[error(transparent)]
    Trial(#[from] Failure),
}

/// [`House::execute`](crate::house::House::execute), or what a test puts in its place.
pub type Execute<'a> = &'a dyn Fn(&TrialSpec, TrialContext<'_>) -> Result<Finished, Failure>;

/// Writes an event to stdout, where the process that started this one reads it. Nobody may: that does
/// not end a trial.
pub fn print(event: &Event) {
    let mut out = std::io::stdout().lock();
    let _ = out
        .write_all(line(event).as_bytes())
        .and_then(|()| out.flush());
}

/// Runs a trial and writes its record. `tell` hears what is written to `events.jsonl`.
///
/// # Errors
/// When the trial stops or fails.
pub fn run(
    options: &Options,
    stop: &AtomicBool,
    execute: Execute<'_>,
    tell: &mut dyn FnMut(&Event),
) -> Result<Record, ChildError> {
    let text = files::read(&options.spec)?;
    let spec: TrialSpec = serde_json::from_str(&text).map_err(|e| ChildError::Spec {
        path: options.spec.clone(),
        message: e.to_string(),
    })?;
    let dir = &options.dir;
    files::create_dir(dir)?;
    // After a kill of the runner, a new one may be here before the old child has ended.
    let lock = Lock::take(&dir.join(".lock"), GRACE + Duration::from_secs(10))?;
    let _lock = lock.ok_or_else(|| ChildError::Busy { dir: dir.clone() })?;
    files::remove_unfinished(dir)?;
    let path = dir.join("record.json");
    if path.is_file() {
        let record = Record::read(&path)?;
        if record.trial == trial_id(&spec) {
            remove_leftovers(dir)?;
            return Ok(record);
        }
        return Err(RecordError::Changed {
            path,
            what: "it is another trial's",
        }
        .into());
    }

    let mut log = Log::open(&dir.join("events.jsonl"), tell)?;
    let mut progress = |p: Progress| log.progress(p);
    let context = TrialContext {
        dir,
        data_dir: options.data_dir.as_deref(),
        shared: options.shared.as_deref(),
        shared_only: options.shared_only,
        device: &options.device,
        threads: options.threads,
        stop,
        progress: &mut progress,
    };
    let finished = execute(&spec, context)?;
    let provenance = Provenance {
        toxscreen: env!("CARGO_PKG_VERSION").to_owned(),
        data_hash: finished.data_hash,
        data_notes: finished.data_notes,
        chance_error: finished.chance_error,
        device: options.device.clone(),
        adapter: finished.machine.adapter,
        threads: options.threads,
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        simd: finished.machine.simd,
    };
    let record = Record::seal(
        spec,
        finished.outcome,
        provenance,
        log.timing(finished.parts),
    )?;
    files::write_atomic(&path, record.to_json().as_bytes())?;
    remove_leftovers(dir)?;
    log.finished();
    Ok(record)
}

/// Removes what a trial that has its record leaves: what it would have been resumed from, and how it
/// failed before.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), FileError> {
    files::remove_matching(dir, |name| {
        name.starts_with("checkpoint") || name == "failure.json"
    })
}

/// Sets `stop` when stdin ends, which it does when the process that holds its other end closes it
/// or dies; a trial that does not stop in time is ended.
pub fn stop_with_stdin(stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|n| n > 0) {}
        stop.store(true, Ordering::SeqCst);
        std::thread::sleep(GRACE);
        std::process::exit(i32::from(Exit::Stopped.code()));
    });
}

/// `events.jsonl`, and who hears of its lines too. Neither is needed for the outcome, so trouble
/// with them does not end a trial: a full disk shows where it matters, at the checkpoint.
struct Log<'a> {
    file: File,
    tell: &'a mut dyn FnMut(&Event),
    begun: Instant,
    last: Option<Instant>,
    timing: Timing,
}

impl<'a> Log<'a> {
    fn open(path: &Path, tell: &'a mut dyn FnMut(&Event)) -> Result<Self, FileError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map(|d| d.as_secs()).unwrap_or_default();
        let timing = Past::read(path, now)?.timing;
        let mut log = Self {
            file: files::open_log(path)?,
            tell,
            begun: Instant::now(),
            last: None,
            timing,
        };
        let line = files::sealed(&Event::Started { unix: now }) + "\n";
        log.file
            .write_all(line.as_bytes())
            .map_err(failed("write", path))?;
        Ok(log)
    }

    fn progress(&mut self, progress: Progress) {
        let note = progress.message.contains(NOTE);
        if note || self.last.is_none_or(|t| t.elapsed() >= PACE) {
            self.last = Some(Instant::now());
            self.write(&Event::Progress {
                seconds: self.begun.elapsed().as_secs_f64(),
                done: progress.done,
                message: progress.message,
            });
        }
    }

    fn finished(&mut self) {
        self.write(&Event::Finished {
            seconds: self.begun.elapsed().as_secs_f64(),
        });
    }

    fn write(&mut self, event: &Event) {
        let line = files::sealed(event) + "\n";
        let _ = self.file.write_all(line.as_bytes());
        (self.tell)(event);
    }

    /// Over all parts of the trial; of a part that was killed, up to its last line.
    fn timing(&self, parts: Parts) -> Timing {
        Timing {
            parts,
            seconds: self.timing.seconds + self.begun.elapsed().as_secs_f64(),
            ..self.timing.clone()
        }
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default() + "\n"
}

/// What a trial's log tells.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// Of the parts of the trial so far.
    pub timing: Timing,
    /// Share of the trial that was done when it last said so.
    pub done: Option<f64>,
    /// Lines that cannot be believed: torn by a kill, or changed since. They are left out.
    pub damaged: usize,
}

impl Past {
    /// Reads a log, which need not be there; `now` is the start of a trial without one.
    pub fn read(path: &Path, now: u64) -> Result<Self, FileError> {
        let mut past = Self {
            timing: Timing {
                started_unix: now,
                seconds: 0.0,
                resumed: 0,
                parts: Parts::new(),
            },
            done: None,
            damaged: 0,
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(past),
            Err(e) => return Err(failed("read", path)(e)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut part = 0.0;
        let timing = &mut past.timing;
        for line in text.lines().filter(|line| !line.is_empty()) {
            match files::unsealed(line) {
                Some(Event::Started { unix }) => {
                    timing.started_unix = timing.started_unix.min(unix);
                    timing.seconds += part;
                    timing.resumed += 1;
                    part = 0.0;
                }
                Some(Event::Progress { seconds, done, .. }) => {
                    (part, past.done) = (seconds, Some(done));
                }
                Some(Event::Finished { seconds }) => part = seconds,
                None => past.damaged += 1,
            }
        }
        timing.seconds += part;
        Ok(past)
    }
}
