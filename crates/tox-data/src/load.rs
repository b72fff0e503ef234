//! From a specification to a data set: which loader reads which files.

use std::path::Path;

use crate::catalogue::{self, NAMES};
use crate::data_dir::DataDir;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::format::cifar::{CIFAR10, CIFAR100};
use crate::format::source::Kind;
use crate::format::tables::Tables;
use crate::format::{digits, file_name, folder, idx};
use crate::raw::Files;
use crate::spec::DataSpec;

/// A data set of recipes that no file holds.
const SYNTHETIC: &str = crate::spec::DRAWN;

/// Loads, checks and splits the data set that `spec` names.
///
/// Known names are looked up in `data_dir` (`digits` is embedded); anything else is the path of an
/// `.npz` file, of two `.npy` files or of a folder of class folders, as it stands. Training images are the first `train`
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
    let (name, files) = read(spec, data_dir)?;
    if let Some(expected) = &spec.hash {
        let found = files.hash();
        if found != *expected {
            return Err(DataError::Changed {
                name: spec.dataset.clone(),
                expected: expected.clone(),
                found,
            });
        }
    }
    files.cut(&name, spec, seed)
}

/// The hash by which [`DataSpec::hash`] names what `spec` reads.
pub fn source_hash(spec: &DataSpec, data_dir: &DataDir) -> Result<String, DataError> {
    read(spec, data_dir).map(|(_, files)| files.hash())
}

/// What `spec` reads, of the classes that it keeps, and what messages call it.
fn read(spec: &DataSpec, data_dir: &DataDir) -> Result<(String, Files), DataError> {
    let name = spec.dataset.as_str();
    let folder = |known: &str| data_dir.path().join(catalogue::folder(known));
    let published = catalogue::normalise;
    let keep = spec.classes.as_deref();
    let path = Path::new(name);
    let files = match name {
        SYNTHETIC => {
            return Err(DataError::Synthetic {
                name: name.to_owned(),
            });
        }
        "digits" => digits::load()?,
        "mnist" | "fashion-mnist" => idx::load(
            name,
            &folder(name),
            catalogue::class_names(name),
            published(name),
        )?,
        "cifar10" => CIFAR10.load(&folder(name), published(name), keep)?,
        "cifar100" => CIFAR100.load(&folder(name), published(name), keep)?,
        _ if path.is_dir() => folder::load(path, spec.resize, keep)?,
        _ => match Kind::of(name) {
            Some(kind @ (Kind::Npz | Kind::Npy)) => Tables::open(name, kind, None)?.images()?,
            Some(Kind::Table) if path.is_file() => {
                let path = path.to_path_buf();
                return Err(DataError::TableImages { path });
            }
            Some(Kind::Table) | None => return Err(unknown(name)),
        },
    };
    let name = match NAMES.contains(&name) {
        true => name.to_owned(),
        false => file_name(path),
    };
    let files = files.keep(&name, spec)?;
    Ok((name, files))
}

/// The error for a name nobody knows, with the nearest known one, or for a file of another kind.
pub(crate) fn unknown(name: &str) -> DataError {
    match Path::new(name).is_file() {
        true => DataError::Door {
            path: Path::new(name).to_path_buf(),
        },
        false => DataError::Unknown {
            name: name.to_owned(),
            hint: catalogue::hint(name, &NAMES),
        },
    }
}
