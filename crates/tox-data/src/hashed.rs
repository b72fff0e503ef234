//! Files that a result depends on, named by their content.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A file that a trial depends on: named by its content too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashedFile {
    /// The file.
    pub path: String,
    /// Its BLAKE3 hash; a recipe's reader fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Why a file cannot be taken for the one that a trial was made with.
#[derive(Debug, thiserror::Error)]
pub enum HashedError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{path} changed: its content has the hash {found}, expected {expected}; give the new file a study of \
         its own with --out, or put the old one back"
    )]
    Changed {
        path: String,
        /// The hash in the trial's spec.
        expected: String,
        /// That of the file.
        found: String,
    },
}

impl HashedFile {
    /// A file whose hash the reader of the recipe is to fill in.
    pub fn unread(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().display().to_string(),
            hash: None,
        }
    }

    /// Refuses a file whose bytes are not those of the spec, see [`unchanged`].
    ///
    /// # Errors
    /// As there.
    pub fn unchanged(&self) -> Result<(), HashedError> {
        unchanged(&self.path, self.hash.as_ref())
    }
}

/// BLAKE3 (hexadecimal) of a file's bytes.
///
/// # Errors
/// A file that cannot be read.
pub fn hash_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Refuses a file whose bytes are not those of the spec, which may name none.
///
/// # Errors
/// A file that cannot be read, or that changed.
pub fn unchanged(path: &str, expected: Option<&String>) -> Result<(), HashedError> {
    if expected.is_none() {
        return Ok(());
    }
    let found = hash_of(Path::new(path)).map_err(|source| HashedError::Read {
        path: path.into(),
        source,
    })?;
    same(path, expected, &found)
}

/// Refuses a file whose hash is not that of the spec, which may name none. Of a table it is that of its content.
///
/// # Errors
/// That.
pub fn same(path: &str, expected: Option<&String>, found: &str) -> Result<(), HashedError> {
    match expected {
        Some(expected) if expected != found => Err(HashedError::Changed {
            path: path.to_owned(),
            expected: expected.clone(),
            found: found.to_owned(),
        }),
        Some(_) | None => Ok(()),
    }
}
