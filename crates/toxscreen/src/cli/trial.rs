//! `toxscreen trial`: one trial in this process. `run` starts it for each; so may a cluster.

use super::allow::Allow;
use super::options::{Folder, device};
use super::{Output, Result, count_interrupts, on_interrupt, say, usage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tox_audits::HOUSE;
use tox_study::child::{self, ChildError, Options};
use tox_study::files;
use tox_study::lock::Lock;
use tox_study::recipe::{Kernels, Study};
use tox_study::runner::{self, End, News, RunOptions, this_program};
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
  toxscreen trial --study runs/mine --id 3f9c435cf2478e0c,91b0d6c2a7744e5f

Runs one trial in this process, from its checkpoint if there is one; one that is done ends at
once. It writes record.json or failure.json into its folder, so that `status` and `report` work
on a study that anybody is filling; lines of JSON on stdout say how far it is. SIGTERM and Ctrl-C
write a checkpoint. Several trials are run one after another, each in a process of its own. What runs
these commands and sees one die without a word says so with --failed.
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
    /// Which trial of it, by its id; several are run one after another
    #[arg(
        long,
        value_name = "ID",
        group = "which",
        requires = "study",
        value_delimiter = ','
    )]
    pub id: Vec<String>,
    /// End once it has made what other trials need too, such as a classifier that crafts poison
    #[arg(long)]
    pub shared_only: bool,
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
    if let (Some(study), Some(message)) = (&args.study, &args.failed) {
        return fail(&args, study, message);
    }
    if args.id.len() > 1 {
        return several(&args);
    }
    let place = Place::of(&args)?;
    if let Some(kernels) = place.kernels {
        return with_kernels(kernels);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A Ctrl-C on a terminal reaches the trials of a study as well as their parent.
    on_interrupt(move || flag.store(true, Ordering::SeqCst))?;
    if args.stop_with_stdin {
        child::stop_with_stdin(stop.clone());
    }
    let options = Options {
        spec: place.spec,
        dir: place.dir.clone(),
        data_dir: args.folder.data_dir,
        shared: place.shared,
        shared_only: args.shared_only,
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
    if args.shared_only && failure.exit == Exit::Stopped && !stop.load(Ordering::SeqCst) {
        return Ok(Output::done(String::new()));
    }
    // Nobody else will say how it failed.
    if let Some(trial) = place.id.filter(|_| failure.exit != Exit::Stopped) {
        let code = i32::from(failure.exit.code());
        told(trial, &failure.message, Some(code)).keep(&place.dir)?;
    }
    Err(failure)
}

/// What is written down of a trial that failed.
fn told(trial: String, message: &str, exit_code: Option<i32>) -> store::Failure {
    store::Failure {
        trial,
        message: message.to_owned(),
        exit_code,
        stderr: Vec::new(),
    }
}

/// Writes down that a trial failed whose process could not say so. One that is done did not fail.
fn fail(args: &Trial, study: &Path, message: &str) -> Result<Output> {
    let (store, found) = Store::open_for(&HOUSE, study, |study| chosen(args, study))?;
    let trial = &store.study.trials[found.ok_or_else(|| no_such(&store))?];
    let dir = store.trial_dir(&trial.id);
    if !store.is_done(&trial.id) {
        files::create_dir(&dir)?;
        if Lock::is_held(&dir.join(".lock")) {
            return Err(Failure::new(Exit::Stopped, &ChildError::Busy { dir })
                .hinted("it says itself how it ends"));
        }
        told(trial.id.clone(), message, args.exit_code).keep(&dir)?;
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
    /// The instruction set of its study, where that is not the one of this process.
    kernels: Option<Kernels>,
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
                    kernels: None,
                }),
                (None, _) | (_, None) => {
                    Err(usage("no trial is named", "give --study and --index"))
                }
            };
        };
        let (store, found) = Store::open_for(&HOUSE, study, |study| chosen(args, study))?;
        let trial = &store.study.trials[found.ok_or_else(|| no_such(&store))?];
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
            kernels: store.study.recipe.kernels.filter(|kernels| {
                std::env::var_os(KERNELS).is_none_or(|given| given != kernels.word())
            }),
        })
    }
}

