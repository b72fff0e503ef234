//! `toxscreen trial`: one trial in this process. `run` starts it for each; so may a cluster.

use super::options::{Folder, device};
use super::{Output, Result, on_interrupt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tox_audits::HOUSE;
use tox_study::child::{self, Options};
use tox_study::spec::TrialSpec;
use tox_study::trial::{Failure, Finished, TrialContext, execute};

#[derive(clap::Args)]
pub struct Trial {
    /// The trial's spec.json
    pub spec: PathBuf,
    /// The trial's folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
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
}

pub fn trial(args: Trial) -> Result<Output> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A Ctrl-C on a terminal reaches the trials of a study as well as their parent.
    on_interrupt(move || flag.store(true, Ordering::SeqCst))?;
    if args.stop_with_stdin {
        child::stop_with_stdin(stop.clone());
    }
    let options = Options {
        spec: args.spec,
        dir: args.out,
        data_dir: args.folder.data_dir,
        shared: args.shared,
        device: args.device,
        threads: usize::from(args.threads),
    };
    child::run(&options, &stop, &execute_in_house, &mut child::print)?;
    Ok(Output::done(String::new()))
}

/// Runs a trial of what is registered.
pub fn execute_in_house(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, Failure> {
    execute(&HOUSE, spec, context)
}
