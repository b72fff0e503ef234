//! Sets of labelled rows of numbers, images or not, as users bring them for `poison` and `harden`.
//!
//! Unlike [`crate::load`], which makes everything 8-bit images, [`crate::load_any`] and the commands keep what is in the file:
//! floats stay floats, and a row may be any features. An archive (`.npz`) holds `x_train` and
//! `y_train` and perhaps `x_test` and `y_test`, or only `images` and `labels`, or `x` and `y`, which
//! are then all training rows; so do two `.npy` files, and a table of text (`.csv`). Rows have shape
//! (D), or those of images, see [`Layout`]. [`Opened`] knows the file's own form, and writes it again.

mod form;
mod named;
mod opened;
pub(crate) mod sets;
pub(crate) mod tables;
mod text_rows;

pub use crate::format::array::{Layout, Values};
pub use opened::{Ask, Opened};
pub use sets::{FeatureSets, Features};
pub use text_rows::{TextRows, is_text};
