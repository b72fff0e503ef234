//! What a study did differently from a paper, as rows of a table.

use serde::Serialize;
use serde_json::Value;

/// A setting that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Dotted key, as in a recipe.
    pub key: String,
    /// The paper's value.
    pub paper: String,
    /// Ours, all that occur.
    pub ours: String,
    /// The cells concerned; empty for all.
    pub cells: String,
}

/// Differences while they are gathered, cell by cell.
#[derive(Default)]
pub struct Differences<'a> {
    /// Key, paper's value, our values, cells.
    rows: Vec<(String, String, Vec<String>, Vec<&'a str>)>,
}

impl<'a> Differences<'a> {
    /// Notes what a cell has; nothing if the paper has the same.
    pub fn add(&mut self, key: String, ours: String, paper: String, cell: &'a str) {
        if ours == paper {
            return;
        }
        let rows = &mut self.rows;
        let at = match rows.iter().position(|r| r.0 == key && r.1 == paper) {
            Some(at) => at,
            None => {
                rows.push((key, paper, Vec::new(), Vec::new()));
                rows.len() - 1
            }
        };
        if !rows[at].2.contains(&ours) {
            rows[at].2.push(ours);
        }
        rows[at].3.push(cell);
    }

    /// The rows, in the order in which their keys came; a row that concerns all `cells` names none.
    pub fn finish(self, cells: usize) -> Vec<Difference> {
        let row =
            |(key, paper, ours, names): (String, String, Vec<String>, Vec<&str>)| Difference {
                key,
                paper,
                ours: ours.join(", "),
                cells: if names.len() == cells {
                    String::new()
                } else {
                    names.join(", ")
                },
            };
        self.rows.into_iter().map(row).collect()
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
