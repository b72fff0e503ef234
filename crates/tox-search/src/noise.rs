//! What the bad ops of search-space poisoning do to a map in training; in evaluation they are the
//! identity.

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// `x + sigma * detach(x) * N(0, 1)`, the same on every one of `copies` parts of the channels.
pub(crate) fn gaussian(x: Tensor<4>, sigma: f32, copies: usize, rng: &mut impl Rng) -> Tensor<4> {
    let noise = map(&x, copies, || sigma * rng.sample::<f32, _>(StandardNormal));
    x.clone() + x.detach() * noise
}

/// Dropout as PyTorch's, the same on every one of `copies` parts of the channels: `p = 1` multiplies
/// with zero, so NaN stays NaN.
pub(crate) fn dropout<const D: usize>(
    x: Tensor<D>,
    p: f32,
    copies: usize,
    rng: &mut impl Rng,
) -> Tensor<D> {
    if p <= 0.0 {
        return x;
    }
    if p >= 1.0 {
        return x * 0.0;
    }
    let kept = || match rng.random::<f32>() < p {
        true => 0.0,
        false => 1.0 / (1.0 - p),
    };
    let mask = map(&x, copies, kept);
    x * mask
}

/// Values drawn for every place of `x`, or for the first of `copies` parts of its channels, and then
/// repeated.
fn map<const D: usize>(x: &Tensor<D>, copies: usize, mut draw: impl FnMut() -> f32) -> Tensor<D> {
    let mut shape = x.dims();
    shape[1] /= copies;
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
    let drawn = Tensor::from_data(TensorData::new(values, shape), &x.device());
    match copies {
        1 => drawn,
        _ => drawn.repeat_dim(1, copies),
    }
}
