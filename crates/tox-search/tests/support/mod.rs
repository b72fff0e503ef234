//! What the tests of the child share.
#![allow(dead_code)] // Each test binary uses a part of it.

pub mod nas;
pub mod shapes;

use burn::tensor::{Int, Tensor, TensorData};
use std::collections::BTreeMap;
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::ops::cross_entropy;
use tox_nn::params::{Leaves, Params};
use tox_search::enas::child::{Architecture, Child, Mode};
use tox_search::space::{Op, Space, SpaceOp};
use tox_testkit::numbers::{self, Within};

/// Within `1e-4` of every value plus `floor`: f32 through a dozen batch norms.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64], floor: f64) {
    let (own, peak) = (1e-4, 0.0);
    numbers::assert_close(what, actual, expected, Within { own, peak, floor });
}

pub fn space(ops: &[Op]) -> Space {
    let one = |op: &Op| SpaceOp {
        op: *op,
        count: 1,
        poison: false,
    };
    Space {
        ops: ops.iter().map(one).collect(),
    }
}

/// Overwrites weights by name; all of `given` must exist.
pub fn set(params: &mut Params, mut given: BTreeMap<String, Vec<f64>>) {
    for entry in params.entries().to_vec() {
        if let Some(values) = given.remove(&entry.name) {
            assert_eq!(values.len(), entry.len(), "{}", entry.name);
            for (to, from) in params.values[entry.range()].iter_mut().zip(values) {
                *to = from as f32;
            }
        }
    }
    assert!(given.is_empty(), "no such weights: {:?}", given.keys());
}

pub fn mode(step: u64) -> Mode {
    Mode::Train {
        seed: 3,
        network: "search",
        step,
    }
}

/// Logits, loss, and gradients by name.
pub fn pass(
    child: &Child,
    batch: &Batch,
    architecture: &Architecture,
) -> (Vec<f32>, f32, BTreeMap<String, Vec<f32>>) {
    let device = Device::flex().autodiff();
    let leaves = Leaves::new(&child.params, &device);
    let x = TensorData::new(batch.pixels.clone(), batch.shape);
    let x = Tensor::from_data(x, &device);
    let logits = child.forward(&leaves, x, architecture, mode(0));
    let labels: Vec<i64> = batch.labels.iter().map(|l| i64::from(*l)).collect();
    let labels = TensorData::new(labels, [batch.labels.len()]);
    let loss = cross_entropy(logits.clone(), Tensor::<1, Int>::from_data(labels, &device));
    let gradients = leaves.gradients(loss.backward());
    let name = |id| child.params.entry(id).name.clone();
    (
        logits.into_data().try_into_vec().unwrap(),
        loss.into_data().try_into_vec::<f32>().unwrap()[0],
        gradients.into_iter().map(|(id, g)| (name(id), g)).collect(),
    )
}
