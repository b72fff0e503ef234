//! Whole networks, in PyTorch's names.

pub mod file;
pub mod resnet;
pub mod wrn;
