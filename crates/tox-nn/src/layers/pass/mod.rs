//! One pass through a network: which numbers it uses, how batch norm and dropout act, what it
//! leaves behind.

mod choices;
mod probes;

use super::running::{Measured, NormId, Running};
use super::state::State;
use crate::ops::Engine;
use crate::params::{Leaves, OfWeights, ParamId, Resident, executed};
use burn::tensor::{Device, Gradients, Tensor, TensorData, Transaction};
pub use choices::Choices;
use choices::Chooser;
use probes::Probes;
pub use probes::Sensitivity;
use rand::RngExt;
use std::cell::RefCell;
use tox_data::rng::stream;

/// The random streams of a training step: no two steps or networks share a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws<'a> {
    /// Seed of the trial.
    pub seed: u64,
    /// Which network, such as `search`.
    pub network: &'a str,
    /// Training step, from 0.
    pub step: u64,
}

/// How a pass treats the layers that differ between training and evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode<'a> {
    /// PyTorch's `train()`: batch norm uses the batch's statistics, which are measured for the
    /// running ones; dropout is on.
    Train(Draws<'a>),
    /// Batch norm uses the batch's statistics and measures nothing; dropout is off. For scores
    /// that are taken of a network that is not trained.
    Probe,
    /// PyTorch's `eval()`: batch norm uses the running statistics; dropout is off.
    Evaluate,
}

/// Which values are kept, by purpose and place; `None` to draw them.
pub type Masks<'a> = dyn Fn(&str, u64) -> Option<Vec<bool>> + 'a;

/// A pass.
pub struct Pass<'a> {
    /// Kernels or plain ops; what the device allows unless it is changed before the first layer.
    pub engine: Engine,
    /// In place of what dropout (`dropout`) and drop-path (`drop-path`) draw at a place: which
    /// values are kept. To compare with other code, draw for draw.
    pub masks: Option<&'a Masks<'a>>,
    leaves: Leaves<'a>,
    running: &'a Running,
    mode: Mode<'a>,
    chooser: Chooser<'a>,
    measured: RefCell<Vec<(NormId, usize, Tensor<2>)>>,
    /// Of every output, if they are probed.
    probes: Option<Probes>,
}

/// What a training pass leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Backward {
    /// Gradients of the weights that the pass used, in order.
    pub gradients: OfWeights,
    /// Statistics for [`Running::update`].
    pub measured: Vec<Measured>,
}

impl<'a> Pass<'a> {
    /// A pass on `device` with the numbers of `state`; gradients are recorded if it is an
    /// autodiff device.
    pub fn new(state: &'a State, device: &'a Device, mode: Mode<'a>) -> Self {
        Self {
            engine: Engine::on(device),
            masks: None,
            leaves: Leaves::new(&state.params, device),
            running: &state.running,
            mode,
            chooser: Chooser::Free,
            measured: RefCell::default(),
            probes: None,
        }
    }

    /// As [`Pass::new`], but without gradients of the weights: what asks for those of something else
    /// alone need not go further back than that.
    pub fn fixed(state: &'a State, device: &'a Device, mode: Mode<'a>) -> Self {
        Self {
            leaves: Leaves::fixed(&state.params, device),
            ..Self::new(state, device, mode)
        }
    }

    /// This pass, which has seen no layer yet, with weights that stay on a GPU between the passes that share
    /// `resident`.
    pub fn resident(mut self, resident: &'a Resident) -> Self {
        self.leaves = self.leaves.resident(resident);
        self
    }

    /// The device.
    pub fn device(&self) -> &Device {
        self.leaves.device()
    }

