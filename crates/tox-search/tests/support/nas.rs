//! The PyTorch fixtures of the cell spaces (`benches/peers/nas/README.md` says what they hold).

use burn::tensor::{Int, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::layers::{Draws, State};
use tox_nn::ops::cross_entropy;
use tox_nn::params::{ParamId, Params};

/// The tensors of a fixture, as f64.
pub struct Tensors(pub BTreeMap<String, (Vec<usize>, Vec<f64>)>);

/// What `networks.json` says of a network.
pub fn network(name: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../fixtures/nas/networks.json")).unwrap();
    file[name].clone()
}

impl Tensors {
    pub fn read(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let bytes = view.data();
            let values = match view.dtype() {
                Dtype::F32 => numbers(bytes, |b| f64::from(f32::from_le_bytes(b))),
                Dtype::F64 => numbers(bytes, f64::from_le_bytes),
                Dtype::I64 => numbers(bytes, |b| i64::from_le_bytes(b) as f64),
                Dtype::U8 => numbers(bytes, |[b]: [u8; 1]| f64::from(b)),
                other => panic!("{name} is {other:?}"),
            };
            (name, (view.shape().to_vec(), values))
        });
        Self(tensors.collect())
    }

    pub fn get(&self, name: &str) -> &[f64] {
        let found = self.0.get(name);
        &found
            .unwrap_or_else(|| panic!("the fixture has no {name}"))
            .1
    }

    pub fn shape(&self, name: &str) -> &[usize] {
        &self.0[name].0
    }

    /// Tensors whose name begins with `prefix`, by the rest of it.
    pub fn with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [f64])> {
        let all = self.0.iter();
        all.filter_map(move |(name, (_, values))| Some((name.strip_prefix(prefix)?, &values[..])))
    }

    /// A batch: `images` and `labels`, with `suffix`.
    pub fn batch(&self, suffix: &str) -> Batch {
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

    /// Sets all weights of a state, and checks that names and shapes are the fixture's.
    pub fn set(&self, state: &mut State) {
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

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let words = bytes.chunks_exact(N);
    words.map(|word| number(word.try_into().unwrap())).collect()
}

pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
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
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs();
        assert!(
            error <= tolerance * largest + 1e-7,
            "{what}[{i}]: {a}, expected {e} (off by {error:e}, largest {largest})"
        );
    }
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
