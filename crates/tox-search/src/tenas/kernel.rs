//! The condition number of the neural tangent kernel of a batch.
//!
//! Row `i` of the Jacobian is the gradient of the sum of image `i`'s logits by all weights that it
//! reaches, convolutions, batch-norm scales and the classifier, but no biases. Batch norm takes the
//! statistics of the batch, so each of these gradients goes through all images, and there are none to
//! be had of all images from one backward pass of one network. Here several copies of the network run
//! side by side as groups of channels, copy `i` with the loss of image `i`: one pass gives the rows
//! of all copies. That takes as much arithmetic as a pass for each image, but fewer and larger ops: on
//! one core of an AVX-512 machine, 14 images of a fresh DARTS-space supernet took 0.25 s with one
//! copy, 0.22 s with 2, 0.20 s with 7 or 14. For 72 images of NAS-Bench-201, whose maps are three
//! times as large, copies do not pay: 2.5 s with one, 2.7 s with 4 (`benches/zero_cost.rs`).

use super::left::Left;
use super::network::Supernet;
use burn::tensor::{Tensor, TensorData};
use nalgebra::{DMatrix, SymmetricEigen};
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::layers::{Mode, Pass, State};

/// What the published code takes for a condition number that is NaN.
pub const NAN: f64 = 1e5;

/// The Gram matrix of the Jacobian's rows, `[n, n]`. `wide` are the numbers of `net`, of `copies`
/// equal copies.
pub fn gram(
    (net, wide, copies): (&Supernet, &State, usize),
    left: &Left,
    batch: &Batch,
    device: &Device,
) -> DMatrix<f64> {
    let rows = jacobian((net, wide, copies), left, batch, device);
    let n = rows.len();
    let mut gram = DMatrix::zeros(n, n);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().take(i + 1) {
            let product = dot(a, b);
            (gram[(i, j)], gram[(j, i)]) = (product, product);
        }
    }
    gram
}

/// The rows of the Jacobian, `[n][weights]`, of the weights in their order; those that nothing reaches
/// have no place.
pub fn jacobian(
    (net, wide, copies): (&Supernet, &State, usize),
    left: &Left,
    batch: &Batch,
    device: &Device,
) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let [n, c, h, w] = batch.shape;
    let image = c * h * w;
    let pixels = batch.pixels.chunks_exact(image.max(1));
    let repeated: Vec<f32> = pixels.flat_map(|image| image.repeat(copies)).collect();
    let x = TensorData::new(repeated, [n, copies * c, h, w]);
    let mut rows = vec![Vec::new(); n];
    for first in (0..n).step_by(copies) {
        let here = copies.min(n - first);
        let pass = Pass::new(wide, &device, Mode::Probe);
        let logits = net.logits(&pass, Tensor::from_data(x.clone(), &device), left);
        // Copy s answers for image first + s.
        let mut own = vec![0.0f32; copies * n];
        (0..here).for_each(|s| own[s * n + first + s] = 1.0);
        let own = Tensor::<3>::from_data(TensorData::new(own, [copies, n, 1]), &device);
        let backward = pass.finish((logits * own).sum().backward());
        for (id, gradient) in backward.gradients {
            if wide.params.entry(id).name.ends_with(".weight") {
                let each = gradient.chunks_exact(gradient.len() / copies);
                let rows = rows[first..first + here].iter_mut();
                rows.zip(each).for_each(|(row, part)| row.extend(part));
            }
        }
    }
    rows
}

/// In f64, in eight sums.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(*a) * f64::from(*b);
        }
    }
    sums.iter().sum()
}

/// The largest eigenvalue by the smallest, as it is: when the smallest is about 0, its rounding
/// decides on size and sign. NaN counts as [`NAN`], an infinity as the largest number.
pub fn condition_number(gram: &DMatrix<f64>) -> f64 {
    if !gram.iter().all(|v| v.is_finite()) {
        return NAN;
    }
    let values = SymmetricEigen::new(gram.clone()).eigenvalues;
    let ratio = values.max() / values.min();
    if ratio.is_nan() {
        return NAN;
    }
    ratio.clamp(-f64::MAX, f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [[2, 1], [1, 2]] has the eigenvalues 1 and 3.
    #[test]
    fn condition_numbers_by_hand() {
        let of = |values: &[f64]| condition_number(&DMatrix::from_row_slice(2, 2, values));
        assert!((of(&[2.0, 1.0, 1.0, 2.0]) - 3.0).abs() < 1e-12);
        assert!((of(&[4.0, 0.0, 0.0, -2.0]) + 2.0).abs() < 1e-12);
        assert_eq!(of(&[0.0; 4]), NAN);
        assert_eq!(of(&[f64::NAN, 0.0, 0.0, 1.0]), NAN);
        assert_eq!(of(&[1.0, 0.0, 0.0, 0.0]), f64::MAX);
    }

    #[test]
    fn a_dot_product_counts_every_value_once() {
        let a: Vec<f32> = (1..=19u8).map(f32::from).collect();
        assert_eq!(dot(&a, &a), 2470.0);
    }
}
