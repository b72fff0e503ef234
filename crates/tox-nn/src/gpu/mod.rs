//! Kernels of ours for GPUs, beside Burn's ops: a max pool with the CPU's (PyTorch's) rule for NaN, which
//! Burn's drops, and batch norm in two launches where compositions take some forty.

pub mod ascent;
mod extension;
mod kernels;
mod launch;

use crate::kernels::norm::Stats;
use crate::kernels::wanted;
use crate::ops::on_device;
use crate::params::{Entry, Params};
use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Int, Tensor, TensorData};
use extension::CubeKernels;
pub use kernels::UNITS;
use std::sync::OnceLock;

/// Whether a device is a GPU.
pub fn is(device: &Device) -> bool {
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Cube(_)
    )
}

/// Whether maps like `x` go to these kernels.
pub fn has<const D: usize>(x: &Tensor<D>) -> bool {
    wanted() && is(&x.device())
}

/// Values between the beginnings of two weights are a multiple of this: no GPU asks for more than 256 bytes.
const ALIGNED: usize = 64;

/// All weights of a model, in one buffer; and those of larger convolutions as these read them, once one asked.
#[derive(Debug)]
pub struct Uploaded {
    flat: Tensor<1>,
    starts: Vec<usize>,
    laid: Vec<OnceLock<Tensor<4>>>,
}

impl Uploaded {
    /// Sends them to a GPU.
    pub fn new(params: &Params, device: &Device) -> Self {
        let (mut values, mut starts) = (Vec::new(), Vec::new());
        for entry in params.entries() {
            starts.push(values.len());
            values.extend_from_slice(&params.values[entry.range()]);
            values.resize(values.len().next_multiple_of(ALIGNED), 0.0);
        }
        let n = values.len();
        let data = TensorData::new(values, [n]);
        Self {
            laid: starts.iter().map(|_| OnceLock::new()).collect(),
            flat: Tensor::from_data(data, &device.clone().inner()),
            starts,
        }
    }

    /// Weight number `i`, without a copy but for the first of a larger convolution's.
    pub fn weight(&self, entry: &Entry, i: usize, device: &Device) -> Tensor<4> {
        let view = || {
            let flat = self.flat.clone().into_dispatch();
            Dispatch::cube_view(flat, self.starts[i], entry.shape)
        };
        let [_, _, rows, columns] = entry.shape;
        let weight = match rows * columns {
            1 => Tensor::from_dispatch(view()),
            _ => {
                let laid = || Tensor::from_dispatch(Dispatch::cube_lay(view()));
                self.laid[i].get_or_init(laid).clone()
            }
        };
        match device.is_autodiff() {
            true => Tensor::from_inner(weight),
            false => weight,
        }
    }
}

/// Max pooling 3x3, stride 1, padding 1, and which value of its window each is, 0 to 8, row by row.
pub fn max_pool(x: Tensor<4>) -> (Tensor<4>, Tensor<4, Int>) {
    let (y, winners) = Dispatch::cube_max_pool(x.into_dispatch());
    (Tensor::from_dispatch(y), Tensor::from_dispatch(winners))
}

/// Of every 3x3 window the value that `winners`, of [`max_pool`], names.
pub fn pick(x: Tensor<4>, winners: Tensor<4, Int>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::cube_pick(
        x.into_dispatch(),
        winners.into_dispatch(),
    ))
}

/// The pixels of a factorised reduction, see [`crate::ops::gather`].
pub fn gather(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::cube_gather(x.into_dispatch()))
}

/// Maps averaged over pixels, `[n, c]`.
pub fn average(x: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::cube_average(x.into_dispatch()))
}

/// Batch norm with given means and variances, then ReLU if `relu`.
pub fn norm_given(
    x: Tensor<4>,
    (gamma, beta): (Tensor<4>, Tensor<4>),
    given: &Stats,
    eps: f32,
    relu: bool,
) -> Tensor<4> {
    let stats = on_device(given, &x.device());
    let [x, gamma, beta] = [x, gamma, beta].map(Tensor::into_dispatch);
    let y = Dispatch::cube_norm_given(x, gamma, beta, stats.into_dispatch(), eps, relu);
    Tensor::from_dispatch(y)
}

/// Batch norm with the batch's statistics, then ReLU if `relu`; and mean and biased variance of every
/// channel, `[2, c]`, without gradients.
pub fn norm(
    x: Tensor<4>,
    gamma: Tensor<4>,
    beta: Tensor<4>,
    eps: f32,
    relu: bool,
) -> (Tensor<4>, Tensor<2>) {
    let [x, gamma, beta] = [x, gamma, beta].map(Tensor::into_dispatch);
    let (y, stats) = Dispatch::cube_norm(x, gamma, beta, eps, relu);
    let stats = Tensor::<2>::from_dispatch(stats);
    let stats = match stats.device().is_autodiff() {
        true => stats.inner(),
        false => stats,
    };
    (Tensor::from_dispatch(y), stats)
}
