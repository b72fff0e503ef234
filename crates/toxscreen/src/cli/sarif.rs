//! Findings in SARIF 2.1.0, which code hosts show beside the lines of a file.

use super::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Files for a CI job.
#[derive(clap::Args)]
pub struct Sarif {
    /// Write the findings as SARIF
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
}

/// Something found in a file.
pub struct Found<'a> {
    /// What kind of finding, in kebab case.
    pub rule: String,
    pub message: String,
    pub file: &'a Path,
    /// From 1.
    pub line: usize,
}

impl Sarif {
    /// Writes what was found, if a file is asked for.
    pub fn write(&self, found: &[Found<'_>]) -> Result<()> {
        if let Some(path) = &self.sarif {
            let text = super::json(&log(found))?;
            tox_study::files::write_atomic(path, text.as_bytes())?;
        }
        Ok(())
    }
}

fn log(found: &[Found<'_>]) -> Value {
    let mut rules: Vec<&str> = found.iter().map(|f| f.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let rule = |id: &&str| json!({ "id": id });
    let result = |f: &Found<'_>| {
        // An address has no backslashes.
        let uri = f.file.to_string_lossy().replace('\\', "/");
        json!({
            "ruleId": f.rule,
            "level": "warning",
            "message": { "text": f.message },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri },
                    "region": { "startLine": f.line },
                },
            }],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "toxscreen",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": rules.iter().map(rule).collect::<Vec<_>>(),
                },
            },
            "results": found.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}
