//! One pass through a child: its ops, and its batch norms by the batch or by given statistics.

use crate::noise;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tox_data::rng::stream;
use tox_nn::kernels::chain::Link;
use tox_nn::kernels::conv::Geometry;
use tox_nn::kernels::pool::Pool;
use tox_nn::ops::{self, Engine};
use tox_nn::params::{Leaves, ParamId};

/// How a pass treats the ops that differ between training and evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout and noise are on; their random numbers belong to this seed, network and step.
    Train {
        /// Seed of the trial.
        seed: u64,
        /// `search` or `retrain`: two networks must not share their noise.
        network: &'static str,
        /// Child step, from 0.
        step: u64,
    },
    /// Dropout and noise are off; batch norm still uses the batch's statistics.
    Evaluate,
}

/// Batch norm's gamma and beta.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Norm(pub ParamId, pub ParamId);

/// `conv, BN, ReLU`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ConvNorm {
    pub weight: ParamId,
    pub geometry: Geometry,
    pub norm: Norm,
}

/// A convolution, and the batch norm behind it with or without ReLU.
pub(super) type Step = (ParamId, Geometry, Option<(Norm, bool)>);

impl ConvNorm {
    fn step(self) -> Step {
        (self.weight, self.geometry, Some((self.norm, true)))
    }
}

/// The weights of one op in one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Module {
    Conv {
        pre: ConvNorm,
        main: ConvNorm,
    },
    Sep {
        pre: ConvNorm,
        depthwise: ParamId,
        kernel: usize,
        point: ConvNorm,
    },
    Pool {
        pre: ConvNorm,
        kind: Pool,
    },
    Identity,
    Gaussian {
        sigma: f32,
    },
    Dropout {
        p: f32,
    },
    Transposed {
        weight: ParamId,
        relu: bool,
    },
    Mixed {
        pre: ConvNorm,
        main: ConvNorm,
        keep: f32,
        scale: f32,
        sigma: f32,
    },
}

/// Added to variances, as the kernels do.
const EPSILON: f32 = 1e-5;

/// Mean and variance of each channel.
fn moments(x: &Tensor<4>) -> [Vec<f32>; 2] {
    let [n, c, h, w] = x.dims();
    let values = ops::read(x.clone().detach());
    let (area, count) = (h * w, (n * h * w) as f64);
    let channel = |i: usize| {
        let maps = (0..n).map(move |k| (k * c + i) * area);
        maps.flat_map(|at| &values[at..at + area])
            .map(|v| f64::from(*v))
    };
    let means: Vec<f64> = (0..c).map(|i| channel(i).sum::<f64>() / count).collect();
    let variance = |(i, mean): (usize, &f64)| {
        (channel(i).map(|v| (v - mean).powi(2)).sum::<f64>() / count) as f32
    };
    let variances = means.iter().enumerate().map(variance).collect();
    [means.iter().map(|m| *m as f32).collect(), variances]
}

/// Means and variances by channel of the batch norms of a network.
#[derive(Clone, Debug, Default)]
pub struct Statistics(pub(super) BTreeMap<ParamId, [Vec<f32>; 2]>);

/// What batch norms go by.
#[derive(Clone, Copy)]
pub(super) enum Norms<'a> {
    OfBatch,
    /// The batch, which is noted.
    Measured(&'a RefCell<BTreeMap<ParamId, [Vec<f32>; 2]>>),
    Fixed(&'a Statistics),
}

pub(super) struct Pass<'a> {
    pub engine: Engine,
    pub leaves: &'a Leaves<'a>,
    pub mode: Mode,
    pub norms: Norms<'a>,
}

