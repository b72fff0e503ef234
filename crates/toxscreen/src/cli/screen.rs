//! `toxscreen screen`: find poisonous ops in a search space before a search.

use super::{FAILED, Output, Usage, json};
use std::path::PathBuf;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, load};
use tox_poison::screen::{OpReport, ScreenConfig, screen as screen_space, table};
use tox_poison::space_file;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen screen recipes/ssp/space-p5.toml
  toxscreen screen space.toml --data cifar10 --json

Exit codes: 0 nothing flagged, 1 something flagged (a poisonous op, or copies that shift the
sampling odds), 2 wrong usage or space, 3 data.")]
pub struct Screen {
    /// Search space: [[op]] tables with op, its numbers and count; or poison and q
    pub space: PathBuf,
    /// Data set whose batches are passed through each op
    #[arg(long, value_name = "NAME", default_value = "digits")]
    pub data: String,
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Seed of the ops' initial weights and of the batches
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn screen(args: &Screen) -> anyhow::Result<Output> {
    let space = space_file::read(&args.space)?;
    let device = tox_nn::device::parse(&args.device)
        .map_err(|e| Usage::new(e.to_string(), "leave --device out to use the CPU"))?;
    // Training images only; the screen has no use for a validation split.
    let spec = DataSpec::of(&args.data, 0);
    let data = load(&spec, &DataDir::resolve(args.data_dir.as_deref())?)?;
    let reports = screen_space(&space, &data, &ScreenConfig::default(), args.seed, &device)?;
    let text = if args.json {
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
