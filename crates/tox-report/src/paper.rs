//! A paper that a study follows. What it prints is data, in a file of TOML beside the learner's report.

use crate::run::Run;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a page says of every paper.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Paper {
    /// What recipes call it.
    pub key: String,
    pub name: String,
    pub authors: String,
    /// What its numbers are.
    pub setting: String,
}

/// A file of a paper as it is printed with the program; `None` if a study follows another or none, or the
/// file does not parse, which a test of every learner rules out.
pub fn followed<T: DeserializeOwned>(run: &Run, file: &str) -> Option<T> {
    let paper: Paper = toml::from_str(file).ok()?;
    run.follows(&paper.key).then(|| toml::from_str(file).ok())?
}
