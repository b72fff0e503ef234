//! From a specification to a data set: which loader reads which files.

use std::path::Path;

use crate::data::Data;
use crate::data_dir::DataDir;
use crate::dataset::{Dataset, Split};
use crate::error::DataError;
use crate::features::Features;
use crate::files::Files;
use crate::format::formats::{self, Format};
use crate::format::tables::Tables;
use crate::format::{file_name, folder};
use crate::published::{self, unknown};
use crate::row_set::RowSet;
use crate::spec::DataSpec;

/// A data set of recipes that no file holds.
const SYNTHETIC: &str = crate::spec::DRAWN;

/// Loads, checks and splits the data set that `spec` names.
///
/// Known names are looked up in `data_dir` (`digits` is embedded); anything else is the path of an
/// `.npz` file, of two `.npy` files, of a Parquet file of images or of a folder of class folders, as it stands. Training images are the first `train`
/// of the training file, validation images its last `valid`, test images the first `test` of the
/// test file; the rest is dropped. Then follow resizing and grey to three channels.
///
/// Normalisation constants are the published ones of the four known sets (also after resizing),
/// and for `digits`, `.npz` and folders those of the training images as used.
///
/// A random split is drawn with seed 0; [`load_seeded`] draws others.
pub fn load(spec: &DataSpec, data_dir: &DataDir) -> Result<Dataset, DataError> {
    load_seeded(spec, data_dir, 0)
}

/// As [`load`]; a random split is drawn with `seed` by [`crate::split::balanced`] from the training
/// file followed by the test file. The official split is the same for every seed. Where `spec` names
/// its data by content, other data are refused.
pub fn load_seeded(spec: &DataSpec, data_dir: &DataDir, seed: u64) -> Result<Dataset, DataError> {
    images(spec, data_dir)?.cut(spec, seed)
}

/// As [`load_seeded`], but what are plain rows of numbers stays that: the table (CSV, Parquet) that `spec` names, and
/// arrays of two dimensions, (N, D), in an `.npz` or two `.npy` files. Their columns stay in their own units.
///
/// # Errors
/// As [`load_seeded`], and keys for images beside a table.
pub fn load_any(spec: &DataSpec, data_dir: &DataDir, seed: u64) -> Result<Data, DataError> {
    Ok(match any(spec, data_dir)? {
        Any::Images(read) => Data::Images(read.cut(spec, seed)?),
        Any::Table(read) => {
            read.check(spec)?;
            Data::Table(read.files.cut(&read.name, spec, seed)?)
        }
    })
}

/// The hash by which [`DataSpec::hash`] names what `spec` reads, whether it is then taken for images or for a
/// table.
pub fn source_hash(spec: &DataSpec, data_dir: &DataDir) -> Result<String, DataError> {
    Ok(match any(spec, data_dir)? {
        Any::Images(read) => read.hash(),
        Any::Table(read) => read.hash(),
    })
}

/// What a file holds, of the classes kept.
struct Read<R> {
    /// What messages call it.
    name: String,
    files: Files<R>,
    /// Of the rows of numbers that were taken for images.
    flat: Option<String>,
}

enum Any {
    Images(Read<Split>),
    Table(Read<Features>),
}

impl<R: RowSet> Read<R> {
    fn new(spec: &DataSpec, files: Files<R>, flat: Option<String>) -> Result<Self, DataError> {
        let name = spec.dataset.as_str();
        let name = match published::is_known(name) {
            true => name.to_owned(),
            false => file_name(Path::new(name)),
        };
        let files = files.keep(&name, spec)?;
        Ok(Self { name, files, flat })
    }

    fn hash(&self) -> String {
        self.flat.clone().unwrap_or_else(|| self.files.hash())
    }

    /// Refuses other data than those that `spec` names by content.
    fn check(&self, spec: &DataSpec) -> Result<(), DataError> {
        let Some(expected) = &spec.hash else {
            return Ok(());
        };
        let found = self.hash();
        if found == *expected {
            return Ok(());
        }
        Err(DataError::Changed {
            name: spec.dataset.clone(),
            expected: expected.clone(),
            found,
        })
    }
}

impl Read<Split> {
    fn cut(self, spec: &DataSpec, seed: u64) -> Result<Dataset, DataError> {
        self.check(spec)?;
        self.files.cut(&self.name, spec, seed)
    }
}

/// The file of arrays or the table that `spec` names, if it is one.
fn tables(spec: &DataSpec) -> Result<Option<(Tables, &'static dyn Format)>, DataError> {
    let name = spec.dataset.as_str();
    let path = Path::new(name);
    let known = published::is_known(name) || name == SYNTHETIC;
    match formats::of(name).filter(|_| !known) {
        Some(format) if format.holds_images(path)? => Ok(None),
        Some(format) => Ok(Some((
            Tables::open(name, format, spec.label.as_deref())?,
            format,
        ))),
        None => match &spec.label {
            None => Ok(None),
            Some(label) => Err(DataError::LabelColumn {
                path: path.to_path_buf(),
                label: label.clone(),
                expected:
                    "a table (.csv, .tsv, .parquet), whose columns have names: leave `label` out"
                        .to_owned(),
            }),
        },
    }
}

fn any(spec: &DataSpec, data_dir: &DataDir) -> Result<Any, DataError> {
    let Some((tables, format)) = tables(spec)? else {
        return images(spec, data_dir).map(Any::Images);
    };
    if !tables.is_flat() {
        return Ok(Any::Images(Read::new(spec, tables.images()?, None)?));
    }
    let columns = match format.has_columns() {
        true => tables.columns.clone(),
        false => None,
    };
    Ok(Any::Table(Read::new(spec, tables.rows(columns)?, None)?))
}

/// What `spec` names, as images.
fn images(spec: &DataSpec, data_dir: &DataDir) -> Result<Read<Split>, DataError> {
    let name = spec.dataset.as_str();
    let path = Path::new(name);
    if spec.is_table() && path.is_file() {
        let path = path.to_path_buf();
        return Err(DataError::TableImages { path });
    }
    if let Some((tables, format)) = tables(spec)? {
        if format.has_columns() {
            let path = path.to_path_buf();
            return Err(DataError::TableImages { path });
        }
        // Rows of numbers are named by their own content, which images of them may round.
        let flat = match tables.is_flat() {
            true => Some(Read::new(spec, tables.rows(None)?, None)?.hash()),
            false => None,
        };
        return Read::new(spec, tables.images()?, flat);
    }
    let keep = spec.classes.as_deref();
    let files = match (published::find(name), formats::of(name)) {
        (Some(set), _) => {
            let folder = data_dir.path().join(set.folder().unwrap_or_default());
            set.load(&folder, keep)?
        }
        _ if name == SYNTHETIC => {
            let name = name.to_owned();
            return Err(DataError::Synthetic { name });
        }
        _ if path.is_dir() => folder::load(path, spec.resize, keep)?,
        (None, Some(format)) => format.images(path, spec.label.as_deref(), spec.resize)?,
        (None, None) => return Err(unknown(name)),
    };
    Read::new(spec, files, None)
}
