//! Networks of the elastic space ([`crate::space::elastic`]), as layers over [`tox_nn`].
//!
//! [`ElasticNet`] is the network of one architecture. Once-for-All (Cai et al. 2020) keeps all of them
//! in the weights of the largest one: a layer of fewer channels takes the first ones, a block of fewer
//! layers its first ones, a smaller depthwise kernel the centre of the larger one, through a learned
//! matrix ([`kernel`]). [`crate::nsganet::supernet`] trains and slices such weights.
//!
//! Names are those of Once-for-All's code: `blocks.1.mobile_inverted_conv.depth_conv.conv.weight` in
//! the network of an architecture, where blocks without their last layers are counted without gaps;
//! `blocks.1.mobile_inverted_conv.depth_conv.conv.conv.weight` (and `bn.bn`) in the searched layers of a
//! supernet, whose weights have the state dict of its `OFAMobileNetV3` of one width.

pub mod kernel;
mod network;
mod resize;

pub use network::{ElasticNet, Naming};
pub use resize::resize;
