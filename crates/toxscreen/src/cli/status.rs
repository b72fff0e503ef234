//! `toxscreen status`: how far a study is.

use super::args;
use super::{Output, duration, json, table};
use tox_study::status::Status;
use tox_study::store::Store;

pub fn status(args: &args::Status) -> anyhow::Result<Output> {
    let status = Status::of(&Store::open(&args.dir)?)?;
    if args.json {
        return json(&status).map(Output::done);
    }
    let row = |c: &tox_study::status::CellStatus| {
        vec![
            c.cell.clone(),
            format!("{}/{}", c.done, c.planned()),
            c.running.to_string(),
            c.stopped.to_string(),
            c.failed.to_string(),
            c.damaged.to_string(),
            c.missing.to_string(),
            duration(c.seconds),
        ]
    };
    let rows: Vec<_> = status.cells.iter().map(row).collect();
    let mut text = table(
        &[
            "cell",
            "done",
            "running",
            "stopped",
            "failed",
            "damaged",
            "missing",
            "time spent",
        ],
        &rows,
    );
    for trial in &status.begun {
        text.push_str(&format!(
            "\ntrial {}, {} seed {}, {} {:.0} % after {}\n",
            trial.trial,
            trial.cell,
            trial.seed,
            if trial.running { "is at" } else { "stopped at" },
            100.0 * trial.done,
            duration(trial.seconds)
        ));
    }
    for (trial, message) in &status.failures {
        text.push_str(&format!("\ntrial {trial} failed: {message}\n"));
    }
    for what in &status.damaged {
        text.push_str(&format!("\ndamaged: {what}\n"));
    }
    Ok(Output::done(text))
}
