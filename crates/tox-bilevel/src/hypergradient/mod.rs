//! Gradients of the outer objective by the outer variables: the poison's features and lambda.

pub mod compare;
mod fmd;
mod implicit;
mod optimum;
mod reference;
mod rmd;
mod system;
mod table;

pub use fmd::ForwardMode;
pub use implicit::{ConjugateGradient, Exact, ImplicitError};
pub use optimum::at_optimum;
pub use rmd::ReverseMode;
pub use table::table;

use crate::inner::{Diverged, Problem};
use crate::kernels::Products;

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
    /// How well the implicit system was solved; `None` for the ways that follow the training.
    pub solve: Option<Solve>,
}

/// What the solution of the implicit system is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solve {
    /// `||H v - grad A|| / ||grad A||`.
    pub residual: f64,
    /// Products with the Hessian that were taken.
    pub products: usize,
    /// `||grad L||` at the weights: the implicit function theorem holds where it is 0, so the
    /// hypergradients are as good as this is small.
    pub slope: f64,
    /// Whether the Hessian was positive in every direction met: the weights are near a minimum, not
    /// near a saddle.
    pub definite: bool,
}

/// A way to compute them (the paper's Table II).
pub trait Hypergradient<F: Products> {
    /// Why there may be none.
    type Error: std::error::Error + From<Diverged>;

    /// The hypergradients of `problem`.
    ///
    /// # Errors
    /// When the inner training diverges; further ones are the way's own.
    fn of(&self, problem: &Problem<'_, F>) -> Result<Hypergradients<F>, Self::Error>;

    /// Bytes of the buffers that it holds for `problem` at its peak, counted, not measured. The data,
    /// the room of a single pass, which is the same for every way, and the few lambdas are not in it.
    fn bytes(&self, problem: &Problem<'_, F>) -> usize;
}
