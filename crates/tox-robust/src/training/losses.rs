//! What a training step descends, of logits `[n, classes]` and labels `[n]`; means over the batch.
//!
//! SAT is the cross-entropy of the adversarial images. The others follow the code that their authors
//! published, and that of `zhichao-lu/robust-residual-network`; nothing is detached: gradients go
//! through the clean answers too.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use tox_nn::fit::labels as on_device;
use tox_nn::ops::{self, read};

/// Cross-entropy against labels of which the share `smoothing` is spread evenly over all classes:
/// PyTorch's `cross_entropy(..., label_smoothing)`.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    if smoothing == 0.0 {
        return ops::cross_entropy(logits, labels);
    }
    let even = log_softmax(logits.clone(), 1).mean().neg();
    ops::cross_entropy(logits, labels) * (1.0 - smoothing) + even * smoothing
}

/// `CE(f(x), y) + beta KL(f(x) || f(x'))` (Zhang et al. 2019; `yaodongyu/TRADES`).
pub fn trades(
    clean: Tensor<2>,
    adversarial: Tensor<2>,
    labels: Tensor<1, Int>,
    (beta, smoothing): (f64, f64),
) -> Tensor<1> {
    let (p, q) = (log_softmax(clean.clone(), 1), log_softmax(adversarial, 1));
    let n = clean.dims()[0] as f64;
    let divergence = ops::sum(p.clone().exp() * (p - q)) / n;
    cross_entropy(clean, labels, smoothing) + divergence * beta
}

/// `BCE(f(x'), y) + beta KL(f(x) || f(x')) (1 - f_y(x))`, where the boosted cross-entropy is
/// `-log f_y(x') - log(1 - max_{k != y} f_k(x'))` (Wang et al. 2020). The small
/// numbers are those of `YisenWang/MART`: 1.0001 in the margin, 1.0000001 in the weight, 1e-12 in
/// both logarithms.
pub fn mart(
    clean: Tensor<2>,
    adversarial: Tensor<2>,
    labels: &[u16],
    (beta, smoothing): (f64, f64),
) -> Tensor<1> {
    let device = clean.device();
    let (n, y) = (labels.len(), on_device(labels, &device));
    let at = |classes: Tensor<1, Int>| classes.reshape([n, 1]);
    let q = softmax(adversarial.clone(), 1);
    let strongest = on_device(&strongest_others(&read(q.clone().inner()), labels), &device);
    let margin = (q.clone().neg() + 1.0001 + 1e-12).log();
    let margin = margin.gather(1, at(strongest)).mean().neg();
    let p = log_softmax(clean, 1);
    let probabilities = p.clone().exp();
    let divergence = (probabilities.clone() * (p - (q + 1e-12).log())).sum_dim(1);
    let weight = probabilities.gather(1, at(y.clone())).neg() + 1.000_000_1;
    let moved = ops::sum(divergence * weight) / n as f64;
    cross_entropy(adversarial, y, smoothing) + margin + moved * beta
}

