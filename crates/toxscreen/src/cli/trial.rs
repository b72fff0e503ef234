//! `toxscreen trial`: one trial in this process. `run` starts it for each; so may a cluster.

use super::args::Trial;
use super::robust;
use super::{DATA, FAILED, Output, USAGE};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tox_bilevel::audit::AuditError;
use tox_poison::data::PoisonError;
use tox_search::nas::NasError;
use tox_search::rcnas::search::RcnasError;
use tox_study::child::{self, ChildError, Options, STOPPED};
use tox_study::trial::{TrialError, execute};

pub fn trial(args: Trial) -> anyhow::Result<Output> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    // A Ctrl-C on a terminal reaches the trials of a study as well as their parent.
    ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst))?;
    if args.stop_with_stdin {
        child::stop_with_stdin(stop.clone());
    }
    let options = Options {
        spec: args.spec,
        dir: args.out,
        data_dir: args.data_dir,
        shared: args.shared,
        device: args.device,
        threads: usize::from(args.threads),
    };
    child::run(&options, &stop, execute, &mut child::print)?;
    Ok(Output::done(String::new()))
}

/// The exit code of a trial that ended without a record.
pub fn exit_code(error: &ChildError) -> u8 {
    match error {
        ChildError::Trial(TrialError::Stopped) => STOPPED,
        ChildError::Trial(
            TrialError::Data(_)
            | TrialError::Table(_)
            | TrialError::Patch(_)
            | TrialError::OtherFile { .. }
            | TrialError::Nas(NasError::OtherSupernet { .. }),
        ) => DATA,
        ChildError::Trial(TrialError::Audit(error)) => audit(error),
        // A file that cannot be used is no wrong usage.
        ChildError::Trial(TrialError::Poison(PoisonError::Checkpoint(_))) => FAILED,
        ChildError::Trial(TrialError::Weights(error)) => robust::exit_code(error),
        ChildError::Trial(
            TrialError::Device(_)
            | TrialError::CpuOnly { .. }
            | TrialError::Config(_)
            | TrialError::Threat(_)
            | TrialError::Poison(_)
            | TrialError::Attack(_)
            | TrialError::Normalise(_)
            | TrialError::Rcnas(
                RcnasError::Config(_)
                | RcnasError::Task(_)
                | RcnasError::NoTasks
                | RcnasError::Budget { .. },
            )
            | TrialError::Unfit { .. }
            | TrialError::Unnamed { .. },
        ) => USAGE,
        _ => FAILED,
    }
}

/// The exit code of an audit that could not be run.
pub fn audit(error: &AuditError) -> u8 {
    match error {
        AuditError::Sets(_) | AuditError::TooFewPoints { .. } => DATA,
        AuditError::Config(_)
        | AuditError::TopK { .. }
        | AuditError::Folds { .. }
        | AuditError::Lambdas { .. } => USAGE,
        AuditError::NoLambda { .. } | AuditError::Checkpoint(_) => FAILED,
    }
}
