//! What is read off trained weights.

use crate::model::Layer;
use crate::real::Real;

/// `||w||^2 / d` of each layer's `d` weights, biases left out (the paper's Fig. 3 and 13).
pub fn norms<F: Real>(layers: &[Layer], w: &[F]) -> Vec<f64> {
    let norm = |layer: &Layer| {
        let weights = &w[layer.weights.clone()];
        let squares: f64 = weights.iter().map(|w| w.wide().powi(2)).sum();
        squares / weights.len() as f64
    };
    layers.iter().map(norm).collect()
}

/// Kuncheva's consistency index of the `k` features of largest weight in `a` and in `b`, of `d`
/// features in all: `(r d - k^2) / (k (d - k))` for `r` common ones. 1 for equal sets, about 0 for
/// random ones; `0 < k < d`. Of equal weights the first come first.
pub fn kuncheva<F: Real>(a: &[F], b: &[F], k: usize) -> f64 {
    let top = |w: &[F]| {
        let mut order: Vec<usize> = (0..w.len()).collect();
        order.sort_by(|&i, &j| w[j].abs().wide().total_cmp(&w[i].abs().wide()));
        order.truncate(k);
        order
    };
    let (a_top, b_top) = (top(a), top(b));
    let common = a_top.iter().filter(|i| b_top.contains(i)).count() as f64;
    let (k, d) = (k as f64, a.len() as f64);
    (common * d - k * k) / (k * (d - k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kunchevas_index_by_hand() {
        let a = [5.0, -4.0, 3.0, 0.1, 0.2, 0.0, 0.3, 0.0, 0.0, 0.0];
        assert_eq!(kuncheva(&a, &a, 3), 1.0);
        // One of three in common among ten: (10 - 9) / 21
        let b = [9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -8.0, 7.0];
        assert!((kuncheva(&a, &b, 3) - 1.0 / 21.0).abs() < 1e-15);
        // None in common: -9 / 21
        let c = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        assert!((kuncheva(&a, &c, 3) + 9.0 / 21.0).abs() < 1e-15);
        // Of equal weights the first come first.
        assert_eq!(kuncheva(&[1.0; 4], &[2.0, 2.0, 0.0, 0.0], 2), 1.0);
    }

    #[test]
    fn norms_leave_biases_out() {
        let layer = |inputs, outputs, at| Layer {
            inputs,
            outputs,
            weights: at..at + inputs * outputs,
            bias: at + inputs * outputs..at + inputs * outputs + outputs,
        };
        let w = [1.0, 2.0, 9.0, 3.0, 9.0];
        assert_eq!(norms(&[layer(2, 1, 0), layer(1, 1, 3)], &w), [2.5, 9.0]);
    }
}
