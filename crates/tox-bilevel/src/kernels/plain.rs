//! The products in plain loops.

use crate::real::{Raw, Real};

/// [`Real::project`] in plain loops.
pub fn project<F: Real>(
    x: Raw<'_, F>,
    rows: usize,
    d: usize,
    w: &[F],
    out: &mut [F],
    pitch: usize,
) {
    for (k, w) in w.chunks_exact(d).enumerate() {
        for r in 0..rows {
            out[k * pitch + r] = match x {
                Raw::Bytes(x) => {
                    let row = &x[r * d..(r + 1) * d];
                    row.iter()
                        .zip(w)
                        .map(|(&x, &w)| F::of(f64::from(x)) * w)
                        .sum()
                }
                Raw::Reals(x) => {
                    let row = &x[r * d..(r + 1) * d];
                    row.iter().zip(w).map(|(&x, &w)| x * w).sum()
                }
            };
        }
    }
}

/// [`Real::accumulate`] in plain loops.
pub fn accumulate<F: Real>(
    x: Raw<'_, F>,
    rows: usize,
    d: usize,
    delta: &[F],
    pitch: usize,
    g: &mut [F],
) {
    for (k, g) in g.chunks_exact_mut(d).enumerate() {
        for r in 0..rows {
            let delta = delta[k * pitch + r];
            match x {
                Raw::Bytes(x) => {
                    for (g, &x) in g.iter_mut().zip(&x[r * d..(r + 1) * d]) {
                        *g += delta * F::of(f64::from(x));
                    }
                }
                Raw::Reals(x) => {
                    for (g, &x) in g.iter_mut().zip(&x[r * d..(r + 1) * d]) {
                        *g += delta * x;
                    }
                }
            }
        }
    }
}
