//! Ops, networks, training steps and fused CPU kernels.
