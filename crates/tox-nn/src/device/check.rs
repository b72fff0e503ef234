//! A few small computations on a device, held against the CPU's: whether its numbers are right, and whether
//! NaN stays NaN in it.

use crate::kernels::conv::Geometry;
use crate::kernels::pool::Pool;
use crate::ops::{self, Engine};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor, TensorData};

/// A computation: what it is called, and what it gives on a device.
type Case = (&'static str, fn(&Device) -> Tensor<1>);

/// Values of small integers, whose sums and products are exact in whatever order.
fn map(device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..2 * 4 * 7 * 7)
        .map(|i| (i * 37 % 17) as f32 - 8.0)
        .collect();
    Tensor::from_data(TensorData::new(values, [2, 4, 7, 7]), device)
}

/// The same with a NaN, and a plane of nothing else.
fn broken(device: &Device) -> Tensor<4> {
    let mut values: Vec<f32> = (0..2 * 4 * 7 * 7)
        .map(|i| (i * 37 % 17) as f32 - 8.0)
        .collect();
    values[24] = f32::NAN;
    values[49..98].fill(f32::NAN);
    values[98..147].fill(f32::NEG_INFINITY);
    Tensor::from_data(TensorData::new(values, [2, 4, 7, 7]), device)
}

fn flat<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    let values = x.shape().num_elements();
    x.reshape([values])
}

/// Computations with exact results.
const EXACT: &[Case] = &[
    ("a matrix product", |device| {
        let x = map(device).reshape([8, 49]);
        flat(ops::matmul(Engine::on(device), x.clone(), x.transpose()))
    }),
    ("a sum", |device| {
        flat(map(device).reshape([8, 49]).sum_dim(1))
    }),
    ("a convolution", |device| {
        let weight = map(device).slice([0..2, 0..4, 0..3, 0..3]);
        flat(ops::conv(
            Engine::on(device),
            map(device),
            weight,
            Geometry::same(3),
        ))
    }),
    ("a max pool", |device| {
        flat(ops::pool(Engine::on(device), map(device), Pool::Max))
    }),
];

/// Computations into which NaN goes.
const WITH_NAN: &[Case] = &[
    ("ReLU", |device| flat(relu(broken(device)))),
    ("a product with zero", |device| flat(broken(device) * 0.0)),
    ("a sum", |device| {
        flat(broken(device).reshape([8, 49]).sum_dim(1))
    }),
    ("a matrix product", |device| {
        let x = broken(device).reshape([8, 49]);
        flat(ops::matmul(
            Engine::on(device),
            x,
            map(device).reshape([49, 8]),
        ))
    }),
    ("softmax", |device| {
        flat(log_softmax(broken(device).reshape([8, 49]), 1))
    }),
    ("max pool", |device| {
        flat(ops::pool(Engine::on(device), broken(device), Pool::Max))
    }),
    ("the gradient of a max pool", |device| {
        let x = broken(&device.clone().autodiff()).require_grad();
        let y = ops::pool(Engine::on(device), x.clone(), Pool::Max);
        let mut gradients = (y * map(device)).sum().backward();
        flat(
            x.grad_remove(&mut gradients)
                .unwrap_or_else(|| broken(device)),
        )
    }),
    ("batch norm", |device| {
        let vector = |value| Tensor::full([4, 1, 1, 1], value, device);
        let y = ops::batch_norm(
            Engine::on(device),
            broken(device),
            vector(1.0),
            vector(0.0),
            true,
        );
        flat(y)
    }),
];

/// The first computation whose result differs from the CPU's in any number.
pub fn wrong(device: &Device) -> Option<String> {
    let here = Device::flex();
    let differs = |(_, case): &&Case| ops::read(case(device)) != ops::read(case(&here));
    EXACT
        .iter()
        .find(differs)
        .map(|(name, _)| (*name).to_owned())
}

/// The computations in which a NaN is lost or made, or sends its gradient elsewhere than on the CPU.
pub fn lost_nan(device: &Device) -> Vec<String> {
    let here = Device::flex();
    let same = |a: &f32, b: &f32| match a.is_nan() || b.is_nan() {
        true => a.is_nan() == b.is_nan(),
        false => a == b || (a - b).abs() <= 1e-4 * a.abs().max(b.abs()),
    };
    let lost = WITH_NAN.iter().filter(|(_, case)| {
        let (there, here) = (ops::read(case(device)), ops::read(case(&here)));
        !there.iter().zip(&here).all(|(a, b)| same(a, b))
    });
    lost.map(|(name, _)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_passes_with_nan_in_each_case() {
        let here = Device::flex();
        assert_eq!(wrong(&here), None);
        assert!(lost_nan(&here).is_empty());
        for (name, case) in WITH_NAN {
            let nan = ops::read(case(&here)).into_iter().filter(|v| v.is_nan());
            // The gradient of a max pool goes to the NaN, and is a number.
            assert_eq!(
                nan.count() > 0,
                *name != "the gradient of a max pool",
                "{name}"
            );
        }
    }
}
