//! Stands for `parquet.rs` in a build without the feature `parquet`.

use std::path::Path;

use super::npy::Array;
use crate::error::DataError;
use crate::files::Files;

/// # Errors
/// Always.
pub(crate) fn holds_images(path: &Path) -> Result<bool, DataError> {
    let path = path.to_path_buf();
    Err(DataError::NoParquet { path })
}

/// # Errors
/// Always.
pub(crate) fn table(
    path: &Path,
    _label: Option<&str>,
) -> Result<(Vec<Array>, Vec<String>), DataError> {
    let path = path.to_path_buf();
    Err(DataError::NoParquet { path })
}

/// # Errors
/// Always.
pub(crate) fn images(
    path: &Path,
    _label: Option<&str>,
    _resize: Option<usize>,
) -> Result<Files, DataError> {
    let path = path.to_path_buf();
    Err(DataError::NoParquet { path })
}