/// The place of the trial that is asked for by its place or its id.
fn chosen(args: &Trial, study: &Study) -> Option<usize> {
    match args.index {
        Some(index) => Some(index).filter(|index| *index < study.trials.len()),
        None => study.trials.iter().position(|t| args.id.contains(&t.id)),
    }
}

fn no_such(store: &Store) -> Failure {
    let count = store.study.trials.len();
    usage(
        format!(
            "{} has no such trial: it has {count}",
            store.dir().display()
        ),
        format!(
            "give --index from 0 to {}, or an id of its plan.jsonl",
            count.saturating_sub(1)
        ),
    )
}

/// What a process computes with is chosen when it begins.
const KERNELS: &str = "TOXSCREEN_KERNELS";

/// This command again, with the instruction set of the study.
fn with_kernels(kernels: Kernels) -> Result<Output> {
    let mut command = std::process::Command::new(this_program()?);
    command
        .args(std::env::args_os().skip(1))
        .env(KERNELS, kernels.word());
    let failed = |e: std::io::Error| super::system("start toxscreen again", &e);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Under the same number, so that signals find it.
        Err(failed(command.exec()))
    }
    #[cfg(not(unix))]
    {
        let code = command.status().map_err(failed)?.code().unwrap_or(1);
        Ok(Output {
            text: String::new(),
            code: u8::try_from(code).unwrap_or(1),
        })
    }
}

/// Runs trials one after another, each in a process of its own, so that one that dies takes no other with it.
fn several(args: &Trial) -> Result<Output> {
    let Some(study) = &args.study else {
        return Err(usage("no trial is named", "give --study and --id"));
    };
    let store = Store::open(&HOUSE, study)?;
    let place = |id: &String| store.study.trials.iter().position(|t| t.id == *id);
    let found: Option<Vec<usize>> = args.id.iter().map(place).collect();
    let found = found.ok_or_else(|| no_such(&store))?;
    let specs = found.iter().map(|&i| &store.study.trials[i].spec);
    let options = RunOptions {
        program: this_program()?,
        jobs: 1,
        threads: usize::from(args.threads),
        devices: vec![args.device.clone()],
        on_each: 1,
        data_dir: args.folder.data_dir.clone(),
        allow_commands: args.allow.check(specs)?,
    };
    let stop = count_interrupts("stopping: the trial writes its checkpoint")?;
    let left = found
        .into_iter()
        .filter(|&i| !store.is_done(&store.study.trials[i].id));
    let jobs = runner::jobs(&store, left, &options)?;
    let mut stopped = false;
    let mut failed: Option<Failure> = None;
    runner::run_jobs(jobs, &options, &stop, &mut |notice| match notice.news {
        News::Ended(End::Failed(failure)) => {
            if let Err(error) = failure.keep(&store.trial_dir(&failure.trial)) {
                say(format_args!("warning: {error}"));
            }
            say(format_args!(
                "error: trial {}: {}",
                failure.trial, failure.message
            ));
            failed.get_or_insert(Failure::new(
                Exit::Failed,
                &format!("trial {} failed: {}", failure.trial, failure.message),
            ));
        }
        News::Ended(End::Stopped) => stopped = true,
        News::Ended(End::Done) | News::Started | News::Progress { .. } => {}
    });
    // Those that are left go on with the same command.
    if stopped || stop.load(Ordering::SeqCst) > 0 {
        return Err(Failure::new(
            Exit::Stopped,
            &"stopped; the same command goes on",
        ));
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(Output::done(String::new())),
    }
}

/// Runs a trial of what is registered.
pub fn execute_in_house(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
    HOUSE.execute(spec, context)
}
