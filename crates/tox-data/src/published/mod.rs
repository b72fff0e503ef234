//! Data sets that everybody knows by name. Each is a file here and a line in [`PUBLISHED`].

mod cifar;
mod digits;
mod mnist;
mod source;
mod svhn;

use std::path::{Path, PathBuf};

pub use source::{Checksum, Remote, Source};

use crate::error::DataError;
use crate::files::Files;

/// A known data set: what it is, where it lies, where it comes from.
pub(crate) trait Published: Sync {
    /// What a recipe calls it.
    fn name(&self) -> &'static str;
    /// Its folder in the data folder; none of what is embedded.
    fn folder(&self) -> Option<&'static str>;
    /// Licence and citation, in a line.
    fn licence(&self) -> &'static str;
    /// Channels, height and width.
    fn shape(&self) -> [usize; 3];
    /// How many classes it has.
    fn classes(&self) -> usize;
    /// Official addresses and checksums; none of what is embedded.
    fn source(&self) -> Option<Source>;
    /// Numbers of training and test images in `folder`, by names, lengths and headers of files alone.
    fn counts(&self, folder: &Path) -> Result<[usize; 2], DataError>;
    /// The files in `folder`; images of classes that are not among `keep` may be left out.
    fn load(&self, folder: &Path, keep: Option<&[u16]>) -> Result<Files, DataError>;
}

/// All of them, in the order in which they are listed.
pub(crate) const PUBLISHED: &[&dyn Published] = &[
    &digits::DIGITS,
    &mnist::MNIST,
    &mnist::FASHION,
    &cifar::CIFAR10,
    &cifar::CIFAR100,
    &svhn::Svhn,
];

/// The file `file` of the data set `name` in `folder`.
fn locate(name: &str, folder: &Path, file: &str) -> Result<PathBuf, DataError> {
    let path = folder.join(file);
    match path.is_file() {
        true => Ok(path),
        false => Err(DataError::Missing {
            name: name.to_owned(),
            path,
        }),
    }
}

/// Notes on a copy of the data set `name` whose numbers of training and test images are not the official ones.
fn unofficial(name: &str, found: [usize; 2], official: [usize; 2]) -> Vec<String> {
    let counts = ["training", "test"].into_iter().zip(found).zip(official);
    let differing = counts.filter(|((_, found), official)| found != official);
    let note = |((what, found), official)| {
        format!("this copy of {name} has {found} {what} images, the official one {official}")
    };
    differing.map(note).collect()
}

/// The data set called `name`.
pub(crate) fn find(name: &str) -> Option<&'static dyn Published> {
    PUBLISHED.iter().copied().find(|known| known.name() == name)
}

/// Whether `name` is that of a known data set, and no path.
pub fn is_known(name: &str) -> bool {
    find(name).is_some()
}

/// Official addresses and checksums of a known data set; none for `digits`, which is embedded.
pub fn official(name: &str) -> Option<Source> {
    find(name)?.source()
}

/// Names of `sets`, and ` (did you mean ...?)` if one of them is near to `name`, else nothing.
pub(crate) fn hint<'a>(
    name: &str,
    sets: impl Iterator<Item = &'a &'static dyn Published>,
) -> (String, String) {
    let names: Vec<&str> = sets.map(|set| set.name()).collect();
    let near = names
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known));
    let best = near
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = best.map_or_else(String::new, |(_, known)| {
        format!(" (did you mean `{known}`?)")
    });
    (names.join(", "), hint)
}

/// The error for a name nobody knows, with the nearest known one, or for a file of another kind.
pub(crate) fn unknown(name: &str) -> DataError {
    match Path::new(name).is_file() {
        true => DataError::Door {
            path: Path::new(name).to_path_buf(),
        },
        false => {
            let (known, hint) = hint(name, PUBLISHED.iter());
            let name = name.to_owned();
            DataError::Unknown { name, hint, known }
        }
    }
}
