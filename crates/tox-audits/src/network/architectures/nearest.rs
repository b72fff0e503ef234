//! What a file of strange weights is nearest to, and where it differs.

use super::{ARCHITECTURES, Architecture};
use std::collections::BTreeMap;
use tox_nn::nets::file::WeightsFile;

/// How a file's names compare with an architecture's, whose numbers are left out.
struct Compared {
    architecture: &'static dyn Architecture,
    /// The share of the file's names that are the architecture's too.
    share: f64,
    /// The first of the file that it does not have.
    strange: Option<String>,
    /// The first of it that the file does not have.
    lacking: Option<String>,
}

impl Compared {
    fn of(architecture: &'static dyn Architecture, file: &WeightsFile) -> Self {
        let names = |names: Vec<String>| -> BTreeMap<String, String> {
            let names = names.into_iter().filter(|name| !counter(name));
            names.map(|name| (pattern(&name), name)).collect()
        };
        let ours = file
            .shapes
            .keys()
            .filter_map(|name| architecture.ours(name));
        let (theirs, ours) = (names(ours.collect()), names(architecture.example()));
        let shared = theirs
            .keys()
            .filter(|name| ours.contains_key(*name))
            .count();
        let first_of = |of: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
            let mut names = of.iter().filter(|(name, _)| !other.contains_key(*name));
            names.next().map(|(_, name)| name.clone())
        };
        Self {
            architecture,
            share: shared as f64 / theirs.len().max(1) as f64,
            strange: first_of(&theirs, &ours),
            lacking: first_of(&ours, &theirs),
        }
    }
}

/// Why a file is of no architecture: the one that its names are most like, and the first names in which
/// they differ.
pub fn nearest(file: &WeightsFile) -> String {
    let known: Vec<&str> = ARCHITECTURES.iter().map(|known| known.name()).collect();
    let known = known.join(", ");
    let all = ARCHITECTURES.iter().map(|known| Compared::of(*known, file));
    // Of several that are as near the first.
    let best = all.reduce(|best, other| {
        if other.share > best.share {
            other
        } else {
            best
        }
    });
    let Some(best) = best.filter(|best| best.share > 0.0) else {
        let first = file.shapes.keys().next().map_or("", String::as_str);
        return format!("its names, such as `{first}`, are those of none of {known}");
    };
    let strange = best.strange.map(|name| format!("it has no `{name}`"));
    let lacking = best
        .lacking
        .map(|name| format!("the file has nothing like its `{name}`"));
    let mut differs: Vec<String> = strange.into_iter().chain(lacking).collect();
    if differs.is_empty() {
        differs.push("their shapes or numbers of layers differ".to_owned());
    }
    format!(
        "its names are those of none of {known}; the nearest is {} ({}): {}",
        best.architecture.name(),
        best.architecture.tensors(),
        differs.join(", and "),
    )
}

/// A name whose numbers are left out: what is the same in all layers.
fn pattern(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        match c.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(c),
        }
    }
    text
}

/// Files may lack them.
fn counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}
