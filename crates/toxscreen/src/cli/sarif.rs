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
            tox_study::files::write_named(path, text.as_bytes())?;
        }
        Ok(())
    }
}

/// A file as a relative reference of RFC 3986.
fn address(file: &Path) -> String {
    let mut out = String::new();
    for byte in file.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            b'\\' if std::path::MAIN_SEPARATOR == '\\' => out.push('/'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn log(found: &[Found<'_>]) -> Value {
    let mut rules: Vec<&str> = found.iter().map(|f| f.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let rule = |id: &&str| json!({ "id": id });
    let result = |f: &Found<'_>| {
        let uri = address(f.file);
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_addresses() {
        let of = |name: &str| address(Path::new(name));
        assert_eq!(of("data/a-b_c.1~.csv"), "data/a-b_c.1~.csv");
        assert_eq!(
            of("./my rows\n%:ä\\.npz"),
            "./my%20rows%0A%25%3A%C3%A4%5C.npz"
        );
    }
}
