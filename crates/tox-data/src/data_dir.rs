//! Where data live on this machine.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::error::DataError;

/// The folder that holds one folder for each data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// `option` (of `--data-dir`), else the variable `TOXSCREEN_DATA` unless empty, else
    /// `toxscreen/data` in the platform's cache folder (`~/.cache` or `$XDG_CACHE_HOME` on Linux
    /// and macOS). The folder need not exist.
    pub fn resolve(option: Option<&Path>) -> Result<Self, DataError> {
        Self::choose(
            option,
            std::env::var_os("TOXSCREEN_DATA").map(PathBuf::from),
        )
    }

    fn choose(option: Option<&Path>, variable: Option<PathBuf>) -> Result<Self, DataError> {
        if let Some(path) = option {
            return Ok(Self(path.to_path_buf()));
        }
        if let Some(path) = variable.filter(|path| !path.as_os_str().is_empty()) {
            return Ok(Self(path));
        }
        let base = etcetera::choose_base_strategy().map_err(|_| DataError::NoDataDir)?;
        Ok(Self(base.cache_dir().join("toxscreen").join("data")))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_variable_and_the_variable_over_the_cache() {
        let choose = |option: Option<&str>, variable: Option<&str>| {
            DataDir::choose(option.map(Path::new), variable.map(PathBuf::from))
                .unwrap()
                .0
        };
        assert_eq!(choose(Some("a"), Some("b")), Path::new("a"));
        assert_eq!(choose(None, Some("b")), Path::new("b"));
        assert!(choose(None, Some("")).ends_with("toxscreen/data"));
        assert!(choose(None, None).ends_with("toxscreen/data"));
    }
}
