//! One network with its optimiser: training steps under a NaN policy, error measurement.

use super::child::{Architecture, Child, Mode};
use super::config::{ChildConfig, Idle, NanPolicy};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tox_data::spec::Augment;
use tox_data::{Batch, Normalise, Split};
use tox_nn::Device;
use tox_nn::fit::evaluate::{flat, images, mistakes, wrong};
use tox_nn::fit::labels;
use tox_nn::kernels;
use tox_nn::ops::{Engine, cross_entropy};
use tox_nn::optim::{Sgd, clip_scale, global_norm};
use tox_nn::params::Leaves;

/// What went wrong with gradients so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Step whose gradient norm was the first that is not finite.
    pub first_nonfinite_step: Option<u64>,
    /// Step after which the first weight was not finite.
    pub first_nan_weight_step: Option<u64>,
    /// Steps whose gradient norm was not finite.
    pub nonfinite_steps: u64,
}

/// What one training step measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub loss: f32,
    pub wrong: usize,
    /// Global gradient norm before clipping.
    pub grad_norm: f32,
}

/// A network that is being trained.
pub struct Trainer {
    pub child: Child,
    pub sgd: Sgd,
    pub faults: Faults,
    device: Device,
    grad_clip: f32,
    nan_policy: NanPolicy,
}

impl Trainer {
    /// With fresh optimiser state.
    pub fn new(child: Child, config: &ChildConfig, device: Device) -> Self {
        let idle = config.idle == Idle::Decay;
        let (momentum, decay) = (config.momentum as f32, config.weight_decay as f32);
        let sgd = Sgd::new(&child.params, momentum, decay, idle);
        Self {
            child,
            sgd,
            faults: Faults::default(),
            device,
            grad_clip: config.grad_clip as f32,
            nan_policy: config.nan_policy,
        }
    }

    /// Forward, cross-entropy, backward, clip, SGD. `mode` carries the step's number.
    pub fn step(&mut self, batch: &Batch, a: &Architecture, mode: Mode, lr: f64) -> Step {
        let device = self.device.clone().autodiff();
        let leaves = Leaves::new(&self.child.params, &device);
        let logits = self.child.forward(&leaves, images(batch, &device), a, mode);
        let loss = cross_entropy(logits.clone(), labels(&batch.labels, &device));
        let read = [loss.clone().inner(), flat(logits)];
        let (gradients, [loss, logits]) = leaves.gradients_with(loss.backward(), read);
        let wrong = mistakes(&logits, &batch.labels);
        let loss = loss.first().copied().unwrap_or(f32::NAN);
        let grad_norm = global_norm(&gradients);
        let step = match mode {
            Mode::Train { step, .. } => step,
            Mode::Evaluate => 0,
        };
        if !grad_norm.is_finite() {
            self.faults.first_nonfinite_step.get_or_insert(step);
            self.faults.nonfinite_steps += 1;
        }
        let scale = match (clip_scale(grad_norm, self.grad_clip), self.nan_policy) {
            (_, NanPolicy::Guarded) if !grad_norm.is_finite() => None,
            // `if clip_coef < 1`, which NaN is not.
            (scale, NanPolicy::Torch19) if scale.is_nan() => Some(1.0),
            (scale, NanPolicy::Torch | NanPolicy::Torch19 | NanPolicy::Guarded) => Some(scale),
        };
        if let Some(scale) = scale {
            self.sgd
                .step(&mut self.child.params, &gradients, lr as f32, scale);
            let died = self.faults.first_nan_weight_step.is_none() && !grad_norm.is_finite();
            if died && !self.child.params.finite() {
                self.faults.first_nan_weight_step = Some(step);
            }
        }
        Step {
            loss,
            wrong,
            grad_norm,
        }
    }

    /// Wrong answers on one batch, with the weights as they are.
    pub fn wrong(&self, batch: &Batch, architecture: &Architecture) -> usize {
        let leaves = Leaves::new(&self.child.params, &self.device);
        let x = images(batch, &self.device);
        let logits = self.child.forward(&leaves, x, architecture, Mode::Evaluate);
        wrong(logits, &batch.labels)
    }

    /// `f(0)` to `f(n - 1)`, side by side where networks run on the kernels.
    pub fn each<T: Send>(&self, n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
        match Engine::on(&self.device) {
            Engine::Kernels => kernels::side_by_side(n, f),
            Engine::Plain => (0..n).map(f).collect(),
        }
    }

    /// Error in percent over a split, in batches of `size` in order. With `whole_batches` the
    /// last partial batch is left out (unless it is the only one): batch norm uses the batch's
    /// statistics, so the size of a batch matters.
    pub fn error(
        &self,
        set: &EvaluationSet<'_>,
        size: usize,
        whole_batches: bool,
        a: &Architecture,
    ) -> f64 {
        let n = set.split.len();
        let used = if whole_batches && n > size {
            n / size * size
        } else {
            n
        };
        let all: Vec<u32> = (0..used as u32).collect();
        let mut rng = set.augment.map(|(_, rng)| rng.clone());
        let wrong: usize = all
            .chunks(size)
            .map(|chunk| {
                let augment = set.augment.map(|(a, _)| a).zip(rng.as_mut());
                self.wrong(&set.split.batch(chunk, set.normalise, augment), a)
            })
            .sum();
        100.0 * wrong as f64 / used.max(1) as f64
    }
}

/// A split to measure on.
pub struct EvaluationSet<'a> {
    pub split: &'a Split,
    pub normalise: &'a Normalise,
    /// Augmentation with the stream it begins with, if any.
    pub augment: Option<(&'a Augment, &'a ChaCha8Rng)>,
}
