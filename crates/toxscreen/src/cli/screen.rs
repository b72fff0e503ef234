//! `toxscreen screen`: find poisonous ops in a search space before a search.

use super::options::{Folder, Session};
use super::{FAILED, Output, Result, json};
use std::path::PathBuf;
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
    pub session: Session,
}

pub fn screen(args: &Screen) -> Result<Output> {
    let space = space_file::read(&args.space).map_err(|e| Failure::usage(e.to_string()))?;
    let device = args.session.device()?;
    args.session.pool();
    // Training images only; the screen has no use for a validation split.
    let data = load(&DataSpec::of(&args.data, 0), &args.folder.dir()?)?;
    let (config, seed) = (ScreenConfig::default(), args.session.seed);
    let reports = screen_space(&space, &data, &config, seed, &device)
        .map_err(|e| Failure::new(Exit::Data, &e))?;
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
