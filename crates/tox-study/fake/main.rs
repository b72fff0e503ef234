//! A program like `toxscreen` whose trials do arithmetic: `run RECIPE DIR JOBS` is the parent,
//! `trial SPEC ...` the child. It has all of the real one's process handling and none of its
//! learning, so that kills and resumption are tested in milliseconds.

mod house;

use house::house;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use tox_study::child::{self, ChildError, Options};
use tox_study::executors::local;
use tox_study::recipe::{Overrides, Study};
use tox_study::runner::{self, RunOptions};
use tox_study::spec::TrialSpec;
use tox_study::store::Store;
use tox_study::trial::{Exit, TrialContext};

fn parent(recipe: &str, dir: &str, jobs: &str) -> Result<ExitCode, Box<dyn Error>> {
    let study = Study::load(&house(), Path::new(recipe), &Overrides::default())?;
    let (store, _lock) = Store::create(&house(), Path::new(dir), &study)?;
    let options = RunOptions {
        program: runner::this_program()?,
        jobs: jobs.parse()?,
        threads: 1,
        devices: vec!["cpu".into()],
        on_each: 1,
        data_dir: None,
        allow_commands: false,
    };
    let summary = local::run(
        &house(),
        &store,
        &options,
        &AtomicUsize::new(0),
        &mut |_| {},
    )?;
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
        shared_only: false,
        device: value("--device")?,
        threads: value("--threads")?.parse()?,
    };
    let run = |spec: &TrialSpec, context: TrialContext<'_>| house().execute(spec, context);
    match child::run(&options, &stop, &run, &mut child::print) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(ChildError::Trial(e)) if e.exit == Exit::Stopped => Ok(ExitCode::from(e.exit.code())),
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
