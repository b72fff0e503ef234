//! File formats: each module turns files into the training and the test file of a data set.

pub(crate) mod array;
mod columns;
pub(crate) mod csv;
pub(crate) mod folder;
pub(crate) mod formats;
pub(crate) mod idx;
pub(crate) mod labels;
pub(crate) mod mat;
pub(crate) mod npy;
pub(crate) mod npz;
#[cfg_attr(not(feature = "parquet"), path = "format/no_parquet.rs")]
pub(crate) mod parquet;
mod picture;
mod pictures;
pub(crate) mod roles;
pub(crate) mod rows;
pub(crate) mod source;
pub(crate) mod spellings;
pub(crate) mod tables;
pub(crate) mod units;

use std::path::Path;

/// Classes that a note names.
const NAMED: usize = 10;

/// What the name of `path` ends in, in lower case and without the dot: `npz`, `csv.gz`.
pub(crate) fn extension(path: &Path) -> String {
    let end = |path: &Path| {
        path.extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase()
    };
    let last = end(path);
    match path.file_stem().map(|stem| end(Path::new(stem))) {
        Some(inner) if last == "gz" && !inner.is_empty() => format!("{inner}.gz"),
        _ => last,
    }
}

/// Names for classes that only have numbers.
pub(crate) fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// `a x b x c`, for messages.
pub(crate) fn dimensions(shape: &[usize]) -> String {
    shape
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" x ")
}

/// What messages and results call the set at `path`.
pub(crate) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The first of `items`, and how many there are beside.
pub(crate) fn some(items: &[String]) -> String {
    match items.len() > NAMED {
        false => items.join(", "),
        true => format!(
            "{} and {} more",
            items[..NAMED].join(", "),
            items.len() - NAMED
        ),
    }
}
