//! Ops, weights, optimisers and fused CPU kernels for the networks that a search trains.
//!
//! Floor 2 of the house. [`ops`] are the ops of the ENAS macro space (the search-space-poisoning
//! paper, Wu, Saxena, Jain) on any Burn device, [`kernels`] their fast form on the CPU, [`params`]
//! and [`optim`] keep the weights on the host and update them, `f32` throughout and IEEE in what
//! happens to NaN and infinity, because how a search dies is what we are here to see. [`layers`] and
//! [`nets`] are ordinary networks over them, with batch norm that keeps running statistics and
//! PyTorch's names for everything; [`fit`] trains one.

pub mod ascent;
pub mod device;
pub mod fit;
#[cfg(feature = "cube")]
mod gpu;
pub mod init;
pub mod kernels;
pub mod layers;
pub mod nets;
pub mod ops;
pub mod optim;
pub mod params;

pub use burn::tensor::Device;
