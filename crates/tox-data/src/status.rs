//! What is in the data folder, for `toxscreen data ls`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::data_dir::DataDir;
use crate::published::{PUBLISHED, Published};

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
    let info = |set: &&dyn Published| {
        let path = set.folder().map(|folder| data_dir.path().join(folder));
        let counts = set.counts(path.as_deref().unwrap_or(Path::new("")));
        let problem = counts.as_ref().err().map(ToString::to_string);
        let [train, test] = counts.unwrap_or_default();
        DatasetInfo {
            name: set.name().to_owned(),
            found: problem.is_none(),
            path,
            train,
            test,
            shape: set.shape(),
            classes: set.classes(),
            licence: set.licence().to_owned(),
            problem,
        }
    };
    PUBLISHED.iter().map(info).collect()
}
