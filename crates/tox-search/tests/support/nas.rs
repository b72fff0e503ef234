//! The PyTorch fixtures of the cell spaces (`benches/peers/nas/README.md` says what they hold).

use burn::tensor::{Int, Tensor, TensorData};
use serde_json::Value;
use std::collections::BTreeMap;
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::layers::{Draws, State};
use tox_nn::ops::cross_entropy;
use tox_nn::params::{ParamId, Params};
use tox_testkit::numbers::{self, Within};
pub use tox_testkit::numbers::{Tensors, narrow};

/// What `networks.json` says of a network.
pub fn network(name: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../fixtures/nas/networks.json")).unwrap();
    file[name].clone()
}

/// What networks read from a fixture.
pub trait Fixture {
    /// A batch: `images` and `labels`, with `suffix`.
    fn batch(&self, suffix: &str) -> Batch;

    /// Sets all weights of a state, and checks that names and shapes are the fixture's.
    fn set(&self, state: &mut State);
}

impl Fixture for Tensors {
    fn batch(&self, suffix: &str) -> Batch {
        let (shape, pixels) = &self.0[&format!("images{suffix}")];
        Batch {
            pixels: narrow(pixels),
            shape: shape.clone().try_into().unwrap(),
            labels: self
                .get(&format!("labels{suffix}"))
                .iter()
                .map(|l| *l as u16)
                .collect(),
        }
    }

    fn set(&self, state: &mut State) {
        let mut given: BTreeMap<_, _> = self.with("weights.").collect();
        for entry in state.params.entries().to_vec() {
            let values = given.remove(entry.name.as_str());
            let values = values.unwrap_or_else(|| panic!("{} is not in the fixture", entry.name));
            let shape = self.shape(&format!("weights.{}", entry.name));
            assert_eq!(&entry.shape[..entry.rank], shape, "{}", entry.name);
            state.params.values[entry.range()].copy_from_slice(&narrow(values));
        }
        assert!(given.is_empty(), "the network has no {:?}", given.keys());
    }
}

pub fn images(batch: &Batch, device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(batch.pixels.clone(), batch.shape), device)
}

pub fn loss(logits: Tensor<2>, batch: &Batch, device: &Device) -> Tensor<1> {
    let labels: Vec<i64> = batch.labels.iter().map(|l| i64::from(*l)).collect();
    let labels = TensorData::new(labels, [batch.labels.len()]);
    cross_entropy(logits, Tensor::<1, Int>::from_data(labels, device))
}

/// Any training step: nothing is drawn in what is compared.
pub const DRAWS: Draws<'static> = Draws {
    seed: 0,
    network: "test",
    step: 0,
};

/// Within `tolerance` of the largest value, as float32 in another order is.
pub fn assert_near(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    let (peak, floor) = (tolerance, 1e-7);
    let own = 0.0;
    numbers::assert_close(what, actual, expected, Within { own, peak, floor });
}

/// All of the fixture's gradients of weights; those that we have none of must be zero there.
pub fn assert_gradients(
    params: &Params,
    gradients: &[(ParamId, Vec<f32>)],
    expected: &Tensors,
    tolerance: f64,
) {
    let mut left: BTreeMap<_, _> = expected
        .with("gradients.")
        .filter(|(name, _)| !["normal", "reduce", "cell"].contains(name))
        .collect();
    for (id, gradient) in gradients {
        let name = params.entry(*id).name.as_str();
        let expected = left
            .remove(name)
            .unwrap_or_else(|| panic!("gradient of {name}"));
        assert_near(
            &format!("gradient of {name}"),
            gradient,
            expected,
            tolerance,
        );
    }
    for (name, values) in left {
        assert!(values.iter().all(|v| *v == 0.0), "no gradient of {name}");
    }
}
