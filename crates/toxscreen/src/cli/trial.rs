//! `toxscreen trial`: one trial in this process. `run` starts it for each; so may a cluster.

use super::allow::Allow;
use super::options::{Folder, device};
use super::{Output, Result, on_interrupt, usage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tox_audits::HOUSE;
use tox_study::child::{self, ChildError, Options};
use tox_study::files::{self, Lock};
use tox_study::plan;
use tox_study::spec::TrialSpec;
use tox_study::store::{self, Store};
use tox_study::trial::{Exit, Failure, Finished, TrialContext};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen plan my.toml --out runs/mine --commands | parallel
  toxscreen plan my.toml --out runs/mine --commands | xargs -d '\\n' -P 4 -I{} sh -c {}
  toxscreen trial --study runs/mine --index $SLURM_ARRAY_TASK_ID
  toxscreen trial --study runs/mine --id 3f9c435cf2478e0c

Runs one trial in this process, from its checkpoint if there is one; one that is done ends at
once. It writes record.json or failure.json into its folder, so that `status` and `report` work
on a study that anybody is filling; lines of JSON on stdout say how far it is. SIGTERM and Ctrl-C
write a checkpoint. What runs these commands and sees one die without a word says so with --failed.
Exit codes: 0 done, 1 failed, 2 wrong usage or recipe, 3 data, 75 stopped, or another process runs
the trial: the same command goes on.")]
pub struct Trial {
    /// The trial's spec.json, in place of --study
    #[arg(required_unless_present = "study", requires = "out")]
    pub spec: Option<PathBuf>,
    /// The trial's folder
    #[arg(long, value_name = "DIR", conflicts_with = "study")]
    pub out: Option<PathBuf>,
    /// Folder of a study, which `plan --out` or `run` made
    #[arg(long, value_name = "DIR", conflicts_with = "spec", requires = "which")]
    pub study: Option<PathBuf>,
    /// Which trial of it, counted from 0 in the order of the plan
    #[arg(long, value_name = "N", group = "which", requires = "study")]
    pub index: Option<usize>,
    /// Which trial of it, by its id
    #[arg(long, value_name = "ID", group = "which", requires = "study")]
    pub id: Option<String>,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: String,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,
    #[command(flatten)]
    pub folder: Folder,
    /// Folder for what other trials of the study need too, such as a classifier that crafts poison
    #[arg(long, value_name = "DIR")]
    pub shared: Option<PathBuf>,
    /// Write a checkpoint and end when stdin ends
    #[arg(long)]
    pub stop_with_stdin: bool,
    /// Run nothing, and write down that the trial failed, and why
    #[arg(long, value_name = "MESSAGE", requires = "which")]
    pub failed: Option<String>,
    /// With --failed, the exit code that its process had [default: none, it was killed]
    #[arg(long, value_name = "N", requires = "failed")]
    pub exit_code: Option<i32>,
    #[command(flatten)]
    pub allow: Allow,
}

pub fn trial(args: Trial) -> Result<Output> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A Ctrl-C on a terminal reaches the trials of a study as well as their parent.
    on_interrupt(move || flag.store(true, Ordering::SeqCst))?;
    if args.stop_with_stdin {
        child::stop_with_stdin(stop.clone());
    }
    if let (Some(study), Some(message)) = (&args.study, &args.failed) {
        return fail(&args, study, message);
    }
    let place = Place::of(&args)?;
    let options = Options {
        spec: place.spec,
        dir: place.dir.clone(),
        data_dir: args.folder.data_dir,
        shared: place.shared,
        device: args.device,
        threads: usize::from(args.threads),
    };
    let allow = args.allow;
    let execute = |spec: &TrialSpec, context: TrialContext<'_>| {
        allow.check(std::iter::once(spec))?;
        execute_in_house(spec, context)
    };
    let done = child::run(&options, &stop, &execute, &mut child::print);
    let failure = match done {
        Ok(_) => return Ok(Output::done(String::new())),
        // What this process was started for is being done: whoever started it asks again.
        Err(error @ ChildError::Busy { .. }) if place.id.is_some() => {
            return Err(Failure::new(Exit::Stopped, &error)
                .hinted("run the same command again once that one has ended"));
        }
        Err(error) => Failure::from(error),
    };
    // Nobody else will say how it failed.
    if let Some(trial) = place.id.filter(|_| failure.exit != Exit::Stopped) {
        let code = i32::from(failure.exit.code());
        write_down(&place.dir, trial, &failure.message, Some(code))?;
    }
    Err(failure)
}

/// Writes the `failure.json` of a trial.
fn write_down(dir: &Path, trial: String, message: &str, exit_code: Option<i32>) -> Result<()> {
    let told = store::Failure {
        trial,
        message: message.to_owned(),
        exit_code,
        stderr: Vec::new(),
    };
    Ok(files::write_atomic(
        &dir.join("failure.json"),
        told.to_json().as_bytes(),
    )?)
}

/// Writes down that a trial failed whose process could not say so. One that is done did not fail.
fn fail(args: &Trial, study: &Path, message: &str) -> Result<Output> {
    let store = Store::open(&HOUSE, study)?;
    let trial = chosen(args, &store, study)?;
    let dir = store.trial_dir(&trial.id);
    if !store.is_done(&trial.id) {
        files::create_dir(&dir)?;
        if Lock::is_held(&dir.join(".lock")) {
            return Err(Failure::new(Exit::Stopped, &ChildError::Busy { dir })
                .hinted("it says itself how it ends"));
        }
        write_down(&dir, trial.id.clone(), message, args.exit_code)?;
    }
    Ok(Output::done(String::new()))
}

/// Where a trial lives.
struct Place {
    spec: PathBuf,
    dir: PathBuf,
    shared: Option<PathBuf>,
    /// Its id, where it is of a study.
    id: Option<String>,
}

impl Place {
    fn of(args: &Trial) -> Result<Self> {
        let Some(study) = &args.study else {
            return match (&args.spec, &args.out) {
                (Some(spec), Some(out)) => Ok(Self {
                    spec: spec.clone(),
                    dir: out.clone(),
                    shared: args.shared.clone(),
                    id: None,
                }),
                (None, _) | (_, None) => {
                    Err(usage("no trial is named", "give --study and --index"))
                }
            };
        };
        let store = Store::open(&HOUSE, study)?;
        let trial = chosen(args, &store, study)?;
        let dir = store.trial_dir(&trial.id);
        files::create_dir(&dir)?;
        files::remove_matching(&dir, |name| name == "failure.json")?;
        let spec = dir.join("spec.json");
        files::write_atomic(&spec, trial.spec_json().as_bytes())?;
        Ok(Self {
            spec,
            dir,
            shared: Some(study.join("shared")),
            id: Some(trial.id.clone()),
        })
    }
}

/// The trial that is asked for by its place or its id.
fn chosen<'a>(args: &Trial, store: &'a Store, study: &Path) -> Result<&'a plan::Trial> {
    let trials = &store.study.trials;
    let found = match (args.index, &args.id) {
        (Some(index), _) => trials.get(index),
        (None, id) => trials.iter().find(|t| Some(&t.id) == id.as_ref()),
    };
    found.ok_or_else(|| {
        let count = trials.len();
        usage(
            format!("{} has no such trial: it has {count}", study.display()),
            format!(
                "give --index from 0 to {}, or an id of its plan.jsonl",
                count.saturating_sub(1)
            ),
        )
    })
}

/// Runs a trial of what is registered.
pub fn execute_in_house(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
    HOUSE.execute(spec, context)
}
