//! `toxscreen screen`: find poisonous ops in a search space before a search.

use super::files::Files;
use super::options::{Folder, Session};
use super::sarif::{Found, Sarif};
use super::{FAILED, Output, Result, json};
use std::path::{Path, PathBuf};
use tox_data::load;
use tox_data::spec::DataSpec;
use tox_poison::screen::{OpReport, ScreenConfig, screen as screen_space, table};
use tox_poison::space_file;
use tox_study::trial::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen screen recipes/ssp/space-p5.toml
  toxscreen screen space.toml --data cifar10 --json
  toxscreen screen space.toml --sarif screen.sarif       for the code view of a host

Exit codes: 0 nothing flagged, 1 something flagged (a poisonous op, or copies that shift the
sampling odds), 2 wrong usage or space, 3 data.")]
pub struct Screen {
    /// Search space: `[[op]]` tables with op, its numbers and count; or poison and q
    pub space: PathBuf,
    /// Data set whose batches are passed through each op
    #[arg(long, value_name = "NAME", default_value = "digits")]
    pub data: String,
    #[command(flatten)]
    pub folder: Folder,
    #[command(flatten)]
    pub sarif: Sarif,
    #[command(flatten)]
    pub session: Session,
}

pub fn screen(args: &Screen) -> Result<Output> {
    Files::default()
        .data([args.data.as_str()])
        .read([args.space.as_path()])
        .written("--sarif", args.sarif.sarif.as_deref())
        .check()?;
    let space = space_file::read(&args.space).map_err(|e| Failure::usage(e.to_string()))?;
    let device = args.session.device()?;
    args.session.pool();
    // Training images only; the screen has no use for a validation split.
    let data = load(&DataSpec::of(&args.data, 0), &args.folder.dir()?)?;
    let (config, seed) = (ScreenConfig::default(), args.session.seed);
    let reports = screen_space(&space, &data, &config, seed, &device)
        .map_err(|e| Failure::new(Exit::Data, &e))?;
    args.sarif.write(&found(&args.space, &reports))?;
    let text = if args.session.json {
        json(&reports)?
    } else {
        table(&reports)
    };
    let code = if reports.iter().any(OpReport::flagged) {
        FAILED
    } else {
        0
    };
    Ok(Output { text, code })
}

/// Each finding with the line of its op; an op that the file does not write out stands at its first line.
fn found<'a>(space: &'a Path, reports: &[OpReport]) -> Vec<Found<'a>> {
    let text = tox_data::text::read(space).unwrap_or_default();
    let lines = text.lines().enumerate();
    let tables = lines.filter(|(_, line)| line.trim_start().starts_with("[[op]]"));
    let tables: Vec<usize> = tables.map(|(at, _)| at + 1).collect();
    let mut all = Vec::new();
    for (i, report) in reports.iter().enumerate() {
        all.extend(report.findings.iter().map(|finding| Found {
            rule: finding.verdict.to_string(),
            message: format!("{}: {}", report.op, finding.reason),
            file: space,
            line: tables.get(i).copied().unwrap_or(1),
        }));
    }
    all
}
