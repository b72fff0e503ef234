//! Wide residual networks whose stages each have a depth, a width and perhaps a robust block: the
//! teachers and sub-networks of RC-NAS.
//!
//! A [`Shape`] says which network, [`WrnConfig`] what it is for; [`WrnConfig::parameters`] and
//! [`WrnConfig::macs`] count without building it. [`wrn`] builds it, [`load`] reads PyTorch's weights ([`infer`] says of which shape).

mod config;
mod counts;
mod network;
mod shape;
mod weights;

pub use config::{Block, Planned, RobustBlock, Shape, ShapeError, Stage, WrnConfig};
pub use network::{INIT, Residual, Rest, Wrn, wrn};
pub use weights::{infer, is_deepminds, load, ours};
