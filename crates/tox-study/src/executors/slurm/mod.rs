//! Slurm: arrays of tasks by `sbatch`, looked at by `squeue`. Accounting (`sacct`) is not needed.

use super::batch::{self, Alive, Batch, Batches, Driver, Folder, Submitted, System};
use super::{EngineError, Executor, Key, Settings, Work, trial_command};
use crate::files;
use crate::runner::RunOptions;
use serde::Serialize;
use std::process::Command;
use tox_data::text::shell_word;

/// The job script, for `minijinja`.
const JOB: &str = include_str!("job.sh");

/// Arrays of Slurm.
pub struct Slurm;

const NAME: &str = "slurm";

const OWN: [Key; 5] = [
    Key {
        name: "signal",
        about: "seconds before the time limit at which trials write their checkpoints (120)",
    },
    Key {
        name: "requeues",
        about: "how often a job that stopped with a checkpoint goes back into the queue by itself (20)",
    },
    Key {
        name: "parallel",
        about: "tasks of an array that run at a time (as many as the cluster gives)",
    },
    Key {
        name: "limit",
        about: "tasks in the queue at a time (Slurm's MaxJobCount)",
    },
    Key {
        name: "OPTION",
        about: "any long option of sbatch: partition, time, account, mem, gpus-per-task, ...",
    },
];

const KEYS: [Key; 9] = {
    let [a, b, c, d] = batch::KEYS;
    let [e, f, g, h, i] = OWN;
    [a, b, c, d, e, f, g, h, i]
};

/// Options of sbatch that are ours to give.
const OURS: [&str; 11] = [
    "array",
    "job-name",
    "output",
    "error",
    "open-mode",
    "parsable",
    "dependency",
    "requeue",
    "no-requeue",
    "wait",
    "wrap",
];

const SIGNAL: (u32, u32, u32) = (120, 1, 65535);
const REQUEUES: (u32, u32, u32) = (20, 0, 10_000);
const PARALLEL: (usize, usize, usize) = (0, 0, 1_000_000);
const LIMIT: (usize, usize, usize) = (10_000, 1, 1_000_000);

impl Executor for Slurm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "arrays of jobs of Slurm, from a node with sbatch and the study's folder on a shared file system"
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    fn takes_more(&self) -> bool {
        true
    }

    fn check(&self, settings: &Settings) -> Result<(), EngineError> {
        batch::check(NAME, settings)?;
        settings.number(NAME, "signal", SIGNAL)?;
        settings.number(NAME, "requeues", REQUEUES)?;
        settings.number(NAME, "parallel", PARALLEL)?;
        settings.number(NAME, "limit", LIMIT)?;
        for (key, _) in settings.others(self) {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let hint = "any other long option of sbatch may be set, such as partition=NAME";
            let what = match () {
                () if OURS.contains(&key) => format!("`{key}` is toxscreen's to set"),
                () if key.is_empty() || !key.chars().all(word) => {
                    format!("`{key}` is no option of sbatch")
                }
                () => continue,
            };
            return Err(EngineError::Setting {
                engine: NAME,
                what,
                hint: hint.to_owned(),
            });
        }
        Ok(())
    }

    fn stopping(&self) -> &'static str {
        "leaving: the jobs go on, and the same command finds them again"
    }

    fn outlives(&self) -> bool {
        true
    }

    fn at_a_time(&self, settings: &Settings, _options: &RunOptions) -> Option<usize> {
        settings.get("parallel")?.parse().ok().filter(|n| *n > 0)
    }

    fn run(&self, work: &mut Work<'_>) -> Result<(), EngineError> {
        let config = said("scontrol", &["show", "config"]);
        let settings = work.settings;
        let limit = config
            .as_ref()
            .map_or(LIMIT.0, |c| number(c, "MaxJobCount"));
        let queue = Queue {
            settings,
            options: work.options,
            // Indices go up to one below.
            most: config.map_or(1000, |c| number(&c, "MaxArraySize")).max(1),
            limit: settings.number(NAME, "limit", (limit, LIMIT.1, LIMIT.2))?,
        };
        Driver::new(work, queue)?.run()
    }
}

/// A number of `scontrol show config`; without it, what Slurm has from the start.
fn number(config: &str, key: &str) -> usize {
    let mut lines = config.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(name, _)| name.trim() == key);
    let default = if key == "MaxArraySize" { 1001 } else { LIMIT.0 };
    found
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(default)
}

