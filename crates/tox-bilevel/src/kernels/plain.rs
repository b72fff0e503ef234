//! The products in plain loops: what the fast ones must agree with, and what f64 uses.

use super::coefficients::Coefficients;
use crate::real::Real;

/// [`Products::project`](super::Products::project) in plain loops.
pub fn project<F: Real>(x: &[F], d: usize, w: &[F], out: &mut [F], pitch: usize) {
    for (k, w) in w.chunks_exact(d).enumerate() {
        for (r, x) in x.chunks_exact(d).enumerate() {
            out[k * pitch + r] = x.iter().zip(w).map(|(&x, &w)| x * w).sum();
        }
    }
}

/// [`Products::combine`](super::Products::combine) in plain loops.
pub fn combine<F: Real>(by: Coefficients<'_, F>, rows: &[F], d: usize, out: &mut [F]) {
    for (a, out) in out.chunks_exact_mut(d).enumerate() {
        for (b, row) in rows.chunks_exact(d).enumerate() {
            let by = by.at(a, b);
            for (out, &x) in out.iter_mut().zip(row) {
                *out += by * x;
            }
        }
    }
}
