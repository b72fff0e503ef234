//! `toxscreen init`: a commented recipe to start from.

use super::{Output, Result, shell_path, usage};
use std::io::Write;
use std::path::PathBuf;

const TEMPLATE: &str = include_str!("../../../../recipes/template.toml");

#[derive(clap::Args)]
#[command(after_help = "Example:\n  toxscreen init --out my.toml && toxscreen run my.toml")]
pub struct Init {
    /// File to write; it must not exist
    #[arg(long, value_name = "FILE", default_value = "recipe.toml")]
    pub out: PathBuf,
}

pub fn init(args: &Init) -> Result<Output> {
    let path = args.out.display();
    let file = std::fs::File::create_new(&args.out);
    file.and_then(|mut f| f.write_all(TEMPLATE.as_bytes()))
        .map_err(|e| {
            usage(
                format!("cannot create {path}: {e}"),
                "choose a file that does not exist yet, in a folder that does, with --out",
            )
        })?;
    Ok(Output::done(format!(
        "wrote {path}; run it with: toxscreen run {}\n",
        shell_path(&args.out)
    )))
}
