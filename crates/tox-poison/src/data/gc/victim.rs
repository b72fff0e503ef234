//! A network at some weights, and the gradients that GC takes of it.

use burn::tensor::Tensor;
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::fit::evaluate::images;
use tox_nn::fit::labels;
use tox_nn::layers::{Choices, Mode, Network, Pass, State};
use tox_nn::ops::{cross_entropy, read};
use tox_nn::params::ParamId;

/// What is attacked: a network that was trained on the clean rows, and those of its parameters whose
/// gradient the poison has to cancel: all ([`Victim::of_all`]), the alphas of a supernet
/// ([`Victim::of_alphas`]), or any others.
///
/// Batch norm uses the batch's statistics, as in the published code; dropout is off, so that a
/// gradient is the same each time that it is taken (the published code leaves it on).
#[derive(Clone, Debug)]
pub struct Victim<N> {
    pub network: N,
    pub state: State,
    /// The target parameters, each once.
    pub targets: Vec<ParamId>,
    pub device: Device,
}

/// A gradient by the target parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// Mean cross-entropy of the batch.
    pub loss: f64,
    /// Its derivatives, target after target; 0 where the loss does not reach.
    pub values: Vec<f32>,
}

impl<N: Network> Victim<N> {
    /// With all parameters as targets.
    pub fn of_all(network: N, state: State, device: Device) -> Self {
        Self {
            network,
            targets: state.params.ids().collect(),
            state,
            device,
        }
    }

    /// The values of the targets, one after the other.
    pub fn values(&self) -> Vec<f32> {
        let params = &self.state.params;
        let values = |id: &ParamId| &params.values[params.entry(*id).range()];
        self.targets.iter().flat_map(values).copied().collect()
    }

    /// Moves the targets to `values`.
    ///
    /// # Panics
    /// If there are fewer than [`Victim::values`] gives.
    pub fn set(&mut self, mut values: &[f32]) {
        let params = &mut self.state.params;
        for id in &self.targets {
            let range = params.entry(*id).range();
            let (now, later) = values.split_at(range.len());
            params.values[range].copy_from_slice(now);
            values = later;
        }
    }

    /// BLAKE3 (hexadecimal) of the names, shapes and values of all its parameters, targets or not.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 victim v1");
        let params = &self.state.params;
        for entry in params.entries() {
            hasher.update(&(entry.name.len() as u64).to_le_bytes());
            hasher.update(entry.name.as_bytes());
            for size in entry.shape {
                hasher.update(&(size as u64).to_le_bytes());
            }
            let values = params.values[entry.range()].iter();
            let bytes = values.flat_map(|value| value.to_le_bytes());
            hasher.update(&bytes.collect::<Vec<u8>>());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The gradient of the batch's mean cross-entropy by the targets.
    pub fn gradient(&self, batch: &Batch) -> Gradient {
        let device = self.device.clone().autodiff();
        let pass = Pass::new(&self.state, &device, Mode::Probe);
        self.by_targets(pass, batch).0
    }

    /// The same, and what the ReLUs and max pools chose on the way.
    pub fn gradient_and_choices(&self, batch: &Batch) -> (Gradient, Choices) {
        let device = self.device.clone().autodiff();
        let pass = Pass::new(&self.state, &device, Mode::Probe);
        self.by_targets(pass.noting(), batch)
    }

    fn by_targets(&self, pass: Pass<'_>, batch: &Batch) -> (Gradient, Choices) {
        let loss = self.loss(&pass, images(batch, pass.device()), batch);
        let choices = pass.choices();
        let gradients = loss.backward();
        let found = pass.finish(gradients).gradients;
        let mut values = Vec::new();
        for id in &self.targets {
            match found.iter().find(|(used, _)| used == id) {
                Some((_, gradient)) => values.extend_from_slice(gradient),
                None => values.resize(values.len() + self.state.params.entry(*id).len(), 0.0),
            }
        }
        let loss = read(loss).first().copied().unwrap_or(f32::NAN).into();
        (Gradient { loss, values }, choices)
    }

    /// The gradient of the batch's mean cross-entropy by its images, normalised as they are, with
    /// the ReLUs and max pools held to `choices`.
    pub fn image_gradient(&self, batch: &Batch, choices: &Choices) -> Vec<f32> {
        let device = self.device.clone().autodiff();
        let pass = Pass::new(&self.state, &device, Mode::Probe).holding(choices);
        let x = images(batch, &device).require_grad();
        let gradients = self.loss(&pass, x.clone(), batch).backward();
        match x.grad(&gradients) {
            Some(gradient) => read(gradient),
            None => vec![0.0; batch.pixels.len()],
        }
    }

    fn loss(&self, pass: &Pass<'_>, x: Tensor<4>, batch: &Batch) -> Tensor<1> {
        let logits = self.network.logits(pass, x);
        cross_entropy(logits, labels(&batch.labels, pass.device()))
    }
}
