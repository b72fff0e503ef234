//! SGD and Adam over flat host buffers, global-norm clipping, learning rates along the epochs.

use crate::kernels::update::{Momentum, momentum, square_sum};
use crate::params::{ParamId, Params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Gradients of the weights that a step used.
pub type Gradients = [(ParamId, Vec<f32>)];

/// The global L2 norm, in f32 as PyTorch's `clip_grad_norm_`: the norm of the norms. It is
/// infinite when a square overflows although every entry is finite, NaN when an entry is.
pub fn global_norm(gradients: &Gradients) -> f32 {
    let norms: Vec<f32> = gradients
        .iter()
        .map(|(_, g)| square_sum(g).sqrt())
        .collect();
    norms.iter().map(|n| n * n).sum::<f32>().sqrt()
}

/// What clipping at `limit` multiplies a gradient of this norm with. NaN stays NaN, as in PyTorch 1.10
/// and later (before, it left the gradient as it was); an infinite norm gives 0.
pub fn clip_scale(norm: f32, limit: f32) -> f32 {
    let scale = limit / (norm + 1e-6);
    if scale > 1.0 { 1.0 } else { scale }
}

/// SGD with momentum and L2 penalty, as PyTorch's.
#[derive(Clone, Debug)]
pub struct Sgd {
    pub momentum: f32,
    /// Whether it is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty.
    pub decay: f32,
    /// Whether weights that a step did not use, but an earlier one did, go on with momentum and
    /// penalty (see `Idle` in the ENAS config).
    pub idle_decay: bool,
    /// One value a weight.
    pub velocity: Vec<f32>,
    /// Which weights ever had a gradient.
    pub touched: Vec<bool>,
}

impl Sgd {
    /// At rest, with Nesterov momentum.
    pub fn new(params: &Params, momentum: f32, decay: f32, idle_decay: bool) -> Self {
        let velocity = vec![0.0; params.values.len()];
        Self {
            momentum,
            nesterov: true,
            decay,
            idle_decay,
            velocity,
            touched: vec![false; params.entries().len()],
        }
    }

    /// One step with learning rate `lr`; gradients are multiplied with `scale` first.
    pub fn step(&mut self, params: &mut Params, gradients: &Gradients, lr: f32, scale: f32) {
        let step = Momentum {
            lr,
            momentum: self.momentum,
            nesterov: self.nesterov,
            decay: self.decay,
            scale,
        };
        let mut given = gradients.iter().peekable();
        for (i, id) in params.ids().enumerate() {
            let gradient = given
                .next_if(|(used, _)| *used == id)
                .map(|(_, g)| g.as_slice());
            self.touched[i] |= gradient.is_some();
            if gradient.is_some() || (self.idle_decay && self.touched[i]) {
                let range = params.entry(id).range();
                let velocity = &mut self.velocity[range.clone()];
                momentum(&mut params.values[range], velocity, gradient, step);
            }
        }
    }
}

/// Adam with L2 penalty, as PyTorch's.
#[derive(Clone, Debug)]
pub struct Adam {
    /// L2 penalty: this share of a weight is added to its gradient (not AdamW's decay of the weight).
    pub decay: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Steps so far.
    pub steps: u32,
    /// First moments, one a weight.
    pub first: Vec<f32>,
    /// Second moments, one a weight.
    pub second: Vec<f32>,
}

impl Adam {
    /// At rest, without penalty.
    pub fn new(params: &Params, beta1: f32, beta2: f32, eps: f32) -> Self {
        let zeros = vec![0.0; params.values.len()];
        Self {
            decay: 0.0,
            beta1,
            beta2,
            eps,
            steps: 0,
            first: zeros.clone(),
            second: zeros,
        }
    }

    /// One step with learning rate `lr`; gradients are multiplied with `scale` first.
    pub fn step(&mut self, params: &mut Params, gradients: &Gradients, lr: f32, scale: f32) {
        self.steps += 1;
        let correct1 = 1.0 - f64::from(self.beta1).powi(self.steps as i32);
        let correct2 = 1.0 - f64::from(self.beta2).powi(self.steps as i32);
        let rate = (f64::from(lr) / correct1) as f32;
        let root = correct2.sqrt() as f32;
        for (id, gradient) in gradients {
            for (i, g) in params.entry(*id).range().zip(gradient) {
                let g = g * scale + self.decay * params.values[i];
                self.first[i] = self.beta1 * self.first[i] + (1.0 - self.beta1) * g;
                self.second[i] = self.beta2 * self.second[i] + (1.0 - self.beta2) * g * g;
                let denominator = self.second[i].sqrt() / root + self.eps;
                params.values[i] -= rate * self.first[i] / denominator;
            }
        }
    }
}

/// Cosine annealing without restart (PyTorch's `CosineAnnealingLR` in closed form): from `max` at
/// epoch 0 to `min` at `half_period`, then back up.
pub fn cosine(epoch: usize, max: f64, min: f64, half_period: usize) -> f64 {
    let phase = std::f64::consts::PI * epoch as f64 / half_period as f64;
    min + (max - min) * (1.0 + phase.cos()) / 2.0
}

/// How the learning rate falls along a training, epoch by epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Along half a [`cosine`].
    Cosine {
        /// Learning rate that it would reach after the last epoch, at most that of the first.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        min: f64,
    },
    /// Multiplied by a factor at some epochs (PyTorch's `MultiStepLR`).
    Steps {
        /// At which shares of the epochs, rounded to a whole epoch: 0.75 of 100 is the
        /// epoch that comes after 75 others.
        #[schemars(inner(range(min = 0.0, max = 1.0)))]
        at: Vec<f64>,
        /// What it is multiplied with each time.
        #[schemars(range(min = 1e-12, max = 1.0))]
        factor: f64,
    },
}

