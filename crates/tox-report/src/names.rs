//! Data sets as a report calls them. Specs hold absolute paths, which say more of a machine than a page
//! should, and more than a table has room for.

use std::collections::BTreeSet;
use std::path::Path;

/// Puts in place of the path of a data set as many of its last parts as tell it from `all` others.
pub fn shorten(name: &mut String, all: &BTreeSet<String>) {
    if Path::new(name.as_str()).is_absolute() {
        *name = shortest(name, all);
    }
}

fn shortest(name: &str, all: &BTreeSet<String>) -> String {
    let parts: Vec<_> = Path::new(name).components().collect();
    let suffix = |n: usize| {
        parts[parts.len() - n..]
            .iter()
            .collect::<std::path::PathBuf>()
    };
    let alone = |n: &usize| {
        let suffix = suffix(*n);
        let like = |other: &&String| other.as_str() != name && Path::new(other).ends_with(&suffix);
        !all.iter().any(|other| like(&other))
    };
    let found = (1..parts.len()).find(alone).map(suffix);
    found.map_or_else(|| name.to_owned(), |found| found.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let all: BTreeSet<String> = ["/a/b/x.npz", "/a/c/x.npz", "/d/y.npz", "digits", "x.npz"]
            .map(str::to_owned)
            .into();
        for (name, expected) in [
            ("/a/b/x.npz", "b/x.npz"),
            ("/a/c/x.npz", "c/x.npz"),
            ("/d/y.npz", "y.npz"),
        ] {
            assert_eq!(shortest(name, &all), expected);
        }
    }
}
