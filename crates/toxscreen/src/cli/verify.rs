//! `toxscreen verify`: are the records what they were, and does running trials again agree?

use super::args::Verify;
use super::progress::Progress;
use super::{FAILED, INTERRUPTED, Output, count_interrupts, json, table};
use std::sync::atomic::Ordering;
use tox_study::runner::{RunOptions, default_jobs, this_program};
use tox_study::store::Store;
use tox_study::verify::{Verdict, verify as check};

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
    let checks = checks?;
    let bad = checks.iter().filter(|c| c.verdict.is_bad()).count();
    let count = |v| checks.iter().filter(|c| c.verdict == v).count();
    let missing = count(Verdict::Missing);
    let code = if bad > 0 {
        FAILED
    } else if stop.load(Ordering::SeqCst) > 0 {
        INTERRUPTED
    } else if missing > 0 {
        FAILED
    } else {
        0
    };
    if args.json {
        let text = json(&serde_json::json!({"bad": bad, "missing": missing, "trials": checks}))?;
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
    let mut text = format!(
        "{}\n{bad} bad; {} the same when run again, {} intact but not run again, {missing} missing\n",
        table(&["trial", "cell", "seed", "verdict", "note"], &rows),
        count(Verdict::Same),
        count(Verdict::Intact),
    );
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
