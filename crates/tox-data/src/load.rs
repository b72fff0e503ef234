//! From a specification to a data set: which loader reads which files.

use std::path::Path;

use crate::catalogue::{self, NAMES};
use crate::dir::DataDir;
use crate::error::DataError;
use crate::format::cifar::{CIFAR10, CIFAR100};
use crate::format::{digits, folder, idx, npz};
use crate::set::{Dataset, Files};
use crate::spec::DataSpec;

/// Loads, checks and splits the data set that `spec` names.
///
/// Known names are looked up in `data_dir` (`digits` is embedded); anything else is the path of an
/// `.npz` file or of a folder of class folders, as it stands. Training images are the first `train`
/// of the training file, validation images its last `valid`, test images the first `test` of the
/// test file; the rest is dropped. Then follow resizing and grey to three channels.
///
/// Normalisation constants are the published ones of the four known sets (also after resizing),
/// and for `digits`, `.npz` and folders those of the training images as used.
pub fn load(spec: &DataSpec, data_dir: &DataDir) -> Result<Dataset, DataError> {
    let name = spec.dataset.as_str();
    let folder = |known: &str| data_dir.path().join(catalogue::folder(known));
    let published = catalogue::normalise;
    let files = match name {
        "digits" => digits::load()?,
        "mnist" | "fashion-mnist" => idx::load(
            name,
            &folder(name),
            catalogue::class_names(name),
            published(name),
        )?,
        "cifar10" => CIFAR10.load(&folder(name), published(name))?,
        "cifar100" => CIFAR100.load(&folder(name), published(name))?,
        _ => return of_path(spec, Path::new(name)),
    };
    files.cut(name, spec)
}

fn of_path(spec: &DataSpec, path: &Path) -> Result<Dataset, DataError> {
    let files: Files = if path.is_dir() {
        folder::load(path, spec.resize)?
    } else if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("npz"))
    {
        npz::load(path)?
    } else {
        return Err(unknown(&spec.dataset));
    };
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    files.cut(&name, spec)
}

/// The error for a name nobody knows, with the nearest known one.
pub(crate) fn unknown(name: &str) -> DataError {
    DataError::Unknown {
        name: name.to_owned(),
        hint: catalogue::hint(name, &NAMES),
    }
}
