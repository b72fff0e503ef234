//! `toxscreen status`: how far a study is.

use super::{Output, Result, duration, json, table};
use std::path::PathBuf;
use tox_audits::HOUSE;
use tox_study::status;
use tox_study::store::Store;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  toxscreen status runs/quickstart")]
pub struct Status {
    /// Folder of the study
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn status(args: &Status) -> Result<Output> {
    let status = status::Status::of(&Store::open(&HOUSE, &args.dir)?)?;
    if args.json {
        return json(&status).map(Output::done);
    }
    let row = |c: &status::CellStatus| {
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
