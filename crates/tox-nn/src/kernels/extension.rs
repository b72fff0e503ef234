//! The kernels as differentiable ops of Burn's `Flex` backend.

use super::conv::{self, Geometry};
use super::norm::{self, Stats};
use super::pool::{self, Pool};
use super::room;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use std::sync::Arc;

/// The ops that have a kernel. Every tensor is f32 and NCHW; channel vectors are `[c, 1, 1, 1]`.
#[backend_extension(Flex, Autodiff)]
pub trait KernelBackend: Backend {
    /// Stride-1 convolution that keeps the map's size.
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, g: Geometry) -> FloatTensor<Self>;
    /// Batch normalisation with the batch's statistics, then ReLU if `relu`.
    fn batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self>;
    /// Pooling 3x3, stride 1, padding 1.
    fn pool(x: FloatTensor<Self>, kind: Pool) -> FloatTensor<Self>;
    /// The pixels of a factorised reduction's two paths.
    fn gather(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// A tensor's values, in order.
struct Values(FlexTensor);

impl Values {
    fn new(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    fn get(&self) -> &[f32] {
        let layout = self.0.layout();
        let start = layout.start_offset();
        &self.0.storage::<f32>()[start..start + layout.num_elements()]
    }
}

fn shape(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

fn tensor(values: Vec<f32>, shape: [usize; 4]) -> FlexTensor {
    debug_assert_eq!(values.len(), shape.iter().product::<usize>());
    FlexTensor::from_data(room::data(values, shape))
}

fn conv_sizes(x: &FlexTensor, weight: &FlexTensor) -> conv::Sizes {
    let ([n, c_in, h, w], [c_out, ..]) = (shape(x), shape(weight));
    conv::Sizes {
        n,
        c_in,
        c_out,
        h,
        w,
    }
}

fn norm_sizes(x: &FlexTensor) -> norm::Sizes {
    let [n, c, h, w] = shape(x);
    norm::Sizes { n, c, plane: h * w }
}

fn norm_forward(
    x: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    eps: f32,
    relu: bool,
) -> (FlexTensor, Stats) {
    let (s, dims) = (norm_sizes(&x), shape(&x));
    let (x, gamma, beta) = (Values::new(x), Values::new(gamma), Values::new(beta));
    let stats = norm::statistics(x.get(), s, eps);
    let out = norm::forward(x.get(), &stats, gamma.get(), beta.get(), relu, s);
    (tensor(out, dims), stats)
}

impl KernelBackend for Flex {
    fn conv(x: FlexTensor, weight: FlexTensor, g: Geometry) -> FlexTensor {
        let s = conv_sizes(&x, &weight);
        let (x, weight) = (Values::new(x), Values::new(weight));
        tensor(
            conv::forward(x.get(), weight.get(), g, s),
            [s.n, s.c_out, s.h, s.w],
        )
    }

    fn batch_norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        eps: f32,
        relu: bool,
    ) -> FlexTensor {
        norm_forward(x, gamma, beta, eps, relu).0
    }

    fn pool(x: FlexTensor, kind: Pool) -> FlexTensor {
        let dims = shape(&x);
        tensor(
            pool::forward(Values::new(x).get(), kind, dims[2], dims[3]),
            dims,
        )
    }

    fn gather(x: FlexTensor) -> FlexTensor {
        let map = shape(&x);
        let (h, w) = pool::halved(map[2], map[3]);
        tensor(
            pool::gather(Values::new(x).get(), map),
            [map[0], 2 * map[1], h, w],
        )
    }
}

#[derive(Debug)]
struct Conv;

impl Backward<Flex, 2> for Conv {
    type State = (FlexTensor, FlexTensor, Geometry);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, weight, g) = ops.state;
        let (s, x_shape, w_shape) = (conv_sizes(&x, &weight), shape(&x), shape(&weight));
        let [x_node, w_node] = ops.parents;
        let (x, weight) = (Values::new(x), Values::new(weight));
        let (dx, dw) = conv::gradients(x.get(), dy.get(), weight.get(), g, s, x_node.is_some());
        if let Some(node) = w_node {
            grads.register::<Flex>(node.id, tensor(dw, w_shape));
        }
        if let Some((node, dx)) = x_node.zip(dx) {
            grads.register::<Flex>(node.id, tensor(dx, x_shape));
        }
    }
}

#[derive(Debug)]
struct BatchNorm;

/// Input, gamma, beta, what the forward pass measured, ReLU.
type NormState = (FlexTensor, FlexTensor, FlexTensor, Arc<Stats>, bool);

impl Backward<Flex, 3> for BatchNorm {
    type State = NormState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, gamma, beta, stats, relu) = ops.state;
        let (s, dims) = (norm_sizes(&x), shape(&x));
        let (x, gamma, beta) = (Values::new(x), Values::new(gamma), Values::new(beta));
        let (dx, dgamma, dbeta) =
            norm::backward(x.get(), dy.get(), &stats, gamma.get(), beta.get(), relu, s);
        let channel = [s.c, 1, 1, 1];
        let all = [(dx, dims), (dgamma, channel), (dbeta, channel)];
        for (node, (gradient, dims)) in ops.parents.into_iter().zip(all) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(gradient, dims));
            }
        }
    }
}

#[derive(Debug)]
struct Pooling;

impl Backward<Flex, 1> for Pooling {
    type State = (FlexTensor, Pool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, kind) = ops.state;
        let [node] = ops.parents;
        if let Some(node) = node {
            let dims = shape(&x);
            let dx = pool::backward(Values::new(x).get(), dy.get(), kind, dims[2], dims[3]);
            grads.register::<Flex>(node.id, tensor(dx, dims));
        }
    }
}

#[derive(Debug)]
struct Gather;

impl Backward<Flex, 1> for Gather {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let [node] = ops.parents;
        if let Some(node) = node {
            grads.register::<Flex>(
                node.id,
                tensor(pool::scatter(dy.get(), ops.state), ops.state),
            );
        }
    }
}

impl<C: CheckpointStrategy> KernelBackend for Autodiff<Flex, C> {
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, g: Geometry) -> FloatTensor<Self> {
        let prep = Conv
            .prepare::<C>([x.node(), weight.node()])
            .compute_bound()
            .stateful();
        let (x, _x) = x.into_parts();
        let (weight, _weight) = weight.into_parts();
        match prep {
            OpsKind::Tracked(prep) => {
                let out = Flex::conv(x.clone(), weight.clone(), g);
                prep.finish((x, weight, g), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::conv(x, weight, g)),
        }
    }

    fn batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let prep = BatchNorm.prepare::<C>(nodes).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let (gamma, _gamma) = gamma.into_parts();
        let (beta, _beta) = beta.into_parts();
        match prep {
            OpsKind::Tracked(prep) => {
                let (out, stats) = norm_forward(x.clone(), gamma.clone(), beta.clone(), eps, relu);
                prep.finish((x, gamma, beta, Arc::new(stats), relu), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(norm_forward(x, gamma, beta, eps, relu).0),
        }
    }

    fn pool(x: FloatTensor<Self>, kind: Pool) -> FloatTensor<Self> {
        let prep = Pooling.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        match prep {
            OpsKind::Tracked(prep) => prep.finish((x.clone(), kind), Flex::pool(x, kind)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::pool(x, kind)),
        }
    }

    fn gather(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prep = Gather.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let map = shape(&x);
        match prep {
            OpsKind::Tracked(prep) => prep.finish(map, Flex::gather(x)),
            OpsKind::UnTracked(prep) => prep.finish(Flex::gather(x)),
        }
    }
}
