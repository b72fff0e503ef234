//! Losses on the logits of one example, each with its derivative, worked out by hand.
//!
//! Every function returns the value and writes the derivative by the logits into `cotangent`, which is
//! as long as the logits; arithmetic is in f64. All are losses that an attack raises: larger is
//! nearer to an error, or farther into one.
//!
//! Where the value or a derivative is not finite (a logit is NaN or infinite, say) the value is minus
//! infinity, so that no attack takes the image for its best, and the derivative is 0, so that none
//! moves along it. Whether such logits are an error is decided elsewhere
//! ([`predicted`](super::predicted)): those with a NaN are.

use tox_nn::ascent::Raised;

/// A loss to ascend: given an example's index and its logits, writes the derivative by them over the
/// zeros it is handed and returns the value.
pub type Loss<'a> = &'a dyn Fn(usize, &[f32], &mut [f32]) -> f64;

/// The loss of image `row` among those whose labels, or logits to diverge from, `raised` has.
pub fn raised(raised: Raised<'_>, row: usize, logits: &[f32], cotangent: &mut [f32]) -> f64 {
    match raised {
        Raised::CrossEntropy(labels) => cross_entropy(logits, labels[row].into(), cotangent),
        Raised::Margin(labels) => margin(logits, labels[row].into(), cotangent),
        Raised::Divergence(from) => {
            let classes = logits.len();
            kl(&from[row * classes..][..classes], logits, cotangent)
        }
    }
}

