//! Wide residual networks whose stages each have a depth, a width and perhaps a robust block: the
//! teachers and sub-networks of RC-NAS.
//!
//! A [`Shape`] says which network, [`WrnConfig`] what it is for; [`WrnConfig::parameters`] and
//! [`WrnConfig::macs`] count without building it. [`wrn`] builds it, [`load`] reads PyTorch's weights ([`describe`] says whose),
//! [`inherit`] takes those of a teacher, [`lipschitz`] measures what its layers stretch.

mod channels;
mod config;
mod counts;
mod inherit;
mod lipschitz;
mod network;
mod shape;
mod weights;

pub use config::{Block, RobustBlock, Shape, ShapeError, Stage, WrnConfig};
pub use inherit::{Depth, Fresh, Importance, InheritError, Inheritance, inherit};
pub use lipschitz::{LayerNorm, Lipschitz, PowerIteration, lipschitz, operator_norm};
pub use network::{INIT, Wrn, wrn};
pub use weights::{Described, OwnNormalise, describe, load};
