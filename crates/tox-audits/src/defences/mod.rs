//! What defenders do. A defence of data is a file here and a line in [`DEFENCES`].

mod cleanse;
pub mod parts;
pub mod screen;

pub use cleanse::{DataDefence, cleaning};
use tox_study::house::Defence;

/// All defences.
pub const DEFENCES: &[&dyn Defence] = &[
    &screen::Screen,
    &cleanse::KNN,
    &cleanse::LOSS_FILTER,
    &cleanse::SUSPECTS,
    &cleanse::DENOISE,
    &parts::Vote,
];