/// The most probable class beside the label of each row, the first of equals.
fn strongest_others(probabilities: &[f32], labels: &[u16]) -> Vec<u16> {
    let classes = probabilities.len() / labels.len().max(1);
    let rows = probabilities.chunks_exact(classes.max(1)).zip(labels);
    let strongest = rows.map(|(row, &label)| {
        let mut best = u16::from(label == 0);
        for k in (0..classes as u16).filter(|k| *k != label) {
            if row[usize::from(k)] > row[usize::from(best)] {
                best = k;
            }
        }
        best
    });
    strongest.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use tox_nn::Device;

    const LABELS: [u16; 3] = [2, 0, 3];
    const CLEAN: [f64; 12] = [
        0.5, -1.0, 2.0, 0.25, -0.75, 1.5, 0.0, 0.5, 1.0, 0.5, -0.25, -1.5,
    ];
    const ADVERSARIAL: [f64; 12] = [
        1.0, -0.5, 0.75, 0.0, -1.25, 1.0, 0.25, 1.5, 0.25, -0.5, 1.25, 2.0,
    ];

    fn softmax64(row: &[f64]) -> Vec<f64> {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v.exp() / sum).collect()
    }

    /// By definition, in f64.
    fn by_definition(kind: &str, clean: &[f64], adversarial: &[f64], smoothing: f64) -> f64 {
        let mut sum = 0.0;
        for (i, label) in LABELS.iter().enumerate() {
            let (p, q) = (
                softmax64(&clean[4 * i..][..4]),
                softmax64(&adversarial[4 * i..][..4]),
            );
            let y = usize::from(*label);
            let ce = |p: &[f64]| {
                let even: f64 = p.iter().map(|p| -p.ln() / 4.0).sum();
                -(1.0 - smoothing) * p[y].ln() + smoothing * even
            };
            let kl: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
            let others = (0..4).filter(|k| *k != y).map(|k| q[k]);
            let strongest = others.fold(0.0, f64::max);
            sum += match kind {
                "ce" => ce(&p),
                "trades" => ce(&p) + 6.0 * kl,
                _ => ce(&q) - (1.0001 - strongest).ln() + 5.0 * kl * (1.000_000_1 - p[y]),
            };
        }
        sum / 3.0
    }

    /// Value, and both gradients.
    fn ours(kind: &str, smoothing: f64) -> (f32, Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let leaf = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, [3, 4]), &device).require_grad()
        };
        let (clean, adversarial) = (leaf(&CLEAN), leaf(&ADVERSARIAL));
        let labels = on_device(&LABELS, &device);
        let loss = match kind {
            "ce" => cross_entropy(clean.clone(), labels, smoothing),
            "trades" => trades(clean.clone(), adversarial.clone(), labels, (6.0, smoothing)),
            _ => mart(
                clean.clone(),
                adversarial.clone(),
                &LABELS,
                (5.0, smoothing),
            ),
        };
        let gradients = loss.backward();
        let of = |x: Tensor<2>| x.grad(&gradients).map_or(vec![0.0; 12], read);
        (read(loss)[0], of(clean), of(adversarial))
    }

    #[test]
    fn values_and_gradients_are_those_of_the_definitions() {
        for kind in ["ce", "trades", "mart"] {
            for smoothing in [0.0, 0.1] {
                let (value, by_clean, by_adversarial) = ours(kind, smoothing);
                let f = |a: &[f64], b: &[f64]| by_definition(kind, a, b, smoothing);
                let expected = f(&CLEAN, &ADVERSARIAL);
                assert!((f64::from(value) - expected).abs() < 1e-5, "{kind} {value}");
                let h = 1e-5;
                for i in 0..12 {
                    let moved = |values: &[f64; 12], by: f64| {
                        let mut values = *values;
                        values[i] += by;
                        values
                    };
                    let clean = (f(&moved(&CLEAN, h), &ADVERSARIAL)
                        - f(&moved(&CLEAN, -h), &ADVERSARIAL))
                        / (2.0 * h);
                    let adversarial = (f(&CLEAN, &moved(&ADVERSARIAL, h))
                        - f(&CLEAN, &moved(&ADVERSARIAL, -h)))
                        / (2.0 * h);
                    for (found, expected) in
                        [(by_clean[i], clean), (by_adversarial[i], adversarial)]
                    {
                        let error = (f64::from(found) - expected).abs();
                        assert!(error < 2e-5, "{kind} {smoothing} [{i}]: {found} {expected}");
                    }
                }
            }
        }
    }

    /// Two classes at logits (ln 3, 0), label 0: probabilities 3/4 and 1/4; a tenth spread evenly
    /// makes the label (0.95, 0.05).
    #[test]
    fn smoothing_by_hand() {
        let device = Device::flex();
        let logits = Tensor::from_data([[3.0f32.ln(), 0.0]], &device);
        let found = read(cross_entropy(logits, on_device(&[0], &device), 0.1))[0];
        let expected = -0.95 * 0.75f32.ln() - 0.05 * 0.25f32.ln();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn the_strongest_other_is_never_the_label() {
        let q = [0.5, 0.2, 0.3, 0.1, 0.7, 0.2, 0.3, 0.3, 0.4, 0.4, 0.2, 0.4];
        assert_eq!(strongest_others(&q, &[0, 0, 2, 2]), [2, 1, 0, 0]);
        assert_eq!(strongest_others(&[f32::NAN; 4], &[0, 1]), [1, 0]);
    }
}
