//! Named arrays, wherever they come from: an `.npz` archive, `.npy` files, a table of text.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use super::npy::Array;
use super::npz::Archive;
use super::roles::EXPECTED;
use crate::error::DataError;

/// An open file, or several that belong together.
pub(crate) enum Source {
    Npz(Box<Archive<BufReader<File>>>),
    /// Arrays that have been read.
    Read(Vec<Array>),
}

impl Source {
    /// Names of the arrays, in the order of the file.
    pub fn keys(&self) -> Vec<String> {
        match self {
            Self::Npz(archive) => archive.keys(),
            Self::Read(arrays) => arrays.iter().map(|array| array.key.clone()).collect(),
        }
    }

    /// The array called `key`.
    pub fn array(&mut self, key: &str) -> Result<Array, DataError> {
        match self {
            Self::Npz(archive) => archive.array(key),
            Self::Read(arrays) => match arrays.iter().find(|array| array.key == key) {
                Some(array) => Ok(array.clone()),
                None => Err(DataError::NpzKey {
                    path: PathBuf::new(),
                    key: key.to_owned(),
                    expected: EXPECTED,
                    found: "other arrays".to_owned(),
                }),
            },
        }
    }
}
