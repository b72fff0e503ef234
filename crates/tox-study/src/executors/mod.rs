//! What runs the trials of a study: processes here, the jobs of a cluster. One is added by a folder and a
//! line in [`EXECUTORS`].
//!
//! Where a trial runs changes no outcome, so nothing here is of a recipe. A trial is done if it has a record,
//! whoever made it; an executor sees to it that each gets one.

mod batch;
mod command;
pub mod local;
mod settings;
mod slurm;

pub use settings::{Key, Settings};

use crate::files::{self, FileError};
use crate::house::House;
use crate::runner::{End, News, Notice, RunOptions, Stop};
use crate::store::{Failure, Store};
use std::path::{Path, PathBuf};
use tox_data::text::shell_word;

/// All executors; the first is the one that is taken where nobody asks for another.
pub const EXECUTORS: &[&dyn Executor] = &[&local::Local, &slurm::Slurm, &command::Command];

/// The executor of a name.
pub fn executor(name: &str) -> Option<&'static dyn Executor> {
    EXECUTORS.iter().copied().find(|e| e.name() == name)
}

/// Something that runs trials.
pub trait Executor: Sync {
    /// Its name, as `--engine` takes it.
    fn name(&self) -> &'static str;

    /// What it is, in a line.
    fn about(&self) -> &'static str;

    /// Its settings.
    fn keys(&self) -> &'static [Key];

    /// Whether it takes keys that it does not know, as options of a program that it starts.
    fn takes_more(&self) -> bool {
        false
    }

    /// Refuses settings that it cannot follow, before a folder is made.
    ///
    /// # Errors
    /// The first of them.
    fn check(&self, _settings: &Settings) -> Result<(), EngineError> {
        Ok(())
    }

    /// What is said at the first Ctrl-C.
    fn stopping(&self) -> &'static str;

    /// Whether its trials go on without the command that began them.
    fn outlives(&self) -> bool;

    /// Trials that run at a time; `None` where that is not ours to know.
    fn at_a_time(&self, settings: &Settings, options: &RunOptions) -> Option<usize>;

    /// Runs trials, and tells of each how it ended; returns when all have, when the user wishes to stop, or, if
    /// told to detach, when nothing is left to be begun.
    ///
    /// # Errors
    /// When nothing can be run at all; a trial that fails is told of.
    fn run(&self, work: &mut Work<'_>) -> Result<(), EngineError>;
}

/// What an executor is given.
pub struct Work<'a> {
    pub house: &'a House,
    pub store: &'a Store,
    /// The trials to run, by their place in the plan.
    pub left: Vec<usize>,
    pub options: &'a RunOptions,
    pub settings: &'a Settings,
    pub detach: bool,
    /// Whether jobs that were submitted before are taken for dead.
    pub resubmit: bool,
    pub stop: &'a Stop,
    pub tell: &'a mut dyn FnMut(Told),
}

impl Work<'_> {
    fn say(&mut self, line: impl Into<String>) {
        (self.tell)(Told::Line(line.into()));
    }
}

/// What an executor tells.
#[derive(Clone, Debug)]
pub enum Told {
    /// Of a trial.
    Trial(Notice),
    /// Of all, for people.
    Line(String),
}

/// Why trials cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A setting cannot be followed.
    #[error("the engine \"{engine}\": {what}")]
    Setting {
        engine: &'static str,
        /// Which, and what is wrong with it.
        what: String,
        hint: String,
    },
    /// A program of the cluster refuses.
    #[error("`{command}` failed: {said}")]
    Refused {
        command: String,
        /// Its words.
        said: String,
        hint: String,
    },
    /// The template of a job.
    #[error("the job template {}: {what}", path.display())]
    Template { path: PathBuf, what: String },
}

impl EngineError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Setting { hint, .. } | Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Template { .. } => {
                Some("docs/guide/clusters.md has the template to start from".to_owned())
            }
        }
    }
}

/// How a study is run.
#[derive(Clone, Copy)]
pub struct How<'a> {
    pub executor: &'a dyn Executor,
    pub settings: &'a Settings,
    pub options: &'a RunOptions,
    pub detach: bool,
    pub resubmit: bool,
}

