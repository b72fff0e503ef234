//! Any batch system that takes a script: PBS, LSF, SGE, or a shell. After a submission the study's folder alone is
//! watched.

use super::batch::{self, Alive, Batch, Batches, Driver, Folder, Submitted, System};
use super::{EngineError, Executor, Key, Settings, Work, trial_command};
use crate::files;
use crate::runner::RunOptions;
use serde::Serialize;
use std::path::Path;
use std::process::Command as Process;
use tox_data::text::shell_word;

/// The job script, for `minijinja`.
const JOB: &str = include_str!("job.sh");

/// A command that submits a script.
pub struct Command;

const NAME: &str = "command";

const KEYS: [Key; 6] = {
    let [a, b, c, d] = batch::KEYS;
    let submit = Key {
        name: "submit",
        about: "the command that submits a script, such as qsub {script}; {name} is the job's name",
    };
    let limit = Key {
        name: "limit",
        about: "jobs that are not over at a time (1000)",
    };
    [submit, limit, a, b, c, d]
};

const LIMIT: (usize, usize, usize) = (1000, 1, 1_000_000);

impl Executor for Command {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "a command that submits a script, for PBS, LSF, SGE and others: --submit 'qsub {script}'"
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    fn check(&self, settings: &Settings) -> Result<(), EngineError> {
        batch::check(NAME, settings)?;
        settings.number(NAME, "limit", LIMIT)?;
        if settings
            .get("submit")
            .is_some_and(|s| s.contains("{script}"))
        {
            return Ok(());
        }
        Err(EngineError::Setting {
            engine: NAME,
            what: "`submit` must be a command with {script} in it".to_owned(),
            hint: "for PBS and SGE --submit 'qsub {script}', for LSF --submit 'bsub < {script}'"
                .to_owned(),
        })
    }

    fn stopping(&self) -> &'static str {
        "leaving: the jobs go on, and the same command finds them again"
    }

    fn outlives(&self) -> bool {
        true
    }

    fn at_a_time(&self, _settings: &Settings, _options: &RunOptions) -> Option<usize> {
        None
    }

    fn run(&self, work: &mut Work<'_>) -> Result<(), EngineError> {
        let scripts = Scripts {
            settings: work.settings,
            options: work.options,
            limit: work.settings.number(NAME, "limit", LIMIT)?,
        };
        Driver::new(work, scripts)?.run()
    }
}

/// What the template of a job is given; all paths are words of a shell.
#[derive(Serialize)]
struct Values<'a> {
    name: &'a str,
    study: String,
    command: String,
    ids: String,
    log: String,
    /// The file that says that the job is over.
    over: String,
    threads: usize,
}

/// Scripts that are submitted one by one.
struct Scripts<'a> {
    settings: &'a Settings,
    options: &'a RunOptions,
    limit: usize,
}

impl System for Scripts<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn room(&mut self) -> Result<(usize, usize), EngineError> {
        Ok((1, self.limit))
    }

    fn submit(&mut self, folder: &Folder, batch: &Batch) -> Result<Submitted, EngineError> {
        // Nothing is known of a system's own way to say that a job waits for another.
        if batch.after.iter().any(|made| !folder.over(*made).is_file()) {
            return Ok(Submitted::NotNow(
                "trials wait for what others make for them".to_owned(),
            ));
        }
        let mut command = trial_command(self.options, folder.study())?;
        if batch.shared {
            command.push_str(" --shared-only");
        }
        let word = |path: &Path| shell_word(&path.to_string_lossy()).into_owned();
        let text = batch::filled(
            self.settings,
            JOB,
            &Values {
                name: &batch.name,
                study: word(folder.study()),
                command,
                ids: batch.tasks.concat().join(","),
                log: word(&folder.logs().join(format!("{}.log", batch.name))),
                over: word(&folder.over(batch.number)),
                threads: self.options.threads,
            },
        )?;
        let script = folder.script(batch.number);
        files::write_atomic(&script, text.as_bytes())?;
        let line = self.settings.get("submit").unwrap_or_default();
        let line = line.replace("{script}", &word(&script));
        let line = line.replace("{name}", &batch.name);
        let output = Process::new("sh").args(["-c", &line]).output();
        let output = output.map_err(files::failed("start", Path::new("sh")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', " ");
        if output.status.success() {
            let job = text(&output.stdout);
            return Ok(Submitted::As(match job.is_empty() {
                true => batch.name.clone(),
                false => job,
            }));
        }
        Err(EngineError::Refused {
            command: line,
            said: text(&output.stderr),
            hint: "correct --submit, or [engine.command] of the configuration; what is submitted goes on, and \
                   the same command finds it again"
                .to_owned(),
        })
    }

    /// A job is over once its script says so.
    fn alive(&mut self, folder: &Folder, batches: &Batches) -> Option<Alive> {
        let open = batches.values().filter(|batch| {
            let submitted = batch.job.is_some();
            submitted && !folder.over(batch.number).is_file()
        });
        Some(Alive {
            tasks: open.map(|batch| (batch.number, 0)).collect(),
            ..Alive::default()
        })
    }

    fn cancel(&self, _batches: &Batches) -> String {
        "cluster/jobs.jsonl has their names; jobs that were killed are submitted again with --resubmit".to_owned()
    }
}
