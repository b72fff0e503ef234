//! Ranges in the guide's hand-written tables of keys, held against those of the schema.

use crate::Document;
use crate::guide::{REFERENCE, cells, in_backticks, rows_of_keys};
use std::collections::BTreeMap;

/// Least and greatest value, and whether the least is excluded.
type Range = (bool, f64, f64);

/// Ranges of hand-written tables (a first column `key` or `key of ...`, a second `range ...`) that no key of that name
/// has. Only what is written `A to B` or `above A to B` is a range here; words are left alone.
pub fn faults(documents: &[Document]) -> Vec<String> {
    let reference = documents.iter().filter(|d| d.path == REFERENCE);
    let mut known: BTreeMap<String, Vec<Range>> = BTreeMap::new();
    for cells in reference.flat_map(|d| d.text.lines()).filter_map(cells) {
        if let [key, _, _, range, ..] = cells[..] {
            let ranges = known
                .entry(key.trim_matches('`').replace("[]", ""))
                .or_default();
            ranges.extend(parse(range));
        }
    }
    let mut faults = Vec::new();
    let guide = |d: &&Document| d.path.starts_with("docs/guide/") && d.path != REFERENCE;
    for document in documents.iter().filter(guide) {
        for (head, row) in rows_of_keys(&document.text) {
            if let ([_, second, ..], [keys, ranges, ..]) = (&head[..], &row[..])
                && second.starts_with("range")
            {
                faults
                    .extend(wrong(keys, ranges, &known).map(|w| format!("{}: {w}", document.path)));
            }
        }
    }
    faults
}

/// What is wrong with the ranges of a row.
fn wrong(
    keys: &str,
    ranges: &str,
    known: &BTreeMap<String, Vec<Range>>,
) -> impl Iterator<Item = String> {
    let keys: Vec<&str> = in_backticks(keys).collect();
    let table = keys.first().and_then(|key| key.rsplit_once('.'));
    let ranges: Vec<&str> = ranges.split(';').map(str::trim).collect();
    let mut found = Vec::new();
    for (i, key) in keys.iter().enumerate() {
        let key = match (key.strip_prefix('.'), table) {
            (Some(last), Some((table, _))) => format!("{table}.{last}"),
            _ => (*key).to_owned(),
        };
        // One range for each key, or one for all.
        let range = match ranges.len() == keys.len() {
            true => ranges[i],
            false => ranges[0],
        };
        let Some(written) = parse(range) else {
            continue;
        };
        let below = format!(".{key}");
        let mut meant = known
            .iter()
            .filter(|(k, _)| **k == key || k.ends_with(&below));
        if !meant.any(|(_, ranges)| ranges.contains(&written)) {
            found.push(format!(
                "`{key}` is said to be {range}, which no key of that name in {REFERENCE} is"
            ));
        }
    }
    found.into_iter()
}

/// `A to B` or `above A to B`, or the same in the words of the schema: `above A, at most B`.
fn parse(range: &str) -> Option<Range> {
    let range = range.strip_suffix(" each").unwrap_or(range);
    let (above, rest) = match range.strip_prefix("above ") {
        Some(rest) => (true, rest),
        None => (false, range),
    };
    let (least, greatest) = rest
        .split_once(" to ")
        .or_else(|| rest.split_once(", at most "))?;
    let number = |text: &str| text.replace(',', "").parse::<f64>().ok();
    Some((above, number(least)?, number(greatest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rows: &str) -> Vec<String> {
        let document = |path: &str, text: String| Document {
            path: path.to_owned(),
            text,
        };
        let reference = "| `a.rate` | number | 1 | above 0, at most 1e6 | w |\n\
                         | `b.steps` | whole number | 1 | 1 to 100000 | w |\n\
                         | `b.lr` | number | 1 | 0 to 1 | w |";
        let guide = format!("| key | range or choices | default |\n|---|---|---|\n{rows}\n");
        faults(&[
            document(REFERENCE, reference.to_owned()),
            document("docs/guide/a.md", guide),
        ])
    }

    #[test]
    fn a_range_of_another_width_is_told() {
        let right = "| `a.rate` | above 0 to 1,000,000 | 1 |\n\
                     | `b.steps`, `.lr` | 1 to 100,000; 0 to 1 | 1 |\n\
                     | `b.lr` | at most `b.steps` | 1 |";
        assert_eq!(said(right), Vec::<String>::new());
        for wrong in [
            "| `a.rate` | 0 to 1e6 | 1 |",
            "| `b.steps` | 1 to 10,000 | 1 |",
            "| `b.steps`, `.lr` | 1 to 100,000 each | 1 |",
            "| `c` | 1 to 2 | 1 |",
        ] {
            assert_eq!(said(wrong).len(), 1, "{wrong}");
        }
    }
}
