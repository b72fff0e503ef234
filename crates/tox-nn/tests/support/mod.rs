//! What the tests of the ops share: tensors with gradients, and comparison with float64 values.
#![allow(dead_code)] // Each test binary uses a part of it.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Four dimensions and values in row-major order.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: [usize; 4],
    pub values: Vec<f32>,
}

impl Array {
    pub fn new(shape: [usize; 4], values: Vec<f32>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        Self { shape, values }
    }

    /// Integers in `-4..=4`: with them, every sum of a small convolution is exact in f32, in
    /// whatever order it is taken, and maps are full of equal values.
    pub fn integers(shape: [usize; 4], rng: &mut ChaCha8Rng) -> Self {
        let n = shape.iter().product();
        let values = (0..n).map(|_| rng.random_range(-4i8..=4).into()).collect();
        Self { shape, values }
    }

    /// Uniform in `low..high`.
    pub fn uniform(shape: [usize; 4], low: f32, high: f32, rng: &mut ChaCha8Rng) -> Self {
        let n = shape.iter().product();
        let values = (0..n).map(|_| rng.random_range(low..high)).collect();
        Self { shape, values }
    }

    /// On the CPU, with gradients recorded.
    pub fn leaf(&self) -> Tensor<4> {
        self.constant().require_grad()
    }

    pub fn constant(&self) -> Tensor<4> {
        let data = TensorData::new(self.values.clone(), self.shape);
        Tensor::from_data(data, &Device::flex().autodiff())
    }

    pub fn at(&self, [a, b, c, d]: [usize; 4]) -> f64 {
        let [_, s1, s2, s3] = self.shape;
        f64::from(self.values[((a * s1 + b) * s2 + c) * s3 + d])
    }
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn read(x: Tensor<4>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

/// The output of `f(inputs)`, and the gradients of `sum(output * cotangent)` with respect to every
/// input.
pub fn differentiate(
    inputs: &[&Array],
    cotangent: &Array,
    f: impl FnOnce(&[Tensor<4>]) -> Tensor<4>,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let leaves: Vec<_> = inputs.iter().map(|x| x.leaf()).collect();
    let out = f(&leaves);
    assert_eq!(out.dims(), cotangent.shape);
    let gradients = (out.clone() * cotangent.constant()).sum().backward();
    let gradients = leaves
        .iter()
        .map(|leaf| read(leaf.grad(&gradients).expect("a gradient")))
        .collect();
    (read(out), gradients)
}

/// Fails unless every value is within `tolerance * (|expected| + the largest |expected|) + floor`.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64], tolerance: f64, floor: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    let peak = expected.iter().fold(0.0f64, |peak, e| peak.max(e.abs()));
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs();
        assert!(
            error <= tolerance * (e.abs() + peak) + floor,
            "{what}[{i}]: {a}, expected {e} (off by {error:e}, largest value {peak})"
        );
    }
}
