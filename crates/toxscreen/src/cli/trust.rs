//! `toxscreen trust`: allow what a recipe starts.

use super::allow::{lines, place, programs, trusted};
use super::run::Asked;
use super::{Output, Result};
use std::path::Path;
use tox_study::files;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen trust my.toml              allow what my.toml starts, as it is now
  toxscreen trust my.toml --revoke     no longer

A recipe with a learner of kind \"external\" starts programs of this machine, with your rights.
`run` and `verify` refuse it until it is trusted, or given --allow-commands. What is trusted is
the commands and the content of the files that they name, wherever they lie: an edited learner is
to be trusted anew.
Kept in toxscreen/trusted in your configuration folder ($XDG_CONFIG_HOME or ~/.config).
Exit codes: 0 done, 2 wrong usage or recipe.")]
pub struct Trust {
    /// Take the trust back
    #[arg(long)]
    pub revoke: bool,
    #[command(flatten)]
    pub asked: Asked,
}

pub fn trust(args: &Trust) -> Result<Output> {
    let study = args.asked.study()?;
    let programs = programs(study.specs());
    if programs.is_empty() {
        let text = format!(
            "{} starts no programs: there is nothing to trust\n",
            study.recipe.name
        );
        return Ok(Output::done(text));
    }
    let mut trusted = trusted()?;
    let mut text = String::new();
    for program in &programs {
        let digest = program.digest();
        let word = match args.revoke {
            true => {
                trusted.remove(&digest);
                "not trusted"
            }
            false => {
                trusted.insert(digest.clone());
                "trusted"
            }
        };
        for line in lines(program) {
            text.push_str(&format!("{word}  {line}\n"));
        }
        for (name, hash) in &program.files {
            let hash = hash.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "         {name}  {}\n",
                &hash[..hash.len().min(16)]
            ));
        }
    }
    let path = place()?;
    files::create_dir(path.parent().unwrap_or(Path::new("")))?;
    let lines: String = trusted.iter().map(|digest| format!("{digest}\n")).collect();
    files::write_atomic(&path, lines.as_bytes())?;
    Ok(Output::done(text))
}
