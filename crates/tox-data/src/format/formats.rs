//! The formats of files that hold named arrays. Each is a type here and a line in [`FORMATS`].

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use super::npy::Array;
use super::npz::Archive;
use super::roles::EXPECTED;
use super::source::Source;
use super::{csv, extension, parquet};
use crate::error::DataError;
use crate::files::Files;
use crate::input::Input;
use crate::published::unknown;

/// What is known of a format, and how a file of it is opened.
pub(crate) trait Format: Debug + Sync {
    /// What names of its files end in, in lower case and without the dot.
    fn extensions(&self) -> &'static [&'static str];

    /// Whether a name stands for one file, and not for several that are parted by commas.
    fn is_one_file(&self) -> bool {
        true
    }

    /// Whether a file is always a table of numbers.
    fn is_table(&self) -> bool {
        false
    }

    /// Whether columns have names, of which one is that of the labels.
    fn has_columns(&self) -> bool {
        false
    }

    /// The arrays of `data`, and what is to be said of them; `label` is the column of labels.
    fn open(&self, data: &str, label: Option<&str>) -> Result<(Source, Vec<String>), DataError>;

    /// Whether the file at `path` holds pictures, which [`Format::images`] reads.
    fn holds_images(&self, _path: &Path) -> Result<bool, DataError> {
        Ok(false)
    }

    /// The pictures of the file at `path`, resized to squares of `side` pixels.
    fn images(
        &self,
        path: &Path,
        _label: Option<&str>,
        _side: Option<usize>,
    ) -> Result<Files, DataError> {
        let path = path.to_path_buf();
        Err(DataError::Door { path })
    }
}

/// All of them.
const FORMATS: &[&dyn Format] = &[&Npz, &Npy, &Text, &Parquet];

/// NumPy's archive, in which poisoned rows are kept.
pub(crate) const NPZ: &dyn Format = &Npz;

/// The format of `data` by its name; none of a folder and of a name without one of the extensions.
pub(crate) fn of(data: &str) -> Option<&'static dyn Format> {
    let path = Path::new(data);
    if path.is_dir() {
        return None;
    }
    let extension = extension(path);
    let fits = |format: &&'static dyn Format| format.extensions().contains(&&extension[..]);
    FORMATS.iter().copied().find(fits)
}

/// NumPy's archive of arrays.
#[derive(Debug)]
struct Npz;

impl Format for Npz {
    fn extensions(&self) -> &'static [&'static str] {
        &["npz"]
    }

    fn open(&self, data: &str, _label: Option<&str>) -> Result<(Source, Vec<String>), DataError> {
        let archive = Archive::open(Path::new(data), EXPECTED)?;
        Ok((Source::Npz(Box::new(archive)), Vec::new()))
    }
}

/// NumPy's arrays, one a file.
#[derive(Debug)]
struct Npy;

impl Format for Npy {
    fn extensions(&self) -> &'static [&'static str] {
        &["npy"]
    }

    fn is_one_file(&self) -> bool {
        false
    }

    fn open(&self, data: &str, _label: Option<&str>) -> Result<(Source, Vec<String>), DataError> {
        Ok((Source::Read(arrays(data)?), Vec::new()))
    }
}

/// Columns of text, parted by commas or tabs.
#[derive(Debug)]
struct Text;

impl Format for Text {
    fn extensions(&self) -> &'static [&'static str] {
        &["csv", "tsv", "csv.gz", "tsv.gz"]
    }

    fn is_table(&self) -> bool {
        true
    }

    fn has_columns(&self) -> bool {
        true
    }

    fn open(&self, data: &str, label: Option<&str>) -> Result<(Source, Vec<String>), DataError> {
        let (arrays, notes) = csv::read(Path::new(data), label)?;
        Ok((Source::Read(arrays), notes))
    }
}

/// Columns of numbers, or pictures as Hugging Face's `datasets` writes them.
#[derive(Debug)]
struct Parquet;

impl Format for Parquet {
    fn extensions(&self) -> &'static [&'static str] {
        &["parquet"]
    }

    fn has_columns(&self) -> bool {
        true
    }

    fn open(&self, data: &str, label: Option<&str>) -> Result<(Source, Vec<String>), DataError> {
        let (arrays, notes) = parquet::table(Path::new(data), label)?;
        Ok((Source::Read(arrays), notes))
    }

    fn holds_images(&self, path: &Path) -> Result<bool, DataError> {
        if !path.is_file() {
            return Err(unknown(&path.to_string_lossy()));
        }
        parquet::holds_images(path)
    }

    fn images(
        &self,
        path: &Path,
        label: Option<&str>,
        side: Option<usize>,
    ) -> Result<Files, DataError> {
        parquet::images(path, label, side)
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