impl Pass<'_> {
    /// A batch norm that is not the batch's own.
    fn norm(&self, x: Tensor<4>, norm: Norm) -> Tensor<4> {
        let [mean, variance] = match self.norms {
            Norms::Fixed(statistics) => statistics.0.get(&norm.0).cloned().unwrap_or_default(),
            Norms::OfBatch => moments(&x),
            Norms::Measured(all) => {
                let found = moments(&x);
                all.borrow_mut().insert(norm.0, found.clone());
                found
            }
        };
        let channels = |values: Vec<f32>| {
            let shape = [1, values.len(), 1, 1];
            Tensor::<4>::from_data(TensorData::new(values, shape), self.leaves.device())
        };
        let deviations = variance.iter().map(|v| (v + EPSILON).sqrt()).collect();
        let shape = [1, mean.len(), 1, 1];
        let [gamma, beta] = [norm.0, norm.1].map(|id| self.leaves.get(id).reshape(shape));
        (x - channels(mean)) / channels(deviations) * gamma + beta
    }

    pub fn sum_norm(&self, maps: Vec<Tensor<4>>, norm: Norm) -> Tensor<4> {
        if !matches!(self.norms, Norms::OfBatch) {
            let sum = maps.into_iter().reduce(|a, b| a + b);
            return self.norm(
                sum.unwrap_or_else(|| unreachable!("a layer has an op")),
                norm,
            );
        }
        let (gamma, beta) = (self.leaves.get(norm.0), self.leaves.get(norm.1));
        ops::sum_norm(self.engine, maps, gamma, beta, false)
    }

    pub fn chain(&self, mut x: Tensor<4>, steps: &[Step]) -> Tensor<4> {
        if !matches!(self.norms, Norms::OfBatch) {
            for &(weight, conv, norm) in steps {
                let link = Link {
                    relu: false,
                    conv,
                    norm: None,
                };
                x = ops::chain(self.engine, x, &[link], vec![self.leaves.get(weight)]);
                if let Some((norm, with_relu)) = norm {
                    x = self.norm(x, norm);
                    x = if with_relu { relu(x) } else { x };
                }
            }
            return x;
        }
        let (mut links, mut weights) = (Vec::new(), Vec::new());
        for &(weight, conv, norm) in steps {
            weights.push(self.leaves.get(weight));
            let norm = norm.map(|(Norm(gamma, beta), with_relu)| {
                weights.extend([gamma, beta].map(|id| self.leaves.get(id)));
                with_relu
            });
            let relu = false;
            links.push(Link { relu, conv, norm });
        }
        ops::chain(self.engine, x, &links, weights)
    }

    pub fn op(&self, x: Tensor<4>, module: Module, layer: usize) -> Tensor<4> {
        match module {
            Module::Conv { pre, main } => self.chain(x, &[pre.step(), main.step()]),
            Module::Sep {
                pre,
                depthwise,
                kernel,
                point,
            } => {
                let g = Geometry::same(kernel).groups(x.dims()[1]);
                self.chain(x, &[pre.step(), (depthwise, g, None), point.step()])
            }
            Module::Pool { pre, kind } => {
                ops::pool(self.engine, self.chain(x, &[pre.step()]), kind)
            }
            Module::Identity => x,
            Module::Gaussian { sigma } => self.gaussian(x, sigma, layer as u64),
            Module::Dropout { p } => self.dropout(x, p, layer as u64),
            Module::Transposed { weight, relu: with } => {
                let y = ops::conv_transposed(self.engine, x, self.leaves.get(weight));
                if with { relu(y) } else { y }
            }
            Module::Mixed {
                pre,
                main,
                keep,
                scale,
                sigma,
            } => {
                let made = self.chain(x.clone(), &[pre.step(), main.step()]);
                self.gaussian(x * keep + made * scale, sigma, layer as u64)
            }
        }
    }

    /// Whether [`Pass::op`] hands on its input itself, not a map of its own.
    pub fn hands_on(&self, module: Module) -> bool {
        match (module, self.mode) {
            (Module::Identity, _) => true,
            (Module::Gaussian { .. } | Module::Dropout { .. }, Mode::Evaluate) => true,
            (Module::Gaussian { sigma }, Mode::Train { .. }) => sigma == 0.0,
            (Module::Dropout { p }, Mode::Train { .. }) => p == 0.0,
            (Module::Conv { .. } | Module::Sep { .. }, _) => false,
            (Module::Pool { .. } | Module::Transposed { .. } | Module::Mixed { .. }, _) => false,
        }
    }

    /// `x + sigma * detach(x) * N(0, 1)` in training.
    fn gaussian(&self, x: Tensor<4>, sigma: f32, layer: u64) -> Tensor<4> {
        match self.rng("noise", layer) {
            Some(mut rng) => noise::gaussian(x, sigma, 1, &mut rng),
            None => x,
        }
    }

    /// Dropout in training.
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, p: f32, layer: u64) -> Tensor<D> {
        match self.rng("dropout", layer) {
            Some(mut rng) => noise::dropout(x, p, 1, &mut rng),
            None => x,
        }
    }

    /// Of what is drawn in training.
    fn rng(&self, what: &str, layer: u64) -> Option<impl Rng + use<>> {
        match self.mode {
            Mode::Train {
                seed,
                network,
                step,
            } => Some(stream(seed, &format!("{what}/{network}"), &[step, layer])),
            Mode::Evaluate => None,
        }
    }
}