/// What a program says on stdout, or how it fails.
fn said(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let output = output.map_err(|e| format!("cannot start {program}: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(words.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

/// What the template of a job is given; all paths are words of a shell.
#[derive(Serialize)]
struct Values<'a> {
    name: &'a str,
    study: String,
    /// A line of ids for each task.
    tasks: String,
    /// The command of a task, but for `--id IDS`.
    command: String,
    requeues: u32,
    threads: usize,
}

/// The queue of this user.
struct Queue<'a> {
    settings: &'a Settings,
    options: &'a RunOptions,
    most: usize,
    limit: usize,
}

impl System for Queue<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn room(&mut self) -> Result<(usize, usize), EngineError> {
        Ok((self.most, self.limit))
    }

    fn submit(&mut self, folder: &Folder, batch: &Batch) -> Result<Submitted, EngineError> {
        let mut command = trial_command(self.options, folder.study())?;
        if batch.shared {
            command.push_str(" --shared-only");
        }
        let path = |path: &std::path::Path| shell_word(&path.to_string_lossy()).into_owned();
        let text = batch::filled(
            self.settings,
            JOB,
            &Values {
                name: &batch.name,
                study: path(folder.study()),
                tasks: path(&folder.tasks(batch.number)),
                command,
                requeues: self.settings.number(NAME, "requeues", REQUEUES)?,
                threads: self.options.threads,
            },
        )?;
        let script = folder.script(batch.number);
        files::write_atomic(&script, text.as_bytes())?;
        let args = self.args(folder, batch)?;
        let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
        let script = script.to_string_lossy();
        words.push(&script);
        match said("sbatch", &words) {
            Ok(said) => {
                let job = said.trim().split(';').next().unwrap_or_default();
                Ok(Submitted::As(job.to_owned()))
            }
            Err(why) => refusal(why, &words),
        }
    }

    fn alive(&mut self, _folder: &Folder, batches: &Batches) -> Option<Alive> {
        let mut alive = Alive::default();
        if batches.is_empty() {
            return Some(alive);
        }
        let listed = said("squeue", &["--me", "-h", "-r", "-o", "%j|%i|%T|%r"]).ok()?;
        let names = batches.values().map(|b| (b.name.as_str(), b.number));
        let names: std::collections::BTreeMap<&str, usize> = names.collect();
        for line in listed.lines() {
            let mut parts = line.trim().splitn(4, '|');
            let (Some(name), Some(id)) = (parts.next(), parts.next()) else {
                continue;
            };
            let task = id.split_once('_').and_then(|(_, task)| task.parse().ok());
            if let (Some(&batch), Some(task)) = (names.get(name), task) {
                alive.tasks.insert((batch, task));
                if let (Some("PENDING"), Some(reason)) = (parts.next(), parts.next()) {
                    let told = !["None", "(null)", ""].contains(&reason);
                    alive.reasons.extend(told.then(|| reason.to_owned()));
                }
            }
        }
        Some(alive)
    }

    fn cancel(&self, batches: &Batches) -> String {
        let jobs: Vec<&str> = batches.values().filter_map(|b| b.job.as_deref()).collect();
        format!("end them with: scancel {}", jobs.join(" "))
    }
}

impl Queue<'_> {
    /// The options of sbatch.
    fn args(&self, folder: &Folder, batch: &Batch) -> Result<Vec<String>, EngineError> {
        let settings = self.settings;
        let last = batch.tasks.len().saturating_sub(1);
        let parallel = match settings.number(NAME, "parallel", PARALLEL)? {
            0 => String::new(),
            parallel => format!("%{parallel}"),
        };
        let signal = settings.number(NAME, "signal", SIGNAL)?;
        // In the name of a log `%` begins a pattern.
        let logs = folder.logs().to_string_lossy().replace('%', "%%");
        let mut args = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", batch.name),
            format!("--array=0-{last}{parallel}"),
            format!("--output={logs}/%A_%a.log"),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            format!("--signal=TERM@{signal}"),
            format!("--cpus-per-task={}", self.options.threads),
        ];
        if !batch.after.is_empty() {
            let all = folder.batches()?;
            let jobs = batch.after.iter().filter_map(|b| all.get(b)?.job.clone());
            // Where making a step fails, each trial tries it, and says why.
            let jobs: Vec<String> = jobs.collect();
            args.push(format!("--dependency=afterany:{}", jobs.join(":")));
        }
        for (key, value) in settings.others(&Slurm) {
            args.push(match value {
                "" => format!("--{key}"),
                value => format!("--{key}={value}"),
            });
        }
        Ok(args)
    }
}

/// Whether a refusal passes.
fn refusal(why: String, args: &[&str]) -> Result<Submitted, EngineError> {
    let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
    // As Slurm words what passes, and its limits of jobs.
    let passes = [
        "Unable to contact",
        "timed out",
        "temporarily",
        "Connection refused",
        "Zero Bytes",
        "not responding",
    ];
    let limits = [
        "job submit limit",
        "MaxSubmit",
        "SubmitJob",
        "MaxJob",
        "job array size",
        "Invalid job array specification",
    ];
    match () {
        () if has(&passes) => Ok(Submitted::NotNow(why)),
        () if has(&limits) => Ok(Submitted::TooMany(why)),
        () => {
            let words: Vec<_> = args.iter().map(|word| shell_word(word)).collect();
            Err(EngineError::Refused {
                command: format!("sbatch {}", words.join(" ")),
                said: why,
                hint: "correct [engine.slurm] of the configuration, or --slurm; `sbatch --help` has its options"
                    .to_owned(),
            })
        }
    }
}
