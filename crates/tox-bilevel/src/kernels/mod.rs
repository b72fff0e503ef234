//! The products with the training rows, which are where the time goes.
//!
//! Rows of 8-bit values are multiplied as integers where the machine can (see [`bytes`]), else made
//! real, a block at a time, and multiplied as reals. The instruction set is chosen at run time
//! (AVX-512, AVX2, portable), see [`tox_data::isa`]. Sums never depend on the number of threads; instruction sets do
//! change the last digits.

pub mod bytes;
mod coefficients;
mod fast;
pub mod plain;
pub mod reals;

use crate::real::Real;

pub use coefficients::Coefficients;
pub use fast::fast;

/// Rows of a block, the unit of work of all products.
pub const ROWS: usize = 128;

/// A number that rows are multiplied in.
pub trait Products: Real {
    /// `out[k * pitch + r] = x[r] . w[k]` for each row `r` of `x` and each row `k` of `w`; both have
    /// `d` columns.
    fn project(x: &[Self], d: usize, w: &[Self], out: &mut [Self], pitch: usize) {
        plain::project(x, d, w, out, pitch);
    }

    /// `out[a] += sum over b of by(a, b) * rows[b]`, for each row `a` of `out`; all rows have `d`
    /// columns.
    fn combine(by: Coefficients<'_, Self>, rows: &[Self], d: usize, out: &mut [Self]) {
        plain::combine(by, rows, d, out);
    }
}

impl Products for f64 {}

impl Products for f32 {
    fn project(x: &[Self], d: usize, w: &[Self], out: &mut [Self], pitch: usize) {
        reals::project(x, d, w, out, pitch);
    }

    fn combine(by: Coefficients<'_, Self>, rows: &[Self], d: usize, out: &mut [Self]) {
        reals::combine(by, rows, d, out);
    }
}
