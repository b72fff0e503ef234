//! Gradient cancelling: against a closed form, against PyTorch's exact double backward, on the digits
//! and on networks of the DARTS space.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod cells;
mod digits;
mod exact;
mod pytorch;
mod support;
