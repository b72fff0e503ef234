//! `toxscreen verify`: are the records what they were, and does running trials again agree?

use super::args::Verify;
use super::progress::Progress;
use super::{FAILED, INTERRUPTED, Output, UNDECIDED, count_interrupts, json, table};
use std::path::Path;
use std::sync::atomic::Ordering;
use tox_study::runner::{RunOptions, default_jobs, this_program};
use tox_study::store::Store;
use tox_study::verify::{FileCheck, Verdict, verify as check};

pub fn verify(args: Verify) -> anyhow::Result<Output> {
    let store = Store::open(&args.dir)?;
    let options = RunOptions {
        program: this_program()?,
        jobs: args.jobs.map_or_else(|| default_jobs(1), usize::from),
        // Each trial has the threads and the device of its record.
        threads: 1,
        device: "cpu".into(),
        data_dir: args.data_dir,
    };
    let sample = if args.no_rerun {
        0
    } else {
        args.sample.unwrap_or(usize::MAX)
    };
    let stop = count_interrupts()?;
    let trials = store.study.trials.iter();
    let done = trials.filter(|t| store.is_done(&t.id)).count();
    let mut progress = Progress::new(&store, 0, sample.min(done));
    let checks = check(&store, sample, &options, &stop, &mut |n| progress.hear(n));
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
    text.push_str(&format!(
        "\n{bad} bad; {} the same when run again, {} that cannot be compared bit for bit here, {} intact \
         but not run again, {missing} missing\n",
        count(Verdict::Same),
        count(Verdict::Close) + count(Verdict::CannotTell),
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
    match tox_report::check(dir) {
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