    /// The mode.
    pub fn mode(&self) -> Mode<'a> {
        self.mode
    }

    /// The weights on the device.
    pub fn leaves(&self) -> &Leaves<'a> {
        &self.leaves
    }

    /// A weight as a tensor of four dimensions.
    pub fn get(&self, id: ParamId) -> Tensor<4> {
        self.leaves.get(id)
    }

    /// The gradients of the weights that the pass used, and the statistics that it measured.
    pub fn finish(self, mut gradients: Gradients) -> Backward {
        self.take(&mut gradients)
    }

    /// As [`Pass::finish`], and leaves all other gradients where they are.
    pub fn take(self, gradients: &mut Gradients) -> Backward {
        let measured = read(self.measured.into_inner());
        Backward {
            gradients: self.leaves.take(gradients),
            measured,
        }
    }

    /// As [`Pass::finish`], with the values of other tensors, such as the loss: all in one read.
    pub fn finish_with<const N: usize>(
        self,
        mut gradients: Gradients,
        others: [Tensor<1>; N],
    ) -> (Backward, [Vec<f32>; N]) {
        let (norms, statistics) = apart(self.measured.into_inner());
        let (ids, found) = self.leaves.found(&mut gradients);
        let mut read = others
            .into_iter()
            .fold(Transaction::default(), Transaction::register);
        read = statistics.into_iter().fold(read, Transaction::register);
        read = found.into_iter().fold(read, Transaction::register);
        let mut values = executed(read);
        let others = std::array::from_fn(|_| values.next().unwrap_or_default());
        let backward = Backward {
            measured: together(norms, &mut values),
            gradients: ids.into_iter().zip(values).collect(),
        };
        (backward, others)
    }

    /// As [`Pass::finish_with`], of a pass whose statistics nobody wants.
    pub fn gradients_with<const N: usize>(
        self,
        gradients: Gradients,
        others: [Tensor<1>; N],
    ) -> (OfWeights, [Vec<f32>; N]) {
        self.leaves.gradients_with(gradients, others)
    }

    /// The statistics alone, of a pass without gradients.
    pub fn measured(self) -> Vec<Measured> {
        read(self.measured.into_inner())
    }

    /// Dropout as PyTorch's, value by value; `place` tells this layer's draws from those of others.
    /// `p = 1` multiplies with zero, so NaN stays NaN.
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, p: f32, place: u64) -> Tensor<D> {
        let shape = x.dims();
        self.drop(x, shape, p, ("dropout", place))
    }

    /// Drop-path (stochastic depth): dropout of whole images.
    pub fn drop_path(&self, x: Tensor<4>, p: f32, place: u64) -> Tensor<4> {
        let shape = [x.dims()[0], 1, 1, 1];
        self.drop(x, shape, p, ("drop-path", place))
    }

    fn drop<const D: usize>(
        &self,
        x: Tensor<D>,
        shape: [usize; D],
        p: f32,
        (purpose, place): (&str, u64),
    ) -> Tensor<D> {
        let Mode::Train(draws) = self.mode else {
            return x;
        };
        if p <= 0.0 {
            return x;
        }
        if p >= 1.0 {
            return x * 0.0;
        }
        let keep = 1.0 / (1.0 - p);
        let kept = self.masks.and_then(|masks| masks(purpose, place));
        let kept = kept.unwrap_or_else(|| {
            let purpose = format!("{purpose}/{}", draws.network);
            let mut rng = stream(draws.seed, &purpose, &[draws.step, place]);
            let count = shape.iter().product();
            (0..count).map(|_| rng.random::<f32>() >= p).collect()
        });
        let values: Vec<f32> = kept.iter().map(|k| if *k { keep } else { 0.0 }).collect();
        x * Tensor::from_data(TensorData::new(values, shape), self.device())
    }

    pub(super) fn running(&self) -> &Running {
        self.running
    }

    /// Keeps `[mean, variance]` of a batch norm that saw `count` values a channel.
    pub(super) fn measure(&self, norm: NormId, count: usize, statistics: Tensor<2>) {
        self.measured.borrow_mut().push((norm, count, statistics));
    }
}

/// Statistics that are still on the device, and whose they are.
type Kept = (Vec<(NormId, usize)>, Vec<Tensor<2>>);

fn apart(kept: Vec<(NormId, usize, Tensor<2>)>) -> Kept {
    let kept = kept.into_iter();
    kept.map(|(norm, count, statistics)| ((norm, count), statistics))
        .unzip()
}

/// Statistics on the host: the next of `values`.
fn together(
    norms: Vec<(NormId, usize)>,
    values: &mut impl Iterator<Item = Vec<f32>>,
) -> Vec<Measured> {
    let measured = |((norm, count), values)| Measured {
        norm,
        count,
        values,
    };
    norms.into_iter().zip(values).map(measured).collect()
}

/// Brings all statistics to the host at once.
fn read(kept: Vec<(NormId, usize, Tensor<2>)>) -> Vec<Measured> {
    let (norms, statistics) = apart(kept);
    let read = statistics
        .into_iter()
        .fold(Transaction::default(), Transaction::register);
    together(norms, &mut executed(read))
}
