//! Data sets, file formats, splits, augmentation.
//!
//! Floor 1 of the house: no tensors here, only 8-bit images, labels, and the batches made of them.

pub mod rng;
pub mod spec;
