//! Who may start programs: a recipe whose learner is a program is itself one.

use super::{Result, system, this_command, usage};
use etcetera::BaseStrategy;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tox_audits::HOUSE;
use tox_data::text::shell_word;
use tox_study::house::Programs;
use tox_study::spec::TrialSpec;
use tox_study::trial::Failure;

/// Whether programs may be started.
#[derive(clap::Args)]
pub struct Allow {
    /// Start the programs that the recipe's learner consists of, without `toxscreen trust`
    #[arg(long)]
    pub allow_commands: bool,
}

impl Allow {
    /// Refuses programs that nobody allowed; whether there are any.
    ///
    /// # Errors
    /// The first of them, and how to allow it.
    pub fn check<'a>(&self, specs: impl Iterator<Item = &'a TrialSpec>) -> Result<bool, Failure> {
        let programs = programs(specs);
        if self.allow_commands || programs.is_empty() {
            return Ok(!programs.is_empty());
        }
        let trusted = trusted()?;
        let Some(unknown) = programs.iter().find(|p| !trusted.contains(&p.digest())) else {
            return Ok(true);
        };
        let message = format!(
            "the recipe starts programs of this machine, with your rights, and is not trusted: {}",
            lines(unknown).join("; ")
        );
        let hint = format!(
            "read it, then `toxscreen trust RECIPE` once, or add --allow-commands: {} --allow-commands",
            this_command()
        );
        Err(usage(message, hint))
    }
}

/// What the learners of trials start, each once.
pub fn programs<'a>(specs: impl Iterator<Item = &'a TrialSpec>) -> BTreeSet<Programs> {
    let of = |spec: &TrialSpec| HOUSE.of(spec).ok()?.programs(&spec.learner);
    specs.filter_map(of).collect()
}

/// Commands as a shell has them.
pub fn lines(programs: &Programs) -> Vec<String> {
    let line = |argv: &Vec<String>| {
        let words: Vec<_> = argv.iter().map(|word| shell_word(word)).collect();
        words.join(" ")
    };
    programs.commands.iter().map(line).collect()
}

/// The file of what is trusted.
pub fn place() -> Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(|e| system("find your home folder", &e))?;
    Ok(base.config_dir().join("toxscreen").join("trusted"))
}

/// Digests of what is trusted.
pub fn trusted() -> Result<BTreeSet<String>> {
    let path = place()?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(e) => Err(system(&format!("read {}", path.display()), &e)),
    }
}
