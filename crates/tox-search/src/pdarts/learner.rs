//! A stage's supernet with its optimisers: one step for the alphas, one for the weights.

use super::config::PdartsConfig;
use crate::cell::{CellSupernet, Mix, Supernet, SupernetShape};
use crate::nas::Direction;
use crate::space::{PoisonedSpace, SpaceError};
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_nn::fit::evaluate::{flat, images, mistakes, softmax};
use tox_nn::fit::{Step, labels};
use tox_nn::init;
use tox_nn::layers::{Draws, Mode, Pass, State};
use tox_nn::ops::cross_entropy;
use tox_nn::optim::{Adam, Gradients, Sgd, clip_scale, global_norm};
use tox_nn::params::{Leaves, OfWeights, Params};

/// The epsilon of PyTorch's Adam.
const ADAM_EPS: f32 = 1e-8;

/// A stage's supernet and its optimisers.
#[derive(Clone, Debug)]
pub struct Learner {
    /// The ops of every edge, by kind of cell.
    pub candidates: Vec<Vec<Vec<usize>>>,
    pub net: CellSupernet,
    /// Its weights. Running statistics of batch norms stay where they began: a search never
    /// evaluates a supernet with them.
    pub state: State,
    /// One matrix, edges by ops, for every kind of cell.
    pub alphas: Params,
    pub sgd: Sgd,
    pub adam: Adam,
    /// Steps so far, of either kind, whose gradient norm was not finite.
    pub nonfinite_steps: u64,
    /// Whether the alphas go down their loss, or up it.
    pub direction: Direction,
    grad_clip: f32,
    alpha_lr: f32,
    device: Device,
}

impl Learner {
    /// A supernet with new weights, new alphas and optimisers at rest. Alphas and weights are drawn
    /// from streams keyed by `seed`, `network` and their name.
    ///
    /// # Errors
    /// A shape that cannot be built, candidates for another number of edges.
    pub fn new(
        space: impl Into<PoisonedSpace>,
        candidates: &[Vec<Vec<usize>>],
        shape: SupernetShape,
        config: &PdartsConfig,
        (seed, network): (u64, &str),
        device: Device,
    ) -> Result<Self, SpaceError> {
        let space = space.into();
        let kinds = space.space.kinds();
        let (net, state) = CellSupernet::new(space, candidates, shape, (seed, network))?;
        let mut alphas = Params::default();
        for (kind, edges) in kinds.iter().zip(candidates) {
            let ops = edges.first().map_or(0, Vec::len);
            let name = format!("alphas_{kind}");
            let mut rng = stream(seed, &format!("init/{network}/{name}"), &[]);
            let count = edges.len() * ops;
            let values = init::normal(count, config.alpha_init as f32, &mut rng);
            alphas.add(name, [edges.len(), ops], values);
        }
        let (momentum, decay) = (config.momentum as f32, config.weight_decay as f32);
        let mut sgd = Sgd::new(&state.params, momentum, decay, true);
        sgd.nesterov = false;
        let [beta1, beta2] = config.alpha_betas.map(|beta| beta as f32);
        let mut adam = Adam::new(&alphas, beta1, beta2, ADAM_EPS);
        adam.decay = config.alpha_decay as f32;
        Ok(Self {
            candidates: candidates.to_vec(),
            net,
            state,
            alphas,
            sgd,
            adam,
            nonfinite_steps: 0,
            direction: Direction::Search,
            grad_clip: config.grad_clip as f32,
            alpha_lr: config.alpha_lr as f32,
            device,
        })
    }

    /// The gradients of the alphas at `batch`, all in a row, and loss and errors there. Batch norm
    /// uses the batch's statistics; dropout on skips is on in [`Mode::Train`].
    pub fn alpha_gradient(
        &self,
        batch: &Batch,
        mode: Mode<'_>,
        skip_dropout: f64,
    ) -> (Vec<f32>, Step) {
        let (gradients, step) = self.by_alphas(batch, mode, skip_dropout);
        (gradients.into_iter().flat_map(|(_, g)| g).collect(), step)
    }

