//! Tables for a terminal.

use crate::run::Run;
use crate::stats::Interval;
use tox_data::text::one_line;

/// A mean with its interval, in a terminal.
pub fn show(interval: Option<Interval>) -> String {
    interval.map_or("-".to_owned(), |i| i.to_string())
}

/// The study's title, and rows (the first is the head) in columns as wide as they need. Control
/// characters in names are shown.
pub fn table<const N: usize>(run: &Run, rows: Vec<[String; N]>) -> String {
    lines(run, rows.into_iter().map(Vec::from).collect())
}

/// As [`table`], for rows of any one length.
pub fn lines(run: &Run, rows: Vec<Vec<String>>) -> String {
    title(run) + &grid(rows)
}

/// The line with the study's title.
pub fn title(run: &Run) -> String {
    let title = if run.head.title.is_empty() {
        &run.head.name
    } else {
        &run.head.title
    };
    one_line(title).into_owned() + "\n"
}

/// Rows in columns, without a title.
pub fn grid(mut rows: Vec<Vec<String>>) -> String {
    for row in &mut rows {
        for field in row {
            *field = one_line(field).into_owned();
        }
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max();
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(field, width)| format!("{field:<width$}"))
            .collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// The line that says that cells are incomplete.
pub const INCOMPLETE: &str =
    "incomplete: cells with fewer seeds done than planned are means of those\n";
