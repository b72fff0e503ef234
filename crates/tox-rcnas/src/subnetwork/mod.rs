//! A sub-network's weights, from the teacher that it is a part of, and what its layers stretch.

mod channels;
mod error;
mod inherit;
mod lipschitz;

pub use channels::Importance;
pub use error::InheritError;
pub use inherit::{Depth, Fresh, Inheritance, inherit};
pub use lipschitz::{LayerNorm, Lipschitz, PowerIteration, lipschitz, operator_norm};
