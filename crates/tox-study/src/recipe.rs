//! A recipe: a study as a person writes it, in TOML. [`Study`] is what it means.

mod check;
mod data;
mod error;
mod keys;
mod parts;
mod paths;
mod schema;
mod source;
mod study;
mod written;

pub use data::SourceError;
pub use error::RecipeError;
pub use keys::Keys;
pub use schema::schema;
pub use source::{Grid, Setting, suggest};
pub use study::{Overrides, Study, is_sealed, sealed};
pub use written::{Cell, Kernels, Paper, Recipe};

/// The quickstart that `toxscreen run` runs when it is given no recipe.
pub const QUICKSTART: &str = include_str!("../../../recipes/quickstart.toml");
