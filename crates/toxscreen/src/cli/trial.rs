//! `toxscreen trial`: one trial in this process. `run` starts it for each; so may a cluster.

use super::allow::Allow;
use super::options::{Folder, device};
use super::{Output, Result, on_interrupt, usage};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tox_audits::HOUSE;
use tox_study::child::{self, Options};
use tox_study::files;
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
write a checkpoint.
Exit codes: 0 done, 1 failed, 2 wrong usage or recipe, 3 data, 75 stopped: the same command goes on.")]
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
    let failure = match done.map_err(Failure::from) {
        Ok(_) => return Ok(Output::done(String::new())),
        Err(failure) => failure,
    };
    // Nobody else will say how it failed.
    if let Some(trial) = place.id.filter(|_| failure.exit != Exit::Stopped) {
        let told = store::Failure {
            trial,
            message: failure.message.clone(),
            exit_code: Some(i32::from(failure.exit.code())),
            stderr: Vec::new(),
        };
        files::write_atomic(&place.dir.join("failure.json"), told.to_json().as_bytes())?;
    }
    Err(failure)
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
        let trials = &store.study.trials;
        let found = match (args.index, &args.id) {
            (Some(index), _) => trials.get(index),
            (None, id) => trials.iter().find(|t| Some(&t.id) == id.as_ref()),
        };
        let Some(trial) = found else {
            let count = trials.len();
            return Err(usage(
                format!("{} has no such trial: it has {count}", study.display()),
                format!(
                    "give --index from 0 to {}, or an id of its plan.jsonl",
                    count.saturating_sub(1)
                ),
            ));
        };
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

/// Runs a trial of what is registered.
pub fn execute_in_house(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
    HOUSE.execute(spec, context)
}