/// How a run of a study ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Trials of the study.
    pub planned: usize,
    /// Trials that were done before.
    pub before: usize,
    /// Trials that this run finished.
    pub done: usize,
    /// Trials that failed in this run.
    pub failed: Vec<Failure>,
    /// Trials whose record cannot be believed, and why. They are left as they are.
    pub damaged: Vec<String>,
}

impl Summary {
    /// Whether every trial has a record.
    pub fn is_complete(&self) -> bool {
        self.before + self.done == self.planned
    }

    /// Trials that have neither a record nor a failure.
    pub fn open(&self) -> usize {
        let ended = self.before + self.done + self.failed.len() + self.damaged.len();
        self.planned.saturating_sub(ended)
    }
}

/// Runs what is missing of a study. The caller holds the lock of [`Store::create`].
///
/// # Errors
/// When the study's own folder cannot be written, or nothing can be run; a failing trial is counted, not an
/// error.
pub fn run(
    house: &House,
    store: &Store,
    how: How<'_>,
    stop: &Stop,
    tell: &mut dyn FnMut(Told),
) -> Result<Summary, EngineError> {
    let mut summary = Summary {
        planned: store.study.trials.len(),
        ..Summary::default()
    };
    let mut left = Vec::new();
    for (index, trial) in store.study.trials.iter().enumerate() {
        if !store.is_done(&trial.id) {
            left.push(index);
            continue;
        }
        match store.damage(&trial.id) {
            None => {
                summary.before += 1;
                // Data may lie in another place now.
                write_spec(store, index)?;
            }
            Some(damage) => summary.damaged.push(damage),
        }
    }
    let mut hear = |told: Told| {
        if let Told::Trial(Notice { news, .. }) = &told {
            match news {
                News::Ended(End::Done) => summary.done += 1,
                News::Ended(End::Failed(failure)) => {
                    // The caller has it all the same.
                    if let Err(error) = failure.keep(&store.trial_dir(&failure.trial)) {
                        tell(Told::Line(format!("warning: {error}")));
                    }
                    summary.failed.push(failure.clone());
                }
                News::Ended(End::Stopped) | News::Started | News::Progress { .. } => {}
            }
        }
        tell(told);
    };
    let mut work = Work {
        house,
        store,
        left,
        options: how.options,
        settings: how.settings,
        detach: how.detach,
        resubmit: how.resubmit,
        stop,
        tell: &mut hear,
    };
    how.executor.run(&mut work)?;
    store.sweep()?;
    Ok(summary)
}

/// Writes the spec of a trial into its folder, unless it is there.
///
/// # Errors
/// When it cannot be written.
pub fn write_spec(store: &Store, trial: usize) -> Result<(), FileError> {
    let trial = &store.study.trials[trial];
    let dir = store.trial_dir(&trial.id);
    let (path, text) = (dir.join("spec.json"), trial.spec_json());
    match std::fs::read(&path) {
        Ok(found) if found == text.as_bytes() => Ok(()),
        _ => {
            files::create_dir(&dir)?;
            files::write_derived(&path, text.as_bytes())
        }
    }
}

/// The command of a trial of the study in `dir`, for a shell, but for the words that say which.
///
/// # Errors
/// When the current folder is not known.
pub fn trial_command(options: &RunOptions, dir: &Path) -> Result<String, FileError> {
    let word = |path: &Path| -> Result<String, FileError> {
        let path = std::path::absolute(path).map_err(files::failed("find", path))?;
        Ok(shell_word(&path.to_string_lossy()).into_owned())
    };
    let mut words = vec![
        word(&options.program)?,
        "trial --study".to_owned(),
        word(dir)?,
    ];
    if options.threads != 1 {
        words.push(format!("--threads {}", options.threads));
    }
    // More than one are of this machine alone.
    if let [device] = options.devices.as_slice()
        && device != "cpu"
    {
        words.push(format!("--device {device}"));
    }
    if let Some(data) = &options.data_dir {
        words.push(format!("--data-dir {}", word(data)?));
    }
    if options.allow_commands {
        words.push("--allow-commands".to_owned());
    }
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_have_names_and_keys_of_their_own() {
        let mut names: Vec<_> = EXECUTORS.iter().map(|e| e.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EXECUTORS.len());
        for e in EXECUTORS {
            let mut keys: Vec<_> = e.keys().iter().map(|key| key.name).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), e.keys().len(), "{}", e.name());
            assert!(executor(e.name()).is_some_and(|found| found.about() == e.about()));
        }
    }
}
