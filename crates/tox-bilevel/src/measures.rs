//! Numbers that say what regularisation and poison did to a victim (Sect. V of the paper).

use crate::model::Model;
use crate::real::Real;

/// `||w||^2 / d` of each layer's weights, d their number; biases are left out.
pub fn norms<F: Real>(model: &Model, w: &[F]) -> Vec<f64> {
    let norm = |layer: crate::model::Layer| {
        let weights = &w[layer.weights];
        weights.iter().map(|w| w.wide().powi(2)).sum::<f64>() / weights.len() as f64
    };
    model.layers().into_iter().map(norm).collect()
}

/// What each feature weighs in logistic regression: `|w|`, with more than two classes the norm of
/// its weights over the classes. (For a net: the norm over the first layer's units.)
pub fn weight_of_features<F: Real>(model: &Model, w: &[F]) -> Vec<f64> {
    let mut squares = vec![0.0; model.features];
    for layer in model.layers().into_iter().take(1) {
        for unit in w[layer.weights].chunks_exact(model.features) {
            for (sum, w) in squares.iter_mut().zip(unit) {
                *sum += w.wide().powi(2);
            }
        }
    }
    squares.into_iter().map(f64::sqrt).collect()
}

/// The `k` features that weigh most, in ascending order of their indices; of features that weigh the
/// same, those of lower index.
pub fn top(weights: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // Stable, so that ties stay in order.
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    order.truncate(k);
    order.sort_unstable();
    order
}

/// Kuncheva's consistency index of the top `k` of two weightings of the same d features:
/// `(r d - k^2) / (k (d - k))` with r features in both. 1 = the same features, about 0 = what chance
/// gives; never below -1. `None` unless `1 <= k < d` and both have d weights, all of them numbers.
pub fn kuncheva(a: &[f64], b: &[f64], k: usize) -> Option<f64> {
    let d = a.len();
    let numbers = a.iter().chain(b).all(|w| !w.is_nan());
    if k == 0 || k >= d || b.len() != d || !numbers {
        return None;
    }
    let (a, b) = (top(a, k), top(b, k));
    let both = a.iter().filter(|i| b.binary_search(i).is_ok()).count();
    let (r, d, k) = (both as f64, d as f64, k as f64);
    Some((r * d - k * k) / (k * (d - k)))
}

/// `(e_none - e_learned) / e_none`: how much of the error without regularisation the learned one
/// takes away; below 0 if it adds some. `None` if there was no error, or one is not finite.
pub fn relative_decrease(none: f64, learned: f64) -> Option<f64> {
    let decrease = (none - learned) / none;
    (none > 0.0 && decrease.is_finite()).then_some(decrease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kunchevas_index_of_sets_worked_by_hand() {
        // Top 3 of 10: {0, 1, 2} and {1, 2, 9}: r = 2, (2 * 10 - 9) / (3 * 7).
        let a = [9.0, 8.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let b = [0.0, 8.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0];
        assert_eq!(kuncheva(&a, &b, 3), Some(11.0 / 21.0));
        assert_eq!(kuncheva(&a, &a, 3), Some(1.0));
        // No feature in common, k = d / 2: the least value.
        assert_eq!(
            kuncheva(&[2.0, 2.0, 1.0, 1.0], &[1.0, 1.0, 2.0, 2.0], 2),
            Some(-1.0)
        );
        // r = k^2 / d is what chance gives: {0, 1} and {1, 2} of 4.
        assert_eq!(
            kuncheva(&[2.0, 2.0, 1.0, 1.0], &[1.0, 2.0, 2.0, 1.0], 2),
            Some(0.0)
        );
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        assert_eq!(top(&[1.0, 3.0, 1.0, 3.0, 1.0], 3), [0, 1, 3]);
        assert_eq!(top(&[0.0; 4], 2), [0, 1]);
    }

    #[test]
    fn kunchevas_index_is_not_defined_everywhere() {
        let w = [3.0, 2.0, 1.0];
        assert_eq!(kuncheva(&w, &w, 0), None);
        assert_eq!(kuncheva(&w, &w, 3), None);
        assert_eq!(kuncheva(&w, &w[..2], 1), None);
        assert_eq!(kuncheva(&w, &[1.0, f64::NAN, 0.0], 1), None);
    }

    #[test]
    fn norms_and_features_leave_biases_out() {
        let model = |hidden: &[usize], classes| Model {
            features: 2,
            hidden: hidden.to_vec(),
            classes,
            leak: 0.01,
        };
        // 2-2-1: weights (1, -2), (3, 0), biases 9, 9, weights (4, 2), bias 9.
        let w = [1.0, -2.0, 3.0, 0.0, 9.0, 9.0, 4.0, 2.0, 9.0];
        assert_eq!(norms(&model(&[2], 2), &w), [14.0 / 4.0, 20.0 / 2.0]);
        assert_eq!(
            weight_of_features(&model(&[], 2), &[1.0, -2.0, 9.0]),
            [1.0, 2.0]
        );
        // Three classes: columns (3, 4, 0) and (0, 0, 2).
        let w = [3.0, 0.0, 4.0, 0.0, 0.0, 2.0, 9.0, 9.0, 9.0_f32];
        assert_eq!(weight_of_features(&model(&[], 3), &w), [5.0, 2.0]);
    }

    #[test]
    fn relative_decrease_of_errors() {
        assert_eq!(relative_decrease(20.0, 15.0), Some(0.25));
        assert_eq!(relative_decrease(10.0, 15.0), Some(-0.5));
        assert_eq!(relative_decrease(0.0, 1.0), None);
        assert_eq!(relative_decrease(f64::NAN, 1.0), None);
    }
}
