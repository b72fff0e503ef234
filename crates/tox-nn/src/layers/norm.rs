//! Batch normalisation and its running statistics.

use super::pass::{Mode, Pass};
use crate::kernels::norm::{self, Sizes};
use crate::ops::{self, BN_EPS, Engine};
use crate::params::ParamId;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};

/// How much of a batch's statistics goes into the running ones, as in PyTorch.
pub const MOMENTUM: f32 = 0.1;

/// Index of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormId(usize);

/// What one pass measured in one batch norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Which batch norm.
    pub norm: NormId,
    /// Values a channel.
    pub count: usize,
    /// The mean of every channel, then the biased variance of every channel.
    pub values: Vec<f32>,
}

/// The batch norms of a network: `running_mean`, `running_var` and `num_batches_tracked`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    norms: Vec<Place>,
    /// Means and variances of all norms: for each the mean of every channel, then the variances.
    pub values: Vec<f32>,
    /// Updates of each norm.
    pub batches: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Place {
    name: String,
    channels: usize,
    start: usize,
}

impl Running {
    /// Adds a norm at mean 0 and variance 1.
    pub(super) fn add(&mut self, name: String, channels: usize) -> NormId {
        self.norms.push(Place {
            name,
            channels,
            start: self.values.len(),
        });
        self.values.extend(vec![0.0; channels]);
        self.values.extend(vec![1.0; channels]);
        self.batches.push(0);
        NormId(self.norms.len() - 1)
    }

    /// The norms in the order in which they were added: dotted name and channels.
    pub fn norms(&self) -> impl Iterator<Item = (NormId, &str, usize)> {
        let norms = self.norms.iter().enumerate();
        norms.map(|(i, place)| (NormId(i), place.name.as_str(), place.channels))
    }

    fn range(&self, id: NormId) -> std::ops::Range<usize> {
        let place = &self.norms[id.0];
        place.start..place.start + 2 * place.channels
    }

    /// Mean and variance of every channel.
    pub fn of(&self, id: NormId) -> (&[f32], &[f32]) {
        self.values[self.range(id)].split_at(self.norms[id.0].channels)
    }

    /// The same, to change.
    pub fn of_mut(&mut self, id: NormId) -> (&mut [f32], &mut [f32]) {
        let range = self.range(id);
        self.values[range].split_at_mut(self.norms[id.0].channels)
    }

    /// Updates of a norm so far, PyTorch's `num_batches_tracked`.
    pub fn batches(&self, id: NormId) -> u64 {
        self.batches[id.0]
    }

    /// The same, to change.
    pub fn batches_mut(&mut self, id: NormId) -> &mut u64 {
        &mut self.batches[id.0]
    }

    /// Moves the running statistics towards those of a pass by [`MOMENTUM`]: the mean as it is, the
    /// variance made unbiased first (`n / (n - 1)`), as PyTorch does. A norm that was passed more
    /// than once is moved as often. With one value a channel, which PyTorch refuses, the variance
    /// moves towards 0.
    pub fn update(&mut self, measured: &[Measured]) {
        for m in measured {
            let unbiased = m.count as f64 / m.count.saturating_sub(1).max(1) as f64;
            let range = self.range(m.norm);
            let means = self.norms[m.norm.0].channels;
            let pairs = self.values[range].iter_mut().zip(&m.values);
            for (i, (running, &new)) in pairs.enumerate() {
                let new = match i < means {
                    true => new,
                    false => (f64::from(new) * unbiased) as f32,
                };
                *running = (1.0 - MOMENTUM) * *running + MOMENTUM * new;
            }
            self.batches[m.norm.0] += 1;
        }
    }
}

/// Batch normalisation, with gamma and beta (`affine`) or without.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    pub(super) affine: Option<(ParamId, ParamId)>,
    pub(super) running: NormId,
}

impl BatchNorm {
    /// Normalises every channel by the statistics that the pass's mode asks for; then ReLU if
    /// `with_relu`.
    pub fn forward(&self, pass: &Pass<'_>, x: Tensor<4>, with_relu: bool) -> Tensor<4> {
        if with_relu && !pass.is_free() {
            return pass.relu(self.forward(pass, x, false));
        }
        let [n, c, h, w] = x.dims();
        let (gamma, beta) = match self.affine {
            Some((gamma, beta)) => (pass.get(gamma), pass.get(beta)),
            None => (
                Tensor::ones([c, 1, 1, 1], pass.device()),
                Tensor::zeros([c, 1, 1, 1], pass.device()),
            ),
        };
        match pass.mode() {
            Mode::Train(_) => {
                let inner = match pass.device().is_autodiff() {
                    true => x.clone().inner(),
                    false => x.clone(),
                };
                pass.measure(self.running, n * h * w, statistics(pass.engine, inner));
                ops::batch_norm(pass.engine, x, gamma, beta, with_relu)
            }
            Mode::Probe => ops::batch_norm(pass.engine, x, gamma, beta, with_relu),
            Mode::Evaluate => {
                let (mean, var) = pass.running().of(self.running);
                let rstd = var.iter().map(|var| 1.0 / (var + BN_EPS).sqrt());
                let channel = |values: Vec<f32>| {
                    Tensor::<4>::from_data(TensorData::new(values, [1, c, 1, 1]), pass.device())
                };
                let scale = gamma.swap_dims(0, 1) * channel(rstd.collect());
                let shift = beta.swap_dims(0, 1) - channel(mean.to_vec()) * scale.clone();
                let y = x * scale + shift;
                if with_relu { relu(y) } else { y }
            }
        }
    }

    /// Gamma and beta.
    pub fn affine(&self) -> Option<(ParamId, ParamId)> {
        self.affine
    }

    /// Which of the running statistics are its own.
    pub fn running(&self) -> NormId {
        self.running
    }
}

/// Mean and biased variance of every channel, `[2, c]`.
fn statistics(engine: Engine, x: Tensor<4>) -> Tensor<2> {
    match engine {
        Engine::Kernels => Tensor::from_dispatch(Dispatch::batch_statistics(x.into_dispatch())),
        Engine::Plain => {
            let c = x.dims()[1];
            let mean = x.clone().mean_dims(&[0, 2, 3]);
            let centred = x - mean.clone();
            let var = (centred.clone() * centred).mean_dims(&[0, 2, 3]);
            Tensor::cat(vec![mean.reshape([1, c]), var.reshape([1, c])], 0)
        }
    }
}

/// The statistics by the batch norm's kernel.
#[backend_extension(Flex)]
pub trait StatisticsBackend: Backend {
    /// Mean and biased variance of every channel of an NCHW map, `[2, c]`; no gradient.
    fn batch_statistics(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl StatisticsBackend for Flex {
    fn batch_statistics(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let layout = x.layout();
        let (shape, start) = (layout.shape(), layout.start_offset());
        let (n, c, plane) = (shape[0], shape[1], shape[2] * shape[3]);
        let values = &x.storage::<f32>()[start..start + layout.num_elements()];
        // Without an epsilon, the variance comes back as it was.
        let stats = norm::statistics(values, Sizes { n, c, plane }, 0.0);
        let means = stats.iter().map(|[mean, _]| *mean);
        let vars = stats.iter().map(|[_, rstd]| {
            let rstd = f64::from(*rstd);
            (1.0 / (rstd * rstd)) as f32
        });
        FlexTensor::from_data(TensorData::new(
            means.chain(vars).collect::<Vec<f32>>(),
            [2, c],
        ))
    }
}
