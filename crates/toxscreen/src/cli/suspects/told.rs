//! What `toxscreen suspects` says, as text and as JSON.

use crate::cli::sarif::Found;
use crate::cli::table;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tox_audits::suspects::outcome::{Suspect, SuspectsOutcome};

/// Rows that are told.
const FIRST: usize = 20;

/// Adds what was found to what was asked.
pub fn report(report: &mut Value, found: &SuspectsOutcome) {
    let first = found.suspects.iter().take(FIRST);
    let first = first.map(|suspect| Suspect {
        image: None,
        ..suspect.clone()
    });
    report["rows"] = found.rows.into();
    report["classes"] = json!(found.classes);
    report["methods"] = json!(found.methods);
    report["left_out"] = json!(found.left_out);
    report["suspects"] = json!(first.collect::<Vec<_>>());
    report["known"] = json!(found.known);
}

/// The first rows for the code view of a host: each at its line of a table of text, of which `lines` are given; all
/// at the first line of a file that has none.
pub fn found<'a>(
    found: &SuspectsOutcome,
    file: &'a Path,
    lines: Option<Vec<usize>>,
) -> Vec<Found<'a>> {
    let first = found.suspects.iter().take(FIRST);
    first
        .map(|suspect| {
            let likely = match suspect.other() {
                Some(other) => format!("may be {other}"),
                None => "may be poisoned".to_owned(),
            };
            Found {
                rule: "suspect-row".to_owned(),
                message: format!(
                    "row {} (from 0), labelled {}, {likely}; rank {}: {}",
                    suspect.row, suspect.label, suspect.rank, suspect.reason
                ),
                file,
                line: lines.as_ref().map_or(1, |lines| lines[suspect.row]),
            }
        })
        .collect()
}

/// For a terminal.
pub fn tell(found: &SuspectsOutcome, written: &[PathBuf]) -> String {
    let mut head = vec!["row", "label", "suggested"];
    head.extend(found.main.iter().map(String::as_str));
    head.push("why");
    let first = found.suspects.iter().take(FIRST);
    let lines: Vec<Vec<String>> = first
        .map(|suspect| {
            let mut line = vec![
                suspect.row.to_string(),
                suspect.label.clone(),
                suspect.other().unwrap_or("-").to_owned(),
            ];
            let scores = found.main.iter();
            line.extend(
                scores.map(|name| format!("{:.2}", suspect.score(name).unwrap_or(f64::NAN))),
            );
            line.push(suspect.reason.clone());
            line
        })
        .collect();
    let mut text = format!(
        "{} rows in {} classes, {} trusted rows; the most suspicious of them:\n\n{}",
        found.rows,
        found.classes.len(),
        found.trusted,
        table(&head, &lines)
    );
    if !found.left_out.is_empty() {
        text += &format!(
            "\n{} left out: without --trusted there are no rows to learn from, and rows held out of these may be \
             poisoned themselves\n",
            found.left_out.join(" and ")
        );
    }
    if let Some(known) = &found.known {
        let lines: Vec<Vec<String>> = (known.scores.iter())
            .map(|q| {
                vec![
                    q.score.clone(),
                    format!("{:.1} %", 100.0 * q.precision),
                    format!("{:.3}", q.average_precision),
                ]
            })
            .collect();
        text += &format!(
            "\n{} rows are known to be poisoned\n{}",
            known.budget,
            table(
                &["score", "precision at the budget", "average precision"],
                &lines
            )
        );
    }
    for path in written {
        text += &format!("wrote {}\n", path.display());
    }
    text
}
