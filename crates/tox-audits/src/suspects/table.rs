//! `suspects.csv`: every row with its scores, the most suspicious first; and reading it again.

use tox_data::features::Features;
use tox_data::text::{cell, of_cell};
use tox_poison::suspects::Suspects;
use tox_report::csv::row as line;

/// The table.
pub fn csv(rows: &Features, suspects: &Suspects) -> String {
    let class = |label: u16| rows.class_names[usize::from(label)].clone();
    let scores = suspects.scores();
    let head = ["rank", "row", "label", "suggested"].map(str::to_owned);
    let names = scores.iter().map(|score| score.name.to_owned());
    let mut out = line(head.into_iter().chain(names).chain(["reason".to_owned()]));
    for (rank, &row) in suspects.order.iter().enumerate() {
        let facts = [
            (rank + 1).to_string(),
            row.to_string(),
            class(rows.labels[row]),
            class(suspects.suggested[row]),
        ];
        let numbers = scores.iter().map(|score| score.values[row].to_string());
        let reason = suspects.reason(row);
        out += &line(facts.into_iter().chain(numbers).chain([reason]));
    }
    out
}

/// `probabilities.csv`: for every row the probabilities of all classes by models that did not see it, as
/// confident learning took them; none if it was not asked.
pub fn probabilities(rows: &Features, suspects: &Suspects) -> Option<String> {
    let classes = &rows.class_names;
    let found = suspects.found.iter();
    let mut found = found.filter(|(name, _)| *name == "confident");
    let all = found.find_map(|(_, found)| found.probabilities.as_ref())?;
    let mut out = line(
        ["row".to_owned(), "label".to_owned()]
            .into_iter()
            .chain(classes.clone()),
    );
    for (row, p) in all.chunks_exact(classes.len()).enumerate() {
        let label = classes[usize::from(rows.labels[row])].clone();
        let numbers = p.iter().map(f64::to_string);
        out += &line([row.to_string(), label].into_iter().chain(numbers));
    }
    Some(out)
}

/// A line of the table, as it is read again: a row and its suggested label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub row: usize,
    pub suggested: u16,
}

/// What is wrong with a table that was read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TableError {
    line: usize,
    what: String,
}

/// Reads the columns `row` and `suggested` of a table for rows with these labels and classes; others may be there,
/// and lines may have been taken out.
///
/// # Errors
/// A column that is missing, a row that is not there or is there twice, a class that there is none of, and a column
/// `label` that is not that of these rows.
pub fn read(text: &str, labels: &[u16], class_names: &[String]) -> Result<Vec<Line>, TableError> {
    let rows = labels.len();
    let wrong = |line: usize, what: String| TableError { line, what };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let unreadable = |line: usize, error: csv::Error| wrong(line, error.to_string());
    let heads = reader.headers().map_err(|e| unreadable(1, e))?.clone();
    let column = |name: &str| {
        let found: Vec<&str> = heads.iter().collect();
        heads.iter().position(|head| head.trim() == name).ok_or_else(|| {
            wrong(
                1,
                format!(
                    "there is no column `{name}` among {}: expected a table that `toxscreen suspects` wrote",
                    found.join(", ")
                ),
            )
        })
    };
    let (at, suggested) = (column("row")?, column("suggested")?);
    let label = heads.iter().position(|head| head.trim() == "label");
    let (mut lines, mut seen) = (Vec::new(), vec![false; rows]);
    for (i, record) in reader.records().enumerate() {
        let here = i + 2;
        let record = record.map_err(|e| unreadable(here, e))?;
        let text = |column: usize| record.get(column).unwrap_or("").trim();
        let row: usize = (text(at).parse()).map_err(|_| {
            wrong(
                here,
                format!("`row` is {}, expected a whole number", text(at)),
            )
        })?;
        match seen.get_mut(row) {
            None => {
                return Err(wrong(
                    here,
                    format!("row {row}, expected one below {rows}: the table is of other data"),
                ));
            }
            Some(true) => return Err(wrong(here, format!("row {row} is there more than once"))),
            Some(seen) => *seen = true,
        }
        let name = text(suggested);
        let is = |class: &&String| cell(class) == name || class.as_str() == of_cell(name);
        let class = class_names.iter().position(|class| is(&class));
        let Some(class) = class else {
            return Err(wrong(
                here,
                format!(
                    "`suggested` is {name}, expected one of {}",
                    class_names.join(", ")
                ),
            ));
        };
        let has = class_names[usize::from(labels[row])].as_str();
        let other = |found: &&str| cell(has).trim() != *found && has != of_cell(found);
        if let Some(found) = label.map(text).filter(other) {
            return Err(wrong(
                here,
                format!(
                    "row {row} has the label {found}, and {has} in the data: the table is of other data"
                ),
            ));
        }
        lines.push(Line {
            row,
            suggested: class as u16,
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_checked() {
        let names: Vec<String> = ["a", "=b"].map(str::to_owned).into();
        let read = |text: &str| read(text, &[0, 1, 1], &names);
        let lines = read("row,label,suggested\n2,=b,'=b\n1,'=b,a\n0,a,a\n").unwrap();
        let line = |row, suggested| Line { row, suggested };
        assert_eq!(lines, [line(2, 1), line(1, 0), line(0, 0)]);
        let error = |text: &str| read(text).unwrap_err().to_string();
        assert!(error("row,label\n0,a\n").contains("no column `suggested` among row, label"));
        assert!(error("row,suggested\n3,a\n").contains("expected one below 3"));
        assert!(error("row,suggested\n1,a\n1,a\n").starts_with("line 3: row 1"));
        assert!(error("row,suggested\n1,c\n").contains("expected one of a, =b"));
        assert!(
            error("row,label,suggested\n1,a,a\n")
                .contains("row 1 has the label a, and =b in the data")
        );
        assert!(error("row,suggested\nx,a\n").contains("expected a whole number"));
    }
}
