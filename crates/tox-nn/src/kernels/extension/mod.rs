//! The kernels as differentiable ops of Burn's `Flex` backend.

mod chain;
mod conv;
mod inputs;
mod norm;
mod pool;
mod product;
mod sink;
mod values;

use super::chain::Block;
use super::conv::Geometry;
use super::norm::Stats;
use super::pool::Pool;
use super::tensor_list::TensorList;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
pub use inputs::MOST_INPUTS;
pub use sink::Sink;

/// The ops that have a kernel. Every tensor is f32 and NCHW; channel vectors are `[c, 1, 1, 1]`.
#[backend_extension(Flex, Autodiff)]
pub trait KernelBackend: Backend {
    /// Convolution.
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, g: Geometry) -> FloatTensor<Self>;
    /// Convolutions in a row, with all weights in order. What the batch norms measure goes into
    /// `sink`, in their order.
    fn chain(
        x: FloatTensor<Self>,
        #[extension_type] weights: TensorList<Self>,
        block: Block,
        eps: f32,
        sink: Sink,
    ) -> FloatTensor<Self>;
    /// The sum of one map or several, batch norm with the batch's statistics, then ReLU if `relu`. What
    /// is measured goes into `sink`.
    fn sum_norm(
        #[extension_type] maps: TensorList<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
        sink: Sink,
    ) -> FloatTensor<Self>;
    /// Batch norm with the given statistics, then ReLU if `relu`.
    fn norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        given: Stats,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self>;
    /// Pooling 3x3, stride 1, padding 1.
    fn pool(x: FloatTensor<Self>, kind: Pool) -> FloatTensor<Self>;
    /// The pixels of a factorised reduction's two paths.
    fn gather(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Product of matrices, or of as many pairs of them as the first of three dimensions says.
    fn product(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl KernelBackend for Flex {
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, g: Geometry) -> FloatTensor<Self> {
        conv::forward(x, weight, g)
    }

    fn chain(
        x: FloatTensor<Self>,
        weights: TensorList<Self>,
        block: Block,
        eps: f32,
        sink: Sink,
    ) -> FloatTensor<Self> {
        chain::forward(x, &weights.0, &block, eps, &sink, false).0
    }

    fn sum_norm(
        maps: TensorList<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
        sink: Sink,
    ) -> FloatTensor<Self> {
        norm::sum_forward(maps.0, gamma, beta, eps, relu, &sink).0
    }

    fn norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        given: Stats,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        norm::given_forward(x, (gamma, beta), &given, eps, relu).0
    }

    fn pool(x: FloatTensor<Self>, kind: Pool) -> FloatTensor<Self> {
        pool::forward(x, kind)
    }

    fn gather(x: FloatTensor<Self>) -> FloatTensor<Self> {
        pool::gather(x)
    }

    fn product(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        product::forward(x, y)
    }
}

impl<C: CheckpointStrategy> KernelBackend for Autodiff<Flex, C> {
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, g: Geometry) -> FloatTensor<Self> {
        conv::tracked::<C>(x, weight, g)
    }

    fn chain(
        x: FloatTensor<Self>,
        weights: TensorList<Self>,
        block: Block,
        eps: f32,
        sink: Sink,
    ) -> FloatTensor<Self> {
        chain::tracked::<C>(x, weights.0, block, eps, &sink)
    }

    fn sum_norm(
        maps: TensorList<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
        sink: Sink,
    ) -> FloatTensor<Self> {
        norm::sum_tracked::<C>(maps.0, gamma, beta, eps, relu, &sink)
    }

    fn norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        given: Stats,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        norm::given_tracked::<C>(x, gamma, beta, &given, eps, relu)
    }

    fn pool(x: FloatTensor<Self>, kind: Pool) -> FloatTensor<Self> {
        pool::tracked::<C>(x, kind)
    }

    fn gather(x: FloatTensor<Self>) -> FloatTensor<Self> {
        pool::gather_tracked::<C>(x)
    }

    fn product(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        product::tracked::<C>(x, y)
    }
}
