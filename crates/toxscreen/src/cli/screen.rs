//! `toxscreen screen`: find poisonous ops in a search space before a search.

use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen screen space.toml
  toxscreen screen space.toml --data cifar10 --json

Exit codes: 0 nothing poisonous, 1 poison found, 2 wrong usage or space, 3 data.")]
pub struct Screen {
    /// Search space: [[ops]] with op, its numbers, and count
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
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
