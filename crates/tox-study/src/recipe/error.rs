//! Why a recipe is refused.

use std::path::PathBuf;

/// Why a recipe is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {}: {message}", path.display())]
    Read {
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// Something in it does not hold.
    #[error("{place}: {message}")]
    Invalid {
        /// File and line, or the option of the command line.
        place: String,
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl RecipeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("`toxscreen init` writes a recipe to start from".into()),
            Self::Invalid { hint, .. } => hint.clone(),
        }
    }
}
