//! What is in the data folder, for `toxscreen data ls`.

use std::path::PathBuf;

use serde::Serialize;

use crate::catalogue::{self, NAMES};
use crate::data_dir::DataDir;
use crate::error::DataError;
use crate::format::cifar::{CIFAR10, CIFAR100};
use crate::format::{digits, idx};

/// One known data set and the state of its copy here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatasetInfo {
    /// The name a recipe uses.
    pub name: String,
    /// All files are there and their sizes make sense.
    pub found: bool,
    /// The folder, there or not; none for what is embedded.
    pub path: Option<PathBuf>,
    /// Training images here, 0 if not found.
    pub train: usize,
    /// Test images here, 0 if not found.
    pub test: usize,
    /// Channels, height, width.
    pub shape: [usize; 3],
    pub classes: usize,
    /// Licence and whom to cite.
    pub licence: String,
    /// Why it does not count as found.
    pub problem: Option<String>,
}

/// The known data sets. Only file names, lengths and headers are read; [`crate::load`] checks the
/// rest.
pub fn list(data_dir: &DataDir) -> Vec<DatasetInfo> {
    NAMES.iter().map(|name| info(name, data_dir)).collect()
}

fn info(name: &str, data_dir: &DataDir) -> DatasetInfo {
    let folder = data_dir.path().join(catalogue::folder(name));
    let (shape, classes) = match name {
        "digits" => ([1, 8, 8], 10),
        "mnist" | "fashion-mnist" => ([1, 28, 28], 10),
        "cifar10" => ([3, 32, 32], 10),
        _ => ([3, 32, 32], 100),
    };
    let counts = match name {
        "digits" => Ok([digits::COUNT - digits::TEST, digits::TEST]),
        "mnist" | "fashion-mnist" => idx_counts(name, &folder),
        "cifar10" => CIFAR10.peek(&folder),
        _ => CIFAR100.peek(&folder),
    };
    let (found, problem) = match &counts {
        Ok(_) => (true, None),
        Err(error) => (false, Some(error.to_string())),
    };
    let [train, test] = counts.unwrap_or_default();
    DatasetInfo {
        name: name.to_owned(),
        found,
        path: (name != "digits").then_some(folder),
        train,
        test,
        shape,
        classes,
        licence: catalogue::licence(name).to_owned(),
        problem,
    }
}

fn idx_counts(name: &str, folder: &std::path::Path) -> Result<[usize; 2], DataError> {
    let mut counts = [0; 2];
    for (count, files) in counts.iter_mut().zip(idx::FILES) {
        for file in files {
            let path = idx::find(folder, file).ok_or_else(|| DataError::Missing {
                name: name.to_owned(),
                path: folder.join(format!("{file}.gz")),
            })?;
            if file == files[0] {
                *count = idx::peek(&path)?[0];
            }
        }
    }
    Ok(counts)
}
