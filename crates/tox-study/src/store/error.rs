//! Why the folder of a study cannot be used.

use crate::files::{self, FileError};
use crate::recipe::{Kernels, RecipeError};
use std::path::PathBuf;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder in it cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its recipe is not one.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// There is no study in it.
    #[error("there is no study in {}: it has no study.toml", dir.display())]
    NoStudy {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process runs trials in it.
    #[error("another toxscreen runs the study in {}", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// `study.toml` is not as it was written.
    #[error("{} was changed after toxscreen wrote it, or an earlier version wrote it", path.display())]
    Edited { path: PathBuf },
    /// There are trials, but no `study.toml` that says what they are.
    #[error(
        "{} has trials of a study but no study.toml, which says what they are of", dir.display()
    )]
    Headless {
        /// The folder.
        dir: PathBuf,
    },
    /// It holds files of somebody else where those of a study would be.
    #[error(
        "{} is no folder of a study, and has files that one would overwrite: {}", dir.display(), files.join(", ")
    )]
    Occupied {
        /// The folder.
        dir: PathBuf,
        /// Their names.
        files: Vec<String>,
    },
    /// Data that the study was made with are others now.
    #[error(
        "the study in {} was made with other data:\n{}", dir.display(), changes.join("\n")
    )]
    OtherData {
        /// The folder.
        dir: PathBuf,
        /// One line for each file: what it is, the hash that it had, and the one that it has.
        changes: Vec<String>,
    },
    /// Its finished trials were computed with another instruction set.
    #[error(
        "the trials in {} were computed with the instruction set {}, and {} is asked for", dir.display(),
        word(old), word(new)
    )]
    Kernels {
        /// The folder.
        dir: PathBuf,
        old: Option<Kernels>,
        new: Option<Kernels>,
    },
    /// The recipe changed so that finished trials would no longer belong to the study.
    #[error(
        "the recipe differs from the one that {} was made with, and {lost} finished trials would \
         not belong to it any more:\n{}", dir.display(), differences.join("\n")
    )]
    Changed {
        /// The folder.
        dir: PathBuf,
        /// Finished trials that the new recipe does not have.
        lost: usize,
        /// One line for each key that changed: `key: old -> new`.
        differences: Vec<String>,
    },
}

fn word(kernels: &Option<Kernels>) -> &'static str {
    kernels.map_or("of their machines", Kernels::word)
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            // A link says itself what to do about it.
            Self::File(e) if e.what == files::USE => None,
            Self::File(_) => Some("choose a folder that can be written with --out".into()),
            Self::Edited { .. } => Some(
                "put the old study.toml back; to run another study edit your recipe, not this file, \
                 which belongs to the trials beside it, and give it a folder of its own with --out"
                    .into(),
            ),
            Self::Headless { .. } => Some(
                "put its study.toml back, or give the study a folder of its own with --out".into(),
            ),
            Self::Occupied { .. } => {
                Some("give --out a folder of its own, or move these files away".into())
            }
            Self::OtherData { .. } => Some(
                "give the new data a folder of their own with --out, or put the old ones back".into(),
            ),
            Self::Kernels { old, .. } => Some(match old {
                Some(old) => format!("add --kernels {}", old.word()),
                None => "leave --kernels out, or choose another folder with --out".into(),
            }),
            Self::Recipe(e) => e.hint(),
            Self::NoStudy { .. } => Some("`toxscreen run --out DIR` makes one".into()),
            Self::Busy { .. } => Some("wait for it, or choose another folder with --out".into()),
            Self::Changed { .. } => Some(
                "give the new recipe a folder of its own with --out, or move the old one away; \
                 cells and seeds may be added in place"
                    .into(),
            ),
        }
    }
}
