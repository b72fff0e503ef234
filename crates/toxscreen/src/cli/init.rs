//! `toxscreen init`: a commented recipe to start from.

use super::args::Init;
use super::{Output, Usage, shell_path};
use std::io::Write;

const TEMPLATE: &str = include_str!("../../../../recipes/template.toml");

pub fn init(args: &Init) -> anyhow::Result<Output> {
    let path = args.out.display();
    let file = std::fs::File::create_new(&args.out);
    file.and_then(|mut f| f.write_all(TEMPLATE.as_bytes()))
        .map_err(|e| {
            Usage::new(
                format!("cannot create {path}: {e}"),
                "choose a file that does not exist yet, in a folder that does, with --out",
            )
        })?;
    Ok(Output::done(format!(
        "wrote {path}; run it with: toxscreen run {}\n",
        shell_path(&args.out)
    )))
}
