//! Countermeasures: against cases by hand, brute force, scipy and scikit-image, and on real digits.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod denoise;
mod knn;
mod loss;
mod report;
mod support;
