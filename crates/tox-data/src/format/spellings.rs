//! Names of classes that are one name, written in several ways.

use std::collections::BTreeMap;
use std::path::Path;

use crate::doubt::Doubt;
use crate::error::DataError;
use crate::format::some;

/// A name and how many rows have it.
pub(crate) type Counted = (String, usize);

/// What is to be said of classes of these names in the file or folder at `path`. Names that differ in case alone
/// may be classes (`a` and `A` of handwriting are), and are told.
///
/// # Errors
/// Names that differ in blanks alone, or in how a number is written.
pub(crate) fn check(path: &Path, names: &[Counted]) -> Result<Vec<String>, DataError> {
    let mut same: BTreeMap<String, Vec<&Counted>> = BTreeMap::new();
    for name in names {
        same.entry(bare(&name.0)).or_default().push(name);
    }
    if let Some(several) = same.values().find(|several| several.len() > 1) {
        return Err(Doubt::Spellings {
            path: path.to_path_buf(),
            found: listed(several),
        }
        .into());
    }
    let mut folded: BTreeMap<String, Vec<&Counted>> = BTreeMap::new();
    for (bare, of) in same {
        folded.entry(bare.to_lowercase()).or_default().extend(of);
    }
    let twins = folded.into_values().filter(|several| several.len() > 1);
    let twins: Vec<&Counted> = twins.flatten().collect();
    Ok(match twins.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "{} differ in upper and lower case alone, and are classes of their own: write them alike if they \
             are one",
            listed(&twins)
        )],
    })
}

/// `1` for `01` and `1.0`; else the name with single blanks between its words.
fn bare(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    let name = words.join(" ");
    match name.parse::<f64>() {
        Ok(number) if number.is_finite() => number.to_string(),
        _ => name,
    }
}

fn listed(names: &[&Counted]) -> String {
    let each = names.iter();
    let each = each.map(|(name, count)| format!("{name:?} ({count} rows)"));
    some(&each.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(names: &[&str]) -> Result<Vec<String>, DataError> {
        let names: Vec<Counted> = names.iter().map(|&name| (name.to_owned(), 3)).collect();
        check(Path::new("a.csv"), &names)
    }

    #[test]
    fn blanks_and_spelled_numbers_make_no_classes() {
        for names in [
            &["cat", "cat "][..],
            &["big cat", "big\u{a0}cat"],
            &["1", "01", "no"],
            &["1", "1.0"],
            &["-1", "-1.0"],
        ] {
            let error = checked(names).unwrap_err().to_string();
            assert!(error.contains("(3 rows)"), "{error}");
        }
        assert!(checked(&["cat", "dog", "1", "10"]).unwrap().is_empty());
    }

    #[test]
    fn case_alone_is_told_of_words() {
        let told = checked(&["Cat", "cat", "dog"]).unwrap();
        assert!(
            told[0].starts_with("\"Cat\" (3 rows), \"cat\" (3 rows) differ"),
            "{told:?}"
        );
        assert_eq!(checked(&["A", "B", "a", "b"]).unwrap().len(), 1);
    }
}
