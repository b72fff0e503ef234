//! Gradients of the outer objective by the outer variables: the poison's features and lambda.

mod rmd;

pub use rmd::ReverseMode;

use crate::inner::{Diverged, Problem};
use crate::real::Real;

/// The hypergradients at a point, and what was made on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypergradients<F> {
    /// By the poison's features, one row a point.
    pub poison: Vec<F>,
    /// By each lambda; empty without a penalty.
    pub lambda: Vec<F>,
    /// The trained weights.
    pub weights: Vec<F>,
    /// The outer objective at them.
    pub loss: f64,
}

/// A way to compute them (the paper's Table II).
pub trait Hypergradient<F: Real> {
    /// The hypergradients of `problem`.
    ///
    /// # Errors
    /// When the inner training diverges.
    fn of(&self, problem: &Problem<'_, F>) -> Result<Hypergradients<F>, Diverged>;
}