/// -log softmax of the label's logit; derivative softmax - onehot(label).
pub fn cross_entropy(logits: &[f32], label: usize, cotangent: &mut [f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted = |z: f32| f64::from(z) - f64::from(most);
    let sum: f64 = logits.iter().map(|&z| shifted(z).exp()).sum();
    // The label's own derivative, softmax - 1, is minus the sum of the others: no digit is lost where
    // the network is sure, and the gradient does not vanish there as it does in f32.
    let mut others = 0.0;
    for (j, (d, &z)) in cotangent.iter_mut().zip(logits).enumerate() {
        if j != label {
            let share = shifted(z).exp() / sum;
            others += share;
            *d = share as f32;
        }
    }
    cotangent[label] = -others as f32;
    let value = if logits[label] == most {
        // ln(1 + r), where r counts all but one of the largest.
        let rest = logits.iter().enumerate().filter(|&(j, _)| j != label);
        rest.map(|(_, &z)| shifted(z).exp()).sum::<f64>().ln_1p()
    } else {
        sum.ln() - shifted(logits[label])
    };
    settle(value, cotangent)
}

/// The largest other logit less the label's (Carlini and Wagner 2017): above 0 exactly where another
/// class is predicted.
pub fn margin(logits: &[f32], label: usize, cotangent: &mut [f32]) -> f64 {
    match largest_but(logits, label) {
        Some(other) => difference(logits, label, other, cotangent),
        None => settle(f64::NEG_INFINITY, cotangent),
    }
}

/// The target's logit less the label's.
pub fn difference(logits: &[f32], label: usize, target: usize, cotangent: &mut [f32]) -> f64 {
    cotangent.fill(0.0);
    cotangent[target] += 1.0;
    cotangent[label] -= 1.0;
    settle(
        f64::from(logits[target]) - f64::from(logits[label]),
        cotangent,
    )
}

/// Difference of logits ratio (Croce and Hein 2020, section 4.2): the margin over the difference of
/// the largest and the third largest logit. Needs three classes.
pub fn dlr(logits: &[f32], label: usize, cotangent: &mut [f32]) -> f64 {
    let order = descending(logits);
    let (Some(other), [first, _, third, ..]) = (largest_but(logits, label), &order[..]) else {
        return settle(f64::NEG_INFINITY, cotangent);
    };
    let below = [(*first, 1.0), (*third, -1.0)];
    ratio(logits, (other, label), &below, cotangent)
}

/// Targeted DLR (there, section 5): the target's logit less the label's, over the largest less the
/// mean of the third and the fourth largest. Needs four classes.
pub fn targeted_dlr(logits: &[f32], label: usize, target: usize, cotangent: &mut [f32]) -> f64 {
    let order = descending(logits);
    let [first, _, third, fourth, ..] = &order[..] else {
        return settle(f64::NEG_INFINITY, cotangent);
    };
    let below = [(*first, 1.0), (*third, -0.5), (*fourth, -0.5)];
    ratio(logits, (target, label), &below, cotangent)
}

/// KL divergence of the softmax of `logits` from that of `clean`, sum p (log p - log q) with p of
/// `clean`: what TRADES (Zhang et al. 2019) raises. The derivative is by `logits`, q - p.
pub fn kl(clean: &[f32], logits: &[f32], cotangent: &mut [f32]) -> f64 {
    let (log_p, log_q) = (log_softmax(clean), log_softmax(logits));
    let mut value = 0.0;
    for ((d, &log_p), &log_q) in cotangent.iter_mut().zip(&log_p).zip(&log_q) {
        let p = log_p.exp();
        value += if p > 0.0 { p * (log_p - log_q) } else { 0.0 };
        *d = (log_q.exp() - p) as f32;
    }
    settle(value, cotangent)
}

/// (z_up - z_down) / (sum of z_k w_k + 1e-12), the summand as in the authors' program.
fn ratio(
    logits: &[f32],
    (up, down): (usize, usize),
    below: &[(usize, f64)],
    cotangent: &mut [f32],
) -> f64 {
    let z = |j: usize| f64::from(logits[j]);
    let above = z(up) - z(down);
    let scale = below.iter().map(|&(k, w)| w * z(k)).sum::<f64>() + 1e-12;
    let value = above / scale;
    let mut d = vec![0.0; logits.len()];
    d[up] += 1.0 / scale;
    d[down] -= 1.0 / scale;
    for &(k, w) in below {
        d[k] -= value * w / scale;
    }
    for (cotangent, d) in cotangent.iter_mut().zip(d) {
        *cotangent = d as f32;
    }
    settle(value, cotangent)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let shifted = logits.iter().map(|&z| f64::from(z) - most);
    let log = shifted.clone().map(f64::exp).sum::<f64>().ln();
    shifted.map(|z| z - log).collect()
}

/// The class of the largest logit but the label's, of equal ones the first.
fn largest_but(logits: &[f32], label: usize) -> Option<usize> {
    let others = (0..logits.len()).filter(|&j| j != label);
    others.reduce(|a, b| if logits[b] > logits[a] { b } else { a })
}

/// Classes, that of the largest logit first, of equal ones the first.
fn descending(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order
}

/// The rule for what is not finite.
fn settle(value: f64, cotangent: &mut [f32]) -> f64 {
    if value.is_finite() && cotangent.iter().all(|d| d.is_finite()) {
        return value;
    }
    cotangent.fill(0.0);
    f64::NEG_INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Written = fn(&[f64], usize, usize) -> f64;

    /// The losses written again in f64, as their papers define them, without derivatives.
    fn log_sum_exp(z: &[f64]) -> f64 {
        z.iter().map(|z| z.exp()).sum::<f64>().ln()
    }
    fn sorted(z: &[f64]) -> Vec<f64> {
        let mut z = z.to_vec();
        z.sort_by(|a, b| b.total_cmp(a));
        z
    }
    fn other(z: &[f64], y: usize) -> f64 {
        let others = z.iter().enumerate().filter(|&(j, _)| j != y);
        others.fold(f64::NEG_INFINITY, |most, (_, &z)| most.max(z))
    }
    const WRITTEN: [(&str, Written); 5] = [
        ("ce", |z, y, _| log_sum_exp(z) - z[y]),
        ("margin", |z, y, _| other(z, y) - z[y]),
        ("difference", |z, y, t| z[t] - z[y]),
        ("dlr", |z, y, _| {
            let s = sorted(z);
            -(z[y] - other(z, y)) / (s[0] - s[2])
        }),
        ("targeted dlr", |z, y, t| {
            let s = sorted(z);
            -(z[y] - z[t]) / (s[0] - (s[2] + s[3]) / 2.0)
        }),
    ];

    fn ours(name: &str, z: &[f32], y: usize, t: usize, d: &mut [f32]) -> f64 {
        match name {
            "ce" => cross_entropy(z, y, d),
            "margin" => margin(z, y, d),
            "difference" => difference(z, y, t, d),
            "dlr" => dlr(z, y, d),
            _ => targeted_dlr(z, y, t, d),
        }
    }

    fn central(f: impl Fn(&[f64]) -> f64, z: &[f64], j: usize) -> f64 {
        let h = 1e-6;
        let at = |h| {
            let mut z = z.to_vec();
            z[j] += h;
            f(&z)
        };
        (at(h) - at(-h)) / (2.0 * h)
    }

    proptest! {
        /// Values and derivatives against definitions and their central differences in f64, at logits
        /// that lie well apart, so that no difference steps over a kink.
        #[test]
        fn derivatives_are_those_of_the_definitions(
            order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
            jitter in prop::collection::vec(-0.2f32..0.2, 6),
            (y, t) in (0usize..6, 1usize..6),
        ) {
            let t = (y + t) % 6;
            let z: Vec<f32> = order.iter().zip(&jitter).map(|(&o, j)| o as f32 * 0.7 + j - 1.0).collect();
            let wide: Vec<f64> = z.iter().map(|&z| z.into()).collect();
            for (name, written) in WRITTEN {
                let mut d = vec![9.0; 6];
                let value = ours(name, &z, y, t, &mut d);
                let expected = written(&wide, y, t);
                prop_assert!((value - expected).abs() < 1e-9, "{name}: {value} {expected}");
                for (j, &d) in d.iter().enumerate() {
                    let expected = central(|z| written(z, y, t), &wide, j);
                    prop_assert!((f64::from(d) - expected).abs() < 1e-5, "{name} {j}: {d} {expected}");
                }
            }
            let clean: Vec<f32> = z.iter().rev().copied().collect();
            let p: Vec<f64> = clean.iter().map(|&z| f64::from(z)).collect();
            let divergence = |z: &[f64]| -> f64 {
                let (a, b) = (log_sum_exp(&p), log_sum_exp(z));
                p.iter().zip(z).map(|(p, q)| (p - a).exp() * ((p - a) - (q - b))).sum()
            };
            let mut d = vec![9.0; 6];
            let value = kl(&clean, &z, &mut d);
            prop_assert!((value - divergence(&wide)).abs() < 1e-9);
            for (j, &d) in d.iter().enumerate() {
                let expected = central(divergence, &wide, j);
                prop_assert!((f64::from(d) - expected).abs() < 1e-5, "kl {j}: {d} {expected}");
            }
        }
    }

    #[test]
    fn a_sure_network_still_has_a_gradient() {
        // In f32, softmax - 1 is 0 here.
        let mut d = [0.0; 2];
        let value = cross_entropy(&[60.0, 0.0], 0, &mut d);
        let expected = (-60.0f64).exp();
        assert!((value / expected - 1.0).abs() < 1e-12, "{value}");
        assert!((f64::from(d[1]) / expected - 1.0).abs() < 1e-6);
        assert_eq!(d[0], -d[1]);
    }

    #[test]
    fn values_by_hand() {
        let z = [1.0f32, 4.0, 2.0, -1.0];
        let mut d = [0.0; 4];
        assert_eq!(margin(&z, 1, &mut d), -2.0);
        assert_eq!(d, [0.0, -1.0, 1.0, 0.0]);
        assert_eq!(margin(&z, 0, &mut d), 3.0);
        // (2 - 4) / (4 - 1) and (-1 - 4) / (4 - (1 - 1) / 2).
        assert!((dlr(&z, 1, &mut d) + 2.0 / 3.0).abs() < 1e-9);
        assert!((targeted_dlr(&z, 1, 3, &mut d) + 5.0 / 4.0).abs() < 1e-9);
        assert_eq!(kl(&z, &z, &mut d), 0.0);
        assert_eq!(d, [0.0; 4]);
    }

    #[test]
    fn what_is_not_finite_is_never_best_and_never_followed() {
        let bad = [
            [f32::NAN, 1.0, 2.0, 3.0],
            [f32::INFINITY, 1.0, 2.0, 3.0],
            [f32::NEG_INFINITY, 1.0, 2.0, 3.0],
        ];
        for z in bad {
            for (name, _) in WRITTEN {
                let mut d = [9.0; 4];
                let value = ours(name, &z, 0, 1, &mut d);
                assert_eq!((value, d), (f64::NEG_INFINITY, [0.0; 4]), "{name} {z:?}");
            }
            let mut d = [9.0; 4];
            assert_eq!(kl(&[0.0; 4], &z, &mut d), f64::NEG_INFINITY);
            assert_eq!(d, [0.0; 4]);
        }
        // Equal logits: the ratios' scale is 1e-12, their value still finite.
        let mut d = [0.0; 4];
        assert_eq!(dlr(&[1.0; 4], 0, &mut d), 0.0);
    }
}
