//! What a trained network answers: logits, confidences, errors.

use crate::Device;
use crate::layers::{Mode, Network, Pass, State};
use crate::ops::{argmax, read};
use burn::tensor::{Tensor, TensorData};
use tox_data::{Batch, Normalise, Split};

/// Images a pass.
pub const BATCH: usize = 128;

/// A batch's images on a device.
pub fn images(batch: &Batch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.pixels.clone(), batch.shape), device)
}

/// Wrong answers.
pub fn wrong(logits: Tensor<2>, labels: &[u16]) -> usize {
    mistakes(&read(logits), labels)
}

/// Wrong answers of logits on the host, a row a label.
pub fn mistakes(logits: &[f32], labels: &[u16]) -> usize {
    let answers = argmax(logits, logits.len() / labels.len().max(1));
    answers.iter().zip(labels).filter(|(a, l)| a != l).count()
}

/// Logits without their gradients, as what is read beside these, see
/// [`Leaves::gradients_with`](crate::params::Leaves::gradients_with).
pub fn flat(logits: Tensor<2>) -> Tensor<1> {
    let values = logits.shape().num_elements();
    logits.inner().reshape([values])
}

/// Logits of every image of `split`, in order and as they are (no augmentation), by the running
/// statistics. Row-major, as many a row as the network has classes.
pub fn logits<N: Network>(
    network: &N,
    state: &State,
    split: &Split,
    normalise: &Normalise,
    device: &Device,
) -> Vec<f32> {
    outputs(state, split, normalise, device, |pass, x| {
        network.logits(pass, x)
    })
}

/// As [`logits`], of what `forward` makes of a batch's images in place of the logits.
pub fn outputs(
    state: &State,
    split: &Split,
    normalise: &Normalise,
    device: &Device,
    forward: impl Fn(&Pass<'_>, Tensor<4>) -> Tensor<2>,
) -> Vec<f32> {
    let all: Vec<u32> = (0..split.len() as u32).collect();
    let mut outputs = Vec::new();
    for chunk in all.chunks(BATCH) {
        let batch = split.batch(chunk, normalise, None);
        let pass = Pass::new(state, device, Mode::Evaluate);
        outputs.extend(read(forward(&pass, images(&batch, device))));
    }
    outputs
}

/// Softmax of every row of `classes` logits. In f64, in which the confidences of a network that is
/// sure of all its answers still differ. A row with NaN becomes NaN.
pub fn softmax(logits: &[f32], classes: usize) -> Vec<f64> {
    let mut confidences = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes.max(1)) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp = |v: &f32| (f64::from(*v) - f64::from(max)).exp();
        let sum: f64 = row.iter().map(exp).sum();
        confidences.extend(row.iter().map(|v| exp(v) / sum));
    }
    confidences
}

/// Error in percent of the largest logit of each row, see [`argmax`].
pub fn error(logits: &[f32], labels: &[u16]) -> f64 {
    100.0 * mistakes(logits, labels) as f64 / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_by_hand() {
        let (ln2, ln4) = (2.0f32.ln(), 4.0f32.ln());
        let found = softmax(&[0.0, ln2, ln2, 1000.0, 1000.0, -1000.0, 0.0, ln4, 0.0], 3);
        let sixth = 1.0 / 6.0;
        let expected = [0.2, 0.4, 0.4, 0.5, 0.5, 0.0, sixth, 4.0 * sixth, sixth];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let nan = softmax(&[0.0, f32::NAN], 2);
        assert!(nan.iter().all(|v| v.is_nan()));
    }

    #[test]
    fn errors_are_counted() {
        assert_eq!(
            error(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 3.0, 2.0], &[0, 0, 1, 0]),
            25.0
        );
    }
}
