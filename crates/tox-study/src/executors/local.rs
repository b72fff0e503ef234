//! Processes of this machine.

use super::{EngineError, Executor, How, Key, Settings, Summary, Told, Work};
use crate::house::House;
use crate::runner::{self, Notice, RunOptions, Stop, run_jobs};
use crate::store::Store;

/// Runs trials here, some at a time.
pub struct Local;

impl Executor for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn about(&self) -> &'static str {
        "processes of this machine, --jobs at a time"
    }

    fn keys(&self) -> &'static [Key] {
        &[]
    }

    fn stopping(&self) -> &'static str {
        "stopping: trials write their checkpoints; Ctrl-C again kills them"
    }

    fn outlives(&self) -> bool {
        false
    }

    fn at_a_time(&self, _settings: &Settings, options: &RunOptions) -> Option<usize> {
        Some(options.jobs)
    }

    fn run(&self, work: &mut Work<'_>) -> Result<(), EngineError> {
        let jobs = runner::jobs(work.store, work.left.iter().copied(), work.options)?;
        run_jobs(jobs, work.options, work.stop, &mut |notice| {
            (work.tell)(Told::Trial(notice));
        });
        Ok(())
    }
}

/// Runs what is missing of a study here.
///
/// # Errors
/// As [`super::run`].
pub fn run(
    house: &House,
    store: &Store,
    options: &RunOptions,
    stop: &Stop,
    notify: &mut dyn FnMut(Notice),
) -> Result<Summary, EngineError> {
    let how = How {
        executor: &Local,
        settings: &Settings::default(),
        options,
        detach: false,
        resubmit: false,
    };
    super::run(house, store, how, stop, &mut |told| match told {
        Told::Trial(notice) => notify(notice),
        Told::Line(_) => {}
    })
}
