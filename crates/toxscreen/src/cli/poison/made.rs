//! What crafting a poison needs and gives, whatever the attack.

use super::{Poison, SAVE_EVERY};
use crate::cli::bilevel::{beside, interrupted, with_bar};
use crate::cli::{Result, say};
use serde_json::{Value, json as object};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tox_audits::commands::Desk;
use tox_audits::error::Fails;
use tox_data::checkpoint::{Hooks, NOTE};
use tox_poison::data::{Crafted, PoisonError};
use tox_study::trial::Failure;

/// A poison, and what is to be said of it beside its check.
pub struct Made {
    pub crafted: Crafted,
    /// Whole lines.
    pub text: String,
    /// An object, whose keys become the report's.
    pub report: Value,
    /// Files that are of no use once the poison is written.
    pub leftovers: Vec<PathBuf>,
}

impl Made {
    pub fn of(crafted: Crafted) -> Self {
        Self {
            crafted,
            text: String::new(),
            report: object!({}),
            leftovers: Vec::new(),
        }
    }
}

/// Why a poison cannot be made, and what to change.
pub fn failed(error: PoisonError) -> Failure {
    Failure {
        hint: hint(&error),
        ..error.fails()
    }
}

fn hint(error: &PoisonError) -> Option<String> {
    let hint = match error {
        PoisonError::Budget { .. } | PoisonError::NoPoints { .. } => "change --budget",
        PoisonError::Range(error) => {
            let option = match error.key.trim_start_matches("fit.") {
                "lr" => "gc-lr".to_owned(),
                "batch" => "gc-batch".to_owned(),
                key => key.replace('_', "-"),
            };
            return Some(format!("change --{option}"));
        }
        PoisonError::NotImages { .. } => "--attack rlf works on any rows",
        PoisonError::Keys(_) => "leave --epochs and --width out",
        PoisonError::Victim { .. } => {
            "try another --seed, --epochs or --genotype, or a smaller --radius"
        }
        PoisonError::OneClass { .. }
        | PoisonError::Confidences { .. }
        | PoisonError::Diverged(_)
        | PoisonError::Checkpoint(_)
        | PoisonError::Patch(_) => return None,
    };
    Some(hint.to_owned())
}

/// Keeps files beside `--out`.
pub struct Beside<'a> {
    out: &'a Path,
    json: bool,
    pub stop: Arc<AtomicBool>,
}

impl<'a> Beside<'a> {
    pub fn of(args: &'a Poison) -> Result<Self> {
        Ok(Self {
            out: &args.out,
            json: args.session.json,
            stop: interrupted()?,
        })
    }
}

impl Desk for Beside<'_> {
    fn file(&self, suffix: &str) -> PathBuf {
        beside(self.out, suffix)
    }

    fn part<T, E>(
        &self,
        name: &str,
        (suffix, key): (&str, &str),
        work: impl FnOnce(Hooks<'_>) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let checkpoint = &self.file(suffix);
        let made = with_bar(name, &self.stop, |stop, progress| {
            work(Hooks {
                checkpoint,
                key,
                save_every: SAVE_EVERY,
                stop,
                progress,
            })
        })?;
        if made.is_none() {
            say(format_args!(
                "stopped; the same command goes on from {}",
                checkpoint.display()
            ));
        }
        Ok(made)
    }

    fn say(&self, line: &str) {
        if !self.json || line.contains(NOTE) {
            say(format_args!("{line}"));
        }
    }
}
