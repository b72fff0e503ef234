//! `toxscreen verify`: are the records what they were, and does running trials again agree?

use super::allow::Allow;
use super::options::Folder;
use super::progress::Progress;
use super::report::stale;
use super::{
    FAILED, INTERRUPTED, Output, Result, UNDECIDED, count_interrupts, devices, json, table,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tox_audits::HOUSE;
use tox_study::executors::{Executor, local};
use tox_study::runner::{RunOptions, default_jobs, this_program};
use tox_study::store::Store;
use tox_study::verify::{FileCheck, Verdict, verify as check};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen verify runs/quickstart               run every trial again and compare
  toxscreen verify runs/ssp-laptop --sample 5    run five again
  toxscreen verify runs/ssp-laptop --no-rerun    only check that no file was changed

Every file of the study is looked at, and the data are held against the hashes that the study was made
with. Each trial is run again on the device and with the threads that its record names, and, where the
machine can, with its instruction set. Where it cannot, or another toxscreen made the record, outcomes
need not be the same to the bit: they are compared within a tolerance (docs/guide/recipes.md) and never
called the same.
Exit codes: 0 all the same, 1 something differs, was changed (data, weights or a learner's files too) or is
missing, 2 no study there, 4 nothing of that, but something cannot be compared here (an outcome bit for bit,
or data, weights or a learner's files that are not here), 130 stopped.")]
pub struct Verify {
    /// Folder of the study
    pub dir: PathBuf,
    /// Run this many trials again [default: all that have a record]
    #[arg(long, value_name = "N", conflicts_with = "no_rerun")]
    pub sample: Option<usize>,
    /// Run nothing again
    #[arg(long)]
    pub no_rerun: bool,
    /// Trials at a time [default: as many as there are cores]; on a GPU it is one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    #[command(flatten)]
    pub folder: Folder,
    #[command(flatten)]
    pub allow: Allow,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn verify(args: Verify) -> Result<Output> {
    let store = Store::open(&HOUSE, &args.dir)?;
    let programs = !args.no_rerun && args.allow.check(store.study.specs())?;
    let options = RunOptions {
        program: this_program()?,
        jobs: args.jobs.map_or_else(|| default_jobs(1), usize::from),
        // Each trial has the threads and the device of its record.
        threads: 1,
        devices: vec!["cpu".into()],
        on_each: 1,
        data_dir: args.folder.data_dir,
        allow_commands: programs,
    };
    let sample = if args.no_rerun {
        0
    } else {
        args.sample.unwrap_or(usize::MAX)
    };
    let stop = count_interrupts(local::Local.stopping())?;
    let trials = store.study.trials.iter();
    let done = trials.filter(|t| store.is_done(&t.id)).count();
    let mut progress = Progress::new(&store, 0, sample.min(done));
    let usable = |device: &str| match device {
        "cpu" => Ok(()),
        _ => devices::tried(device).map(|_| ()).map_err(|e| e.message),
    };
    let mut hear = |n| progress.hear(n);
    let checks = check(&HOUSE, &store, sample, &options, &usable, &stop, &mut hear);
    progress.close();
    let found = checks?;
    let (checks, mut files) = (found.trials, found.files);
    let done = checks.iter().any(|c| c.verdict != Verdict::Missing);
    files.extend(report(&args.dir, done));
    let verdicts = || {
        checks
            .iter()
            .map(|c| c.verdict)
            .chain(files.iter().map(|f| f.verdict))
    };
    let bad = verdicts().filter(|v| v.is_bad()).count();
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    let missing = count(Verdict::Missing);
    let code = if bad > 0 {
        FAILED
    } else if stop.load(Ordering::SeqCst) > 0 {
        INTERRUPTED
    } else if verdicts().any(|v| v == Verdict::Missing) {
        FAILED
    } else if verdicts().any(Verdict::is_open) {
        UNDECIDED
    } else {
        0
    };
    if args.json {
        let text = json(&serde_json::json!({
            "bad": bad,
            "cannot_tell": count(Verdict::CannotTell),
            "missing": missing,
            "trials": checks,
            "files": files,
        }))?;
        return Ok(Output { text, code });
    }
    let row = |c: &tox_study::verify::Check| {
        vec![
            c.trial.clone(),
            c.cell.clone(),
            c.seed.to_string(),
            c.verdict.word().to_owned(),
            c.note.clone(),
        ]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    let mut text = table(&["trial", "cell", "seed", "verdict", "note"], &rows);
    if !files.is_empty() {
        let row = |f: &FileCheck| {
            let verdict = f.verdict.word().to_owned();
            vec![f.file.clone(), verdict, f.note.clone()]
        };
        let rows: Vec<_> = files.iter().map(row).collect();
        text.push('\n');
        text.push_str(&table(&["file", "verdict", "note"], &rows));
    }
    let within = match count(Verdict::Within) {
        0 => String::new(),
        within => {
            format!("{within} within the tolerance of a learner that does not repeat itself, ")
        }
    };
    text.push_str(&format!(
        "\n{bad} bad; {} the same when run again, {within}{} that cannot be compared bit for bit here, {} that \
         cannot be told, {} intact but not run again, {missing} missing\n",
        count(Verdict::Same),
        count(Verdict::Close),
        count(Verdict::CannotTell),
        count(Verdict::Intact),
    ));
    if missing > 0 {
        let dir = args.dir.display();
        text.push_str(&format!(
            "incomplete: {missing} of {} trials have no record; run again: \
             toxscreen run {dir}/study.toml --out {dir}\n",
            checks.len()
        ));
    }
    Ok(Output { text, code })
}

/// The files of the report that are not what the records give. There is none of a study without records.
fn report(dir: &Path, done: bool) -> Vec<FileCheck> {
    let check = |file: String, verdict, note: String| FileCheck {
        file,
        verdict,
        note,
    };
    match stale(dir) {
        Ok(stale) => stale
            .into_iter()
            .filter(|stale| stale.there || done)
            .map(|stale| match stale.there {
                true => check(
                    stale.name,
                    Verdict::Damaged,
                    "is not what the records give: it was changed, or is of another state of the study; \
                     `toxscreen report` makes it again"
                        .into(),
                ),
                false => check(
                    stale.name,
                    Verdict::Missing,
                    "`toxscreen report` makes it".into(),
                ),
            })
            .collect(),
        Err(e) => vec![check(
            "report.html".into(),
            Verdict::CannotTell,
            format!("cannot be made again: {e}"),
        )],
    }
}
