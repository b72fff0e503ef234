//! What a CI job needs of a study: its gates as an exit code, and files that such jobs read.

use super::files::Files;
use super::{Result, UNDECIDED, system};
use std::io::Write;
use std::path::{Path, PathBuf};
use tox_audits::REPORTS;
use tox_report::gates::Told;
use tox_study::gate::Held;
use tox_study::trial::{Exit, Failure};

/// A gate of the recipe is not held.
pub const GATE: u8 = 5;

/// Files for a CI job.
#[derive(clap::Args)]
pub struct Ci {
    /// Append the table and the gates in Markdown, such as to $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Write the gates as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

impl Ci {
    /// These files beside others of a command.
    pub fn files(&self, files: Files) -> Files {
        files
            .written("--summary", self.summary.as_deref())
            .written("--junit", self.junit.as_deref())
    }

    /// Writes what is asked for of the study in `dir`, and returns the exit code of its gates.
    pub fn tell(&self, dir: &Path) -> Result<(u8, Told)> {
        let told = tox_report::gates::told(&REPORTS, dir);
        let told = told.map_err(|e| Failure::new(Exit::Failed, &e))?;
        if let Some(path) = &self.summary {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            let written = file.and_then(|mut file| file.write_all(told.markdown.as_bytes()));
            written.map_err(|e| system(&format!("write {}", path.display()), &e))?;
        }
        if let Some(path) = &self.junit {
            tox_study::files::write_named(path, told.junit.as_bytes())?;
        }
        let any = |held: Held| told.gates.iter().any(|gate| gate.held == held);
        let code = match () {
            () if any(Held::No) => GATE,
            () if any(Held::CannotTell) => UNDECIDED,
            () => 0,
        };
        Ok((code, told))
    }
}

/// The gates as JSON.
pub fn json(told: &Told) -> serde_json::Value {
    let gate = |gate: &tox_report::gates::Gate| {
        serde_json::json!({
            "name": gate.name,
            "rule": gate.rule.to_string(),
            "held": gate.held,
            "mean": gate.value.map(|v| v.mean),
            "half": gate.value.and_then(|v| v.half),
            "doubt": gate.doubt,
            "seeds": gate.value.map(|v| v.n),
            "planned": gate.planned,
        })
    };
    told.gates.iter().map(gate).collect()
}
