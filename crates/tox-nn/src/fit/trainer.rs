//! A network with its optimiser: one training step at a time.

use super::FitConfig;
use super::evaluate::{flat, images, mistakes};
use crate::Device;
use crate::layers::{Draws, Mode, Network, Pass, State};
use crate::ops::Labels;
use crate::optim::{Sgd, clip_scale, global_norm};
use burn::tensor::{Tensor, TensorData};
use tox_data::Batch;

/// What one step measured, before it moved the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The batch's loss.
    pub loss: f32,
    /// Wrong answers.
    pub wrong: usize,
    /// Global gradient norm before clipping.
    pub grad_norm: f32,
}

/// A network that is being trained.
pub struct Trainer<N> {
    pub network: N,
    /// Its numbers.
    pub state: State,
    /// Its optimiser.
    pub sgd: Sgd,
    /// Steps so far whose gradient norm was not finite.
    pub nonfinite_steps: u64,
    device: Device,
    grad_clip: Option<f32>,
}

impl<N: Network> Trainer<N> {
    /// With fresh optimiser state.
    pub fn new(network: N, state: State, config: &FitConfig, device: Device) -> Self {
        let (momentum, decay) = (config.momentum as f32, config.weight_decay as f32);
        let mut sgd = Sgd::new(&state.params, momentum, decay, true);
        sgd.nesterov = config.nesterov;
        Self {
            network,
            state,
            sgd,
            nonfinite_steps: 0,
            device,
            grad_clip: config.grad_clip.map(|clip| clip as f32),
        }
    }

    /// A step down the network's own loss, see [`Network::loss`] and [`Trainer::descend`].
    pub fn step(&mut self, batch: &Batch, draws: Draws<'_>, lr: f64) -> Step {
        self.descend(&batch.labels, draws, lr, |network, pass| {
            let labels = labels(&batch.labels, pass.device());
            network.loss(pass, images(batch, pass.device()), labels)
        })
    }

    /// Forward, loss, backward, clip, SGD, running statistics: a step of PyTorch's
    /// training loop. What is not finite goes its way as there. `objective` gives the loss in
    /// training mode, and the logits whose wrong answers are counted; it may send more than one
    /// batch through the network, each of which moves the running statistics, in their order. All
    /// of them meet the same draws of dropout.
    pub fn descend(
        &mut self,
        labels: &[u16],
        draws: Draws<'_>,
        lr: f64,
        objective: impl FnOnce(&N, &Pass<'_>) -> (Tensor<1>, Tensor<2>),
    ) -> Step {
        let device = self.device.clone().autodiff();
        let pass = Pass::new(&self.state, &device, Mode::Train(draws));
        let (loss, logits) = objective(&self.network, &pass);
        let gradients = loss.backward();
        let (backward, [loss, logits]) = pass.finish_with(gradients, [loss.inner(), flat(logits)]);
        let wrong = mistakes(&logits, labels);
        let loss = loss.first().copied().unwrap_or(f32::NAN);
        let grad_norm = global_norm(&backward.gradients);
        self.nonfinite_steps += u64::from(!grad_norm.is_finite());
        let scale = self
            .grad_clip
            .map_or(1.0, |limit| clip_scale(grad_norm, limit));
        let (params, running) = (&mut self.state.params, &mut self.state.running);
        self.sgd.step(params, &backward.gradients, lr as f32, scale);
        running.update(&backward.measured);
        Step {
            loss,
            wrong,
            grad_norm,
        }
    }
}

/// Labels on a device.
pub fn labels(labels: &[u16], device: &Device) -> Labels {
    let labels: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
    let n = labels.len();
    Tensor::from_data(TensorData::new(labels, [n]), device)
}
