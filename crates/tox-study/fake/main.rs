//! A program like `toxscreen` whose trials do arithmetic: `run RECIPE DIR JOBS` is the parent,
//! `trial SPEC ...` the child. It has all of the real one's process handling and none of its
//! learning, so that kills and resumption are tested in milliseconds.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tox_search::genotype::Genotype;
use tox_study::child::{self, ChildError, Options};
use tox_study::files;
use tox_study::plan::trial_id;
use tox_study::recipe::{Overrides, Study};
use tox_study::record::{EnasOutcome, Outcome};
use tox_study::runner::{self, RunOptions};
use tox_study::spec::{Learner, TrialSpec};
use tox_study::store::Store;
use tox_study::trial::{Finished, Progress, TrialContext, TrialError};

/// A chain of hashes, one a step, `child.epochs` long; a checkpoint after each. Data set `broken`
/// aborts, `slow` takes 20 ms a step.
fn execute(spec: &TrialSpec, context: TrialContext<'_>) -> Result<Finished, TrialError> {
    let Learner::Enas(config) = &spec.learner else {
        eprintln!("error: the fake learner is called enas");
        std::process::exit(1);
    };
    let checkpoint = context.dir.join("checkpoint.txt");
    let begin = format!("0 {}", trial_id(spec));
    let state = std::fs::read_to_string(&checkpoint).unwrap_or(begin);
    let (step, mut state) = state
        .split_once(' ')
        .map(|(s, t)| (s.to_owned(), t.to_owned()))
        .unwrap_or_default();
    let mut step: usize = step.parse().unwrap_or_default();
    if spec.data.dataset == "broken" {
        eprintln!("some words\nerror: nothing works here");
        std::process::exit(1);
    }
    while step < config.child.epochs {
        if context.stop.load(Ordering::SeqCst) {
            return Err(TrialError::Stopped);
        }
        if spec.data.dataset == "slow" {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        step += 1;
        state = blake3::hash(state.as_bytes()).to_hex().to_string();
        if files::write_atomic(&checkpoint, format!("{step} {state}").as_bytes()).is_err() {
            eprintln!("error: cannot write the checkpoint");
            std::process::exit(1);
        }
        (context.progress)(Progress {
            done: step as f64 / config.child.epochs as f64,
            message: format!("step {step}"),
        });
    }
    let bad_ops = state.bytes().map(u64::from).collect();
    Ok(Finished {
        outcome: Outcome::Enas(EnasOutcome {
            valid_error: 10.0 / 3.0,
            test_error: if spec.data.dataset == "nan" {
                f64::NAN
            } else {
                0.1
            },
            retrained_test_error: None,
            chance_error: 90.0,
            first_nonfinite_step: None,
            first_nan_weight_step: None,
            nonfinite_steps: 0,
            retrain_first_nonfinite_step: None,
            steps: step as u64,
            epochs: Vec::new(),
            genotype: Genotype { layers: Vec::new() },
            bad_ops,
            parameters: 1,
            screened: Vec::new(),
        }),
        data_hash: "none".into(),
        data_notes: Vec::new(),
        simd: "none".into(),
    })
}

fn parent(recipe: &str, dir: &str, jobs: &str) -> Result<ExitCode, Box<dyn Error>> {
    let study = Study::load(Path::new(recipe), &Overrides::default())?;
    let (store, _lock) = Store::create(Path::new(dir), &study)?;
    let options = RunOptions {
        program: runner::this_program()?,
        jobs: jobs.parse()?,
        threads: 1,
        device: "cpu".into(),
        data_dir: None,
    };
    let summary = runner::run(&store, &options, &AtomicUsize::new(0), &mut |_| {})?;
    Ok(ExitCode::from(u8::from(!summary.is_complete())))
}

fn trial(args: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1))
            .cloned()
            .ok_or(format!("no {name}"))
    };
    let stop = Arc::new(AtomicBool::new(false));
    if args.iter().any(|a| a == "--stop-with-stdin") {
        child::stop_with_stdin(stop.clone());
    }
    let options = Options {
        spec: PathBuf::from(&args[0]),
        dir: PathBuf::from(value("--out")?),
        data_dir: None,
        shared: None,
        device: value("--device")?,
        threads: value("--threads")?.parse()?,
    };
    match child::run(&options, &stop, execute, &mut child::print) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(ChildError::Trial(TrialError::Stopped)) => Ok(ExitCode::from(child::STOPPED)),
        Err(e) => Err(e.into()),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = match words.as_slice() {
        ["run", recipe, dir, jobs] => parent(recipe, dir, jobs),
        ["trial", ..] if args.len() > 1 => trial(&args[1..]),
        _ => Err("run RECIPE DIR JOBS, or trial SPEC ...".into()),
    };
    ended.unwrap_or_else(|e| {
        eprintln!("error: {e}");
        ExitCode::from(1)
    })
}
