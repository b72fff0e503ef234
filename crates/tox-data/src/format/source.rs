//! Named arrays, wherever they come from: an `.npz` archive, `.npy` files, a table of text.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::npy::Array;
use super::npz::Archive;
use super::roles::EXPECTED;
use super::{csv, extension, parquet};
use crate::error::DataError;
use crate::input::Input;

/// An open file, or several that belong together.
pub(crate) enum Source {
    Npz(Box<Archive<BufReader<File>>>),
    /// Arrays that have been read.
    Read(Vec<Array>),
}

/// What is opened.
pub(crate) struct Opened {
    pub source: Source,
    /// What messages call it.
    pub path: PathBuf,
    /// What is to be said of it.
    pub notes: Vec<String>,
}

/// The kind of file that `data` names; none for a folder, a known name, and what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Npz,
    Npy,
    Table,
    /// A table, or images.
    Parquet,
}

impl Kind {
    pub fn of(data: &str) -> Option<Self> {
        let path = Path::new(data);
        if path.is_dir() {
            return None;
        }
        match &extension(path)[..] {
            "npz" => Some(Self::Npz),
            "npy" => Some(Self::Npy),
            "csv" | "tsv" | "csv.gz" | "tsv.gz" => Some(Self::Table),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl Kind {
    /// Whether its columns have names, of which one is that of the labels.
    pub fn has_columns(self) -> bool {
        match self {
            Self::Table | Self::Parquet => true,
            Self::Npz | Self::Npy => false,
        }
    }
}

impl Opened {
    /// Opens `data`, which is of `kind`; `label` is the column of labels of a table.
    pub fn of(data: &str, kind: Kind, label: Option<&str>) -> Result<Self, DataError> {
        let path = Path::new(data);
        if let Some(label) = label.filter(|_| !kind.has_columns()) {
            return Err(DataError::LabelColumn {
                path: path.to_path_buf(),
                label: label.to_owned(),
                expected: "a CSV or Parquet file, whose columns have names: leave the label's out"
                    .to_owned(),
            });
        }
        let (source, notes) = match kind {
            Kind::Npz => (
                Source::Npz(Box::new(Archive::open(path, EXPECTED)?)),
                Vec::new(),
            ),
            Kind::Npy => (Source::Read(arrays(data)?), Vec::new()),
            Kind::Table => {
                let (arrays, notes) = csv::read(path, label)?;
                (Source::Read(arrays), notes)
            }
            Kind::Parquet => {
                let (arrays, notes) = parquet::table(path, label)?;
                (Source::Read(arrays), notes)
            }
        };
        Ok(Self {
            source,
            path: path.to_path_buf(),
            notes,
        })
    }
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

/// Rows and labels, and perhaps rows and labels to test on, of files whose names are parted by commas. A
/// name without a folder lies beside the first file.
fn arrays(data: &str) -> Result<Vec<Array>, DataError> {
    let names: Vec<&str> = match Path::new(data).is_file() {
        true => vec![data],
        false => data.split(',').map(str::trim).collect(),
    };
    let keys: &[&str] = match names.len() {
        2 => &["x", "y"],
        4 => &["x_train", "y_train", "x_test", "y_test"],
        found => {
            return Err(DataError::NpyFiles {
                first: names[0].to_owned(),
                found,
            });
        }
    };
    let first = Path::new(names[0]);
    let mut arrays = Vec::new();
    for (name, key) in names.iter().zip(keys) {
        let bare = Path::new(name).components().count() == 1;
        let path = match first.parent() {
            Some(folder) if bare => folder.join(name),
            _ => PathBuf::from(name),
        };
        arrays.push(Array::read(key, Input::open(&path)?)?);
    }
    Ok(arrays)
}