    /// The cosine of the angle between the alphas' gradients at two batches, nothing dropped; see
    /// [`cosine`].
    pub fn alpha_cosine(&self, a: &Batch, b: &Batch) -> Option<f64> {
        let gradient = |batch| self.alpha_gradient(batch, Mode::Probe, 0.0).0;
        cosine(&gradient(a), &gradient(b))
    }

    fn by_alphas(&self, batch: &Batch, mode: Mode<'_>, skip_dropout: f64) -> (OfWeights, Step) {
        let device = self.device.clone().autodiff();
        let pass = Pass::fixed(&self.state, &device, mode);
        let leaves = Leaves::new(&self.alphas, &device);
        let mixes = self.mixes(&leaves);
        let x = images(batch, &device);
        let logits = self.net.mixed(&pass, x, &mixes, skip_dropout as f32);
        let loss = cross_entropy(logits.clone(), labels(&batch.labels, &device));
        let read = [loss.clone().inner(), flat(logits)];
        let (gradients, read) = leaves.gradients_with(loss.backward(), read);
        let step = measured(read, &batch.labels, &gradients);
        (gradients, step)
    }

    fn mixes(&self, leaves: &Leaves<'_>) -> Vec<Mix> {
        let ids = self.alphas.ids();
        ids.map(|id| Mix::softmax(leaves.matrix(id))).collect()
    }

    /// A step for the alphas: their gradient at the present weights (first order), clipped, in an anti-search
    /// turned round, Adam. The penalty pulls them to 0 either way.
    pub fn alpha_step(&mut self, batch: &Batch, draws: Draws<'_>, skip_dropout: f64) -> Step {
        let (gradients, step) = self.by_alphas(batch, Mode::Train(draws), skip_dropout);
        let scale = self.clip(&step) * self.direction.sign() as f32;
        self.adam
            .step(&mut self.alphas, &gradients, self.alpha_lr, scale);
        step
    }

    /// A step for the weights: their gradient at the present alphas, clipped, SGD with learning rate
    /// `lr`.
    pub fn weight_step(
        &mut self,
        batch: &Batch,
        draws: Draws<'_>,
        (lr, skip_dropout): (f64, f64),
    ) -> Step {
        let device = self.device.clone().autodiff();
        let pass = Pass::new(&self.state, &device, Mode::Train(draws));
        let leaves = Leaves::fixed(&self.alphas, &device);
        let mixes = self.mixes(&leaves);
        let x = images(batch, &device);
        let logits = self.net.mixed(&pass, x, &mixes, skip_dropout as f32);
        let loss = cross_entropy(logits.clone(), labels(&batch.labels, &device));
        let read = [loss.clone().inner(), flat(logits)];
        let (gradients, read) = pass.gradients_with(loss.backward(), read);
        let step = measured(read, &batch.labels, &gradients);
        let scale = self.clip(&step);
        self.sgd
            .step(&mut self.state.params, &gradients, lr as f32, scale);
        step
    }

    fn clip(&mut self, step: &Step) -> f32 {
        self.nonfinite_steps += u64::from(!step.grad_norm.is_finite());
        clip_scale(step.grad_norm, self.grad_clip)
    }

    /// The softmax of every edge's alphas: by kind of cell, edge and op.
    pub fn probabilities(&self) -> Vec<Vec<Vec<f64>>> {
        let matrices = self.alphas.entries().iter();
        matrices
            .map(|entry| {
                let [_, ops, ..] = entry.shape;
                let all = softmax(&self.alphas.values[entry.range()], ops);
                all.chunks(ops).map(<[f64]>::to_vec).collect()
            })
            .collect()
    }
}

/// Of the loss and the logits, as they were read.
fn measured([loss, logits]: [Vec<f32>; 2], labels: &[u16], gradients: &Gradients) -> Step {
    Step {
        loss: loss.first().copied().unwrap_or(f32::NAN),
        wrong: mistakes(&logits, labels),
        grad_norm: global_norm(gradients),
    }
}

/// The cosine of the angle between two gradients, in f64; `None` if one of them is zero or not
/// finite.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    cosine.is_finite().then_some(cosine)
}