impl Schedule {
    /// Learning rate of `epoch`, from 0, of `epochs`, where that of the first is `max`.
    pub fn lr(&self, max: f64, epoch: usize, epochs: usize) -> f64 {
        match self {
            Self::Cosine { min } => cosine(epoch, max, *min, epochs),
            Self::Steps { at, factor } => {
                let reached = |share: &&f64| epoch as f64 >= (*share * epochs as f64).round();
                max * factor.powi(at.iter().filter(reached).count() as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> (Params, ParamId) {
        let mut params = Params::default();
        let id = params.add("w".into(), [1, 1, 1, 1], vec![value]);
        (params, id)
    }

    #[test]
    fn clipping_follows_ieee() {
        assert_eq!(clip_scale(2.0, 5.0), 1.0);
        assert!((clip_scale(10.0, 5.0) - 0.5).abs() < 1e-6);
        assert_eq!(clip_scale(f32::INFINITY, 5.0), 0.0);
        assert!(clip_scale(f32::NAN, 5.0).is_nan());
    }

    #[test]
    fn the_norm_overflows_where_f32_does() {
        let (_, id) = one(0.0);
        assert_eq!(global_norm(&[(id, vec![3.0, 4.0])]), 5.0);
        assert_eq!(global_norm(&[(id, vec![1e20, 1.0])]), f32::INFINITY);
        assert!(global_norm(&[(id, vec![f32::NAN, 1.0])]).is_nan());
    }

    #[test]
    fn nesterov_by_hand() {
        let (mut params, id) = one(1.0);
        let mut sgd = Sgd::new(&params, 0.9, 0.1, true);
        sgd.step(&mut params, &[(id, vec![2.0])], 0.5, 0.5);
        // g = 0.5 * 2 + 0.1 * 1 = 1.1, v = 1.1, w = 1 - 0.5 (1.1 + 0.9 * 1.1) = -0.045
        assert!((params.values[0] + 0.045).abs() < 1e-6);
        sgd.step(&mut params, &[], 0.5, 1.0);
        // idle: g = 0.1 * -0.045 = -0.0045, v = 0.9855, w = -0.045 - 0.5 (-0.0045 + 0.88695)
        assert!((params.values[0] + 0.486225).abs() < 1e-6);
        let before = params.values[0];
        sgd.idle_decay = false;
        sgd.step(&mut params, &[], 0.5, 1.0);
        assert_eq!(params.values[0], before);
    }

    #[test]
    fn plain_momentum_by_hand() {
        let (mut params, id) = one(1.0);
        let mut sgd = Sgd::new(&params, 0.9, 0.1, true);
        sgd.nesterov = false;
        sgd.step(&mut params, &[(id, vec![2.0])], 0.5, 0.5);
        // g = 0.5 * 2 + 0.1 * 1 = 1.1, v = 1.1, w = 1 - 0.5 * 1.1 = 0.45
        assert!((params.values[0] - 0.45).abs() < 1e-6);
        sgd.step(&mut params, &[(id, vec![-1.0])], 0.5, 1.0);
        // g = -1 + 0.1 * 0.45 = -0.955, v = 0.99 - 0.955 = 0.035, w = 0.45 - 0.5 * 0.035
        assert!((params.values[0] - 0.4325).abs() < 1e-6);
    }

    #[test]
    fn a_nan_scale_reaches_every_weight_that_was_ever_used() {
        let mut params = Params::default();
        let ids: Vec<_> = (0..3)
            .map(|i| params.add(format!("w{i}"), [1; 4], vec![1.0]))
            .collect();
        let mut sgd = Sgd::new(&params, 0.9, 0.0, true);
        sgd.step(&mut params, &[(ids[0], vec![1.0])], 0.1, 1.0);
        sgd.step(&mut params, &[(ids[1], vec![1.0])], 0.1, f32::NAN);
        assert!(params.values[0].is_nan() && params.values[1].is_nan());
        assert_eq!(params.values[2], 1.0, "never used");
    }

    #[test]
    fn adam_moves_by_lr_at_first() {
        let (mut params, id) = one(1.0);
        let mut adam = Adam::new(&params, 0.0, 0.999, 1e-3);
        adam.step(&mut params, &[(id, vec![-4.0])], 1e-3, 1.0);
        // m = -4, sqrt(v / (1 - 0.999)) = 4
        assert!((params.values[0] - (1.0 + 1e-3 * 4.0 / 4.001)).abs() < 1e-7);
    }

    #[test]
    fn adams_penalty_is_a_part_of_the_gradient() {
        let (mut params, id) = one(2.0);
        let mut adam = Adam::new(&params, 0.5, 0.75, 1e-8);
        adam.decay = 0.5;
        adam.step(&mut params, &[(id, vec![6.0])], 0.1, 0.5);
        // g = 0.5 * 6 + 0.5 * 2 = 4; the first step is lr in g's direction
        assert!((params.values[0] - 1.9).abs() < 1e-6);
        adam.step(&mut params, &[(id, vec![0.0])], 0.1, 1.0);
        // g = 0.95, m = (0.25 * 4 + 0.5 * 0.95) / 0.75, v = (0.1875 * 16 + 0.25 * 0.9025) / 0.4375
        let (m, v): (f32, f32) = (1.475 / 0.75, 3.225625 / 0.4375);
        assert!((params.values[0] - (1.9 - 0.1 * m / v.sqrt())).abs() < 1e-6);
    }

    #[test]
    fn cosine_comes_back_up() {
        let lr = |epoch| cosine(epoch, 0.05, 0.0005, 10);
        assert!((lr(0) - 0.05).abs() < 1e-12 && (lr(10) - 0.0005).abs() < 1e-12);
        assert!((lr(5) - 0.02525).abs() < 1e-12 && (lr(20) - 0.05).abs() < 1e-12);
        assert!((lr(13) - lr(7)).abs() < 1e-12);
    }

    #[test]
    fn steps_come_at_whole_epochs() {
        let steps = Schedule::Steps {
            at: vec![0.75, 0.9],
            factor: 0.1,
        };
        let rates = [(0, 0.1), (74, 0.1), (75, 0.01), (89, 0.01), (90, 0.001)];
        for (epoch, expected) in rates {
            let found = steps.lr(0.1, epoch, 100);
            assert!((found - expected).abs() < 1e-15, "{epoch}: {found}");
        }
        // 7.5 of 10 epochs are rounded up, 2.25 of 3 down.
        assert_eq!([7, 8].map(|e| steps.lr(1.0, e, 10)), [1.0, 0.1]);
        assert_eq!([1, 2].map(|e| steps.lr(1.0, e, 3)), [1.0, 0.1]);
        let cosine = Schedule::Cosine { min: 0.0 };
        assert!((cosine.lr(0.1, 50, 100) - 0.05).abs() < 1e-15);
    }
}
