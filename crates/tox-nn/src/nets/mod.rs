//! Whole networks, in PyTorch's names.

pub mod resnet;
pub mod wrn;
