//! Resizing of images on the device.

use burn::tensor::{Device, Tensor, TensorData};
use tox_nn::ops::{self, Engine};

/// Brings `x`, `[n, c, h, w]`, to `side` x `side`: bilinear interpolation, which averages over the
/// covered area (antialias) where it reduces, as [`tox_data`] resizes images and as the data loaders of
/// Once-for-All do, but without rounding to 8 bits. Two matrix products, so gradients reach `x`. Images
/// of this size are returned as they are.
pub fn resize(x: Tensor<4>, side: usize) -> Tensor<4> {
    let ([n, c, h, w], device) = (x.dims(), x.device());
    if (h, w) == (side, side) {
        return x;
    }
    let columns = weights(w, side, &device).transpose();
    let engine = Engine::on(&device);
    let x = ops::matmul(engine, x.reshape([n * c * h, w]), columns);
    let rows = weights(h, side, &device).reshape([1, side, h]);
    let rows = rows.expand([n * c, side, h]);
    let x = ops::matmul(engine, rows, x.reshape([n * c, h, side]));
    x.reshape([n, c, side, side])
}

/// What each of `to` pixels takes of `from`, `[to, from]`: a triangle around its centre, as wide as the
/// larger of the two pixels to each side, cut off at the border and brought to sum 1.
fn weights(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0);
    let mut weights = Vec::with_capacity(from * to);
    for i in 0..to {
        let centre = (i as f64 + 0.5) * scale;
        let weight = |j: usize| (1.0 - (j as f64 + 0.5 - centre).abs() / support).max(0.0);
        let row: Vec<f64> = (0..from).map(weight).collect();
        let sum: f64 = row.iter().sum();
        weights.extend(row.iter().map(|w| (w / sum) as f32));
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}
