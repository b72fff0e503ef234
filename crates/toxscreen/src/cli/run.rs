//! `toxscreen run`: run what is missing of a study, then write its report.

use super::args::Run;
use super::progress::Progress;
use super::{
    DATA, FAILED, INTERRUPTED, Output, Usage, count_interrupts, duration, json, notes, say,
    this_command, warn,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;
use tox_data::DataDir;
use tox_data::spec::DataSpec;
use tox_search::nas::Evaluate;
use tox_search::table::{FILE, Table};
use tox_study::plan::Trial;
use tox_study::recipe::{Overrides, QUICKSTART, RecipeError, Study};
use tox_study::runner::{self, RunOptions, Summary};
use tox_study::spec::Learner;
use tox_study::store::{Failure, Store};

/// The study of a recipe, or the quickstart.
pub fn load(recipe: Option<&Path>, overrides: &Overrides) -> Result<Study, RecipeError> {
    let study = match recipe {
        Some(path) => Study::load(path, overrides),
        None => Study::parse("quickstart.toml", QUICKSTART, overrides),
    }?;
    for note in &study.notes {
        say(format_args!("note: {note}"));
    }
    Ok(study)
}

pub fn run(args: Run) -> anyhow::Result<Output> {
    let study = load(args.recipe.as_deref(), &args.changes.overrides()?)?;
    let default = || PathBuf::from("runs").join(&study.recipe.name);
    let dir = args.out.clone().unwrap_or_else(default);
    let options = args.options()?;
    let data_dir = DataDir::resolve(options.data_dir.as_deref())?;
    fits_device(&study, &dir, &options)?;
    let study = named(study, &dir, &data_dir)?;
    preflight(&study, &dir, &data_dir)?;
    let (store, lock) = Store::create(&dir, &study)?;
    warn(&store.notes);
    let stop = count_interrupts()?;
    let done = study.trials.iter().filter(|t| store.is_done(&t.id)).count();
    let begun = Instant::now();
    let mut progress = Progress::new(&store, done, study.trials.len());
    let summary = runner::run(&store, &options, &stop, &mut |n| progress.hear(n));
    progress.close();
    let summary = summary?;

    let stopped = stop.load(Ordering::SeqCst) > 0 && !summary.is_complete();
    complain(&summary);
    warn(&summary.damaged);
    let seconds = begun.elapsed().as_secs_f64();
    let report = (summary.before + summary.done > 0)
        .then(|| tox_report::write(&dir))
        .transpose()?;
    drop(lock);
    let code = match () {
        () if stopped => INTERRUPTED,
        () if !summary.damaged.is_empty() => FAILED,
        () if summary.is_complete() => 0,
        () if only_data(&summary) => DATA,
        () => FAILED,
    };
    if args.json {
        let text = json(&serde_json::json!({
            "study": study.recipe.name,
            "dir": dir,
            "planned": summary.planned,
            "done": summary.before + summary.done,
            "failed": summary.failed,
            "damaged": summary.damaged,
            "notes": store.notes,
            "stopped": stopped,
            "seconds": seconds,
            "report": report.as_ref().map(|r| &r.html),
            "results": report.as_ref().map(|r| &r.csv),
        }))?;
        return Ok(Output { text, code });
    }
    let mut text = String::new();
    if let Some(report) = report {
        text = format!(
            "{}\nreport   {}\nresults  {}\n",
            tox_report::headline(&dir)?.trim_end(),
            report.html.display(),
            report.csv.display()
        );
    }
    text.push_str(&format!(
        "{} of {} trials done, {} of them now, in {}\n",
        summary.before + summary.done,
        summary.planned,
        summary.done,
        duration(seconds)
    ));
    if stopped {
        text.push_str(&format!("stopped; go on with: {}\n", this_command()));
    }
    Ok(Output { text, code })
}

/// Refuses a device that this program does not have or the learner cannot use.
fn fits_device(study: &Study, dir: &Path, options: &RunOptions) -> anyhow::Result<()> {
    tox_nn::device::parse(&options.device)
        .map_err(|e| Usage::new(e.to_string(), "leave --device out to use the CPU"))?;
    let mut left = study.trials.iter();
    let cannot = |t: &&Trial| {
        !t.spec.learner.on_device() && !Store::has_record(dir, &t.id) && options.device != "cpu"
    };
    match left.find(cannot) {
        None => Ok(()),
        Some(trial) => {
            let (kind, device) = (trial.spec.learner.kind(), &options.device);
            let message = format!("the learner \"{kind}\" runs on the CPU, not on {device}");
            Err(Usage::new(message, "leave --device out").into())
        }
    }
}

/// The study with its data named by content. Data that are not there are none of a study that is done;
/// data that changed are refused all the same.
fn named(study: Study, dir: &Path, data_dir: &DataDir) -> anyhow::Result<Study> {
    let (study, faults) = study.resolved(data_dir)?;
    let done = study.trials.iter().all(|t| Store::has_record(dir, &t.id));
    match faults.into_iter().find(|f| f.is_change() || !done) {
        Some(fault) => Err(fault.into()),
        None => Ok(study),
    }
}

/// What every trial would fail by, found before a folder is made and a process started: data that do not
/// load as they are asked for, and a table without the column that is asked.
fn preflight(study: &Study, dir: &Path, data_dir: &DataDir) -> anyhow::Result<()> {
    let mut loaded: Vec<&DataSpec> = Vec::new();
    let mut table = None;
    for trial in &study.trials {
        let learner = &trial.spec.learner;
        if Store::has_record(dir, &trial.id) {
            continue;
        }
        for data in trial.spec.data_sets() {
            if !loaded.contains(&data) {
                notes(&tox_data::load(data, data_dir)?.notes);
                loaded.push(data);
            }
        }
        if let Learner::Nas(config) = learner
            && config.evaluate == Evaluate::NasBench201
        {
            let read = match table.take() {
                Some(read) => read,
                None => Table::read(&data_dir.path().join(FILE))?,
            };
            read.values(config.column)?;
            table = Some(read);
        }
    }
    Ok(())
}

/// Each reason once, however many trials it hit.
fn complain(summary: &Summary) {
    let mut reasons: BTreeMap<String, Vec<&Failure>> = BTreeMap::new();
    for failure in &summary.failed {
        // A path in the message has the trial's id in it.
        let reason = failure.message.replace(&failure.trial, "");
        reasons.entry(reason).or_default().push(failure);
    }
    for trials in reasons.values() {
        let (first, reason) = (&trials[0].trial, &trials[0].message);
        say(format_args!(
            "error: {} of {} trials failed, trial {first} first: {reason}",
            trials.len(),
            summary.planned
        ));
    }
}

/// Whether data are all that is missing.
fn only_data(summary: &Summary) -> bool {
    let of_data = |code: Option<i32>| code == Some(i32::from(DATA));
    !summary.failed.is_empty() && summary.failed.iter().all(|f| of_data(f.exit_code))
}
