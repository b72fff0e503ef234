//! What a study did differently from a paper, as rows of a table.

use serde::Serialize;
use serde_json::Value;
use tox_data::spec::DataSpec;

/// A setting that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Dotted key, as in a recipe.
    pub key: String,
    /// The paper's value.
    pub paper: String,
    /// Ours.
    pub ours: String,
    /// The cells concerned; empty for all.
    pub cells: String,
}

/// Differences while they are gathered, cell by cell.
#[derive(Default)]
pub struct Differences<'a> {
    /// Key, paper's value, our value, cells.
    rows: Vec<(String, String, String, Vec<&'a str>)>,
}

/// Cells that a row names; where more share a value, it may be that of "the other cells".
const NAMES: usize = 3;

impl<'a> Differences<'a> {
    /// Notes what a cell has; nothing if the paper has the same.
    pub fn add(&mut self, key: String, ours: String, paper: String, cell: &'a str) {
        if ours == paper {
            return;
        }
        let rows = &mut self.rows;
        let same = |r: &(String, String, String, Vec<&str>)| r.0 == key && r.1 == paper;
        match rows.iter().position(|r| same(r) && r.2 == ours) {
            Some(at) => rows[at].3.push(cell),
            None => {
                // The values of a key stand together.
                let after = rows.iter().rposition(|r| r.0 == key);
                let at = after.map_or(rows.len(), |last| last + 1);
                rows.insert(at, (key, paper, ours, vec![cell]));
            }
        }
    }

    /// The rows, in the order in which their keys came, one for each value. A row that concerns all
    /// `cells` names none.
    pub fn finish(self, cells: usize) -> Vec<Difference> {
        let rows = &self.rows;
        let row = |r: &(String, String, String, Vec<&str>)| {
            let same = rows.iter().filter(|s| s.0 == r.0);
            let sizes: Vec<usize> = same.map(|s| s.3.len()).collect();
            let all: usize = sizes.iter().sum();
            let most = sizes.iter().max().copied().unwrap_or(0);
            let alone = sizes.iter().filter(|n| **n == most).count() == 1;
            Difference {
                key: r.0.clone(),
                paper: r.1.clone(),
                ours: r.2.clone(),
                cells: match r.3.len() {
                    n if n == cells => String::new(),
                    n if n > NAMES && n == most && alone && all == cells => {
                        "the other cells".to_owned()
                    }
                    _ => r.3.join(", "),
                },
            }
        };
        rows.iter().map(row).collect()
    }
}

/// The leaves of what `value` is as JSON, with dotted keys that begin with `prefix`.
pub fn leaves(prefix: &str, value: &impl Serialize) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Ok(value) = serde_json::to_value(value) {
        walk(prefix, &value, &mut out);
    }
    out
}

/// The data's keys; those that a spec leaves out have the value that this means.
pub fn data(spec: &DataSpec) -> Vec<(String, String)> {
    let mut out = leaves("data", spec);
    for (key, value) in [
        ("data.classes", "all"),
        ("data.split", "official"),
        ("data.train", "all"),
        ("data.resize", "as it is"),
    ] {
        if !out.iter().any(|(k, _)| k == key) {
            out.push((key.to_owned(), value.to_owned()));
        }
    }
    out
}

fn walk(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let dot = if prefix.is_empty() { "" } else { "." };
                walk(&format!("{prefix}{dot}{key}"), value, out);
            }
        }
        Value::String(text) => out.push((prefix.to_owned(), text.clone())),
        other => out.push((prefix.to_owned(), other.to_string())),
    }
}
