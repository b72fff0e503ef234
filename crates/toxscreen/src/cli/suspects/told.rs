//! What `toxscreen suspects` says, as text and as JSON.

use super::class;
use crate::cli::sarif::Found;
use crate::cli::table;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use tox_audits::commands::suspects::Listed;

/// Rows that are told.
const FIRST: usize = 20;

/// Adds what was found to what was asked.
pub fn report(report: &mut Value, listed: &Listed<'_>) {
    let (rows, suspects) = (listed.rows, listed.suspects);
    let scores = suspects.scores();
    let first = suspects.order.iter().take(FIRST).enumerate();
    let first: Vec<Value> = first
        .map(|(at, &row)| {
            let numbers: Map<String, Value> = (scores.iter())
                .map(|score| (score.name.to_owned(), score.values[row].into()))
                .collect();
            json!({
                "rank": at + 1,
                "row": row,
                "label": class(rows, rows.labels[row]),
                "suggested": class(rows, suspects.suggested[row]),
                "scores": numbers,
                "reason": suspects.reason(row),
            })
        })
        .collect();
    let methods: Vec<&str> = suspects.found.iter().map(|(name, _)| *name).collect();
    report["rows"] = rows.rows.into();
    report["classes"] = json!(rows.class_names);
    report["methods"] = json!(methods);
    report["left_out"] = json!(suspects.left_out);
    report["suspects"] = first.into();
    report["known"] = json!(listed.known);
}

/// The first rows for the code view of a host: each at its line of a table of text, of which `lines` are given; all
/// at the first line of a file that has none.
pub fn found<'a>(listed: &Listed<'_>, file: &'a Path, lines: Option<Vec<usize>>) -> Vec<Found<'a>> {
    let (rows, suspects) = (listed.rows, listed.suspects);
    let first = suspects.order.iter().take(FIRST).enumerate();
    first
        .map(|(at, &row)| {
            let label = class(rows, rows.labels[row]);
            let likely = match listed.suggested(row) {
                Some(other) => format!("may be {other}"),
                None => "may be poisoned".to_owned(),
            };
            Found {
                rule: "suspect-row".to_owned(),
                message: format!(
                    "row {row} (from 0), labelled {label}, {likely}; rank {}: {}",
                    at + 1,
                    suspects.reason(row)
                ),
                file,
                line: lines.as_ref().map_or(1, |lines| lines[row]),
            }
        })
        .collect()
}

/// For a terminal.
pub fn tell(listed: &Listed<'_>, written: &[PathBuf]) -> String {
    let (rows, suspects) = (listed.rows, listed.suspects);
    let scores = listed.main_scores();
    let mut head = vec!["row", "label", "suggested"];
    head.extend(scores.iter().map(|score| score.name));
    head.push("why");
    let first = suspects.order.iter().take(FIRST);
    let lines: Vec<Vec<String>> = first
        .map(|&row| {
            let mut line = vec![
                row.to_string(),
                class(rows, rows.labels[row]).to_owned(),
                listed.suggested(row).unwrap_or("-").to_owned(),
            ];
            line.extend(scores.iter().map(|s| format!("{:.2}", s.values[row])));
            line.push(suspects.reason(row));
            line
        })
        .collect();
    let mut text = format!(
        "{} rows in {} classes, {} trusted rows; the most suspicious of them:\n\n{}",
        rows.rows,
        rows.class_names.len(),
        listed.trusted.unwrap_or(0),
        table(&head, &lines)
    );
    if !suspects.left_out.is_empty() {
        text += &format!(
            "\n{} left out: without --trusted there are no rows to learn from, and rows held out of these may be \
             poisoned themselves\n",
            suspects.left_out.join(" and ")
        );
    }
    if let Some(known) = listed.known {
        let lines: Vec<Vec<String>> = (known.scores.iter())
            .map(|q| {
                vec![
                    q.score.to_owned(),
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
