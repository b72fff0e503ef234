//! The two number types: f32 for work, f64 for checks. One code for both; only the first layer's
//! products are written twice, once for speed.

use crate::kernels::{plain, simd};
use num_traits::{Float, NumAssign};
use std::fmt::Debug;
use std::iter::Sum;

/// Rows of features side by side, `d` values a row.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a, F> {
    /// 8-bit values as they are stored, neither scaled nor shifted.
    Bytes(&'a [u8]),
    /// Real values.
    Reals(&'a [F]),
}

/// f32 or f64.
pub trait Real: Float + NumAssign + Sum + Default + Debug + Send + Sync + 'static {
    /// The nearest value.
    fn of(value: f64) -> Self;

    /// The value in f64, exact.
    fn wide(self) -> f64;

    /// `out[k * pitch + r] = x[r] . w[k]` for each of `rows` rows `r` of `x` and each row `k` of
    /// the matrix `w`, which has `d` columns.
    fn project(
        x: Raw<'_, Self>,
        rows: usize,
        d: usize,
        w: &[Self],
        out: &mut [Self],
        pitch: usize,
    ) {
        plain::project(x, rows, d, w, out, pitch);
    }

    /// `g[k * d + j] += sum over r of delta[k * pitch + r] * x[r][j]`, the transposed product.
    fn accumulate(
        x: Raw<'_, Self>,
        rows: usize,
        d: usize,
        delta: &[Self],
        pitch: usize,
        g: &mut [Self],
    ) {
        plain::accumulate(x, rows, d, delta, pitch, g);
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn project(x: Raw<'_, f32>, rows: usize, d: usize, w: &[f32], out: &mut [f32], pitch: usize) {
        simd::project(x, rows, d, w, out, pitch);
    }

    fn accumulate(
        x: Raw<'_, f32>,
        rows: usize,
        d: usize,
        delta: &[f32],
        pitch: usize,
        g: &mut [f32],
    ) {
        simd::accumulate(x, rows, d, delta, pitch, g);
    }
}
