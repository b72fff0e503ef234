//! Why a patch is refused.

use std::path::PathBuf;

use crate::error::DataError;

/// Why a patch could not be made, saved, loaded or applied.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum PatchError {
    /// The points do not make a patch of the training set.
    #[error("cannot make a poison patch of these points: {what}")]
    Points { what: String },
    /// Neither `.npz` nor `.safetensors`.
    #[error("cannot tell the format of {}: expected a name that ends in .npz or .safetensors", path.display())]
    Extension { path: PathBuf },
    /// The operating system refused.
    #[error("cannot write {}: {source}; free space or fix the folder's rights", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The manifest is no manifest of this version.
    #[error(
        "{} is not the manifest of a poison patch: {what}; keep it beside its patch, and craft \
         both again if it is damaged",
        path.display()
    )]
    Manifest { path: PathBuf, what: String },
    /// The patch file is not the one that its manifest describes.
    #[error("the poison patch {} is not what its manifest says: {what}; craft it again", path.display())]
    Damaged { path: PathBuf, what: String },
    /// The training set is not the one that was poisoned.
    #[error(
        "the poison patch was made for another training set: {what}; load the same data with the \
         same classes"
    )]
    OtherSet { what: String },
    /// A file of either could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
}
