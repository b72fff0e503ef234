//! The kernels as differentiable ops of Burn's `Flex` backend.

use super::chain::{self, Block, Kept};
use super::conv::{self, Geometry, Wanted};
use super::list::List;
use super::norm::{self, Channel, Stats, Totals};
use super::par_chunks;
use super::pool::{self, Pool};
use super::product::{self, Matrix};
use super::room;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use std::sync::{Arc, Mutex, PoisonError};

/// The ops that have a kernel. Every tensor is f32 and NCHW; channel vectors are `[c, 1, 1, 1]`.
#[backend_extension(Flex, Autodiff)]
pub trait KernelBackend: Backend {
    /// Convolution.
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, g: Geometry) -> FloatTensor<Self>;
    /// Convolutions in a row, with all weights in order. What the batch norms measure goes into
    /// `sink`, in their order.
    fn chain(
        x: FloatTensor<Self>,
        #[extension_type] weights: List<Self>,
        block: Block,
        eps: f32,
        sink: Sink,
    ) -> FloatTensor<Self>;
    /// The sum of one map or several, batch norm with the batch's statistics, then ReLU if `relu`. What
    /// is measured goes into `sink`.
    fn sum_norm(
        #[extension_type] maps: List<Self>,
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

/// Where an op leaves the statistics that it measured, which no gradient goes through: Burn's ops give
/// back tensors alone.
#[derive(Clone, Debug, Default)]
pub struct Sink(Arc<Mutex<Vec<Stats>>>);

impl Sink {
    fn put(&self, stats: impl IntoIterator<Item = Stats>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(stats);
    }

    /// What has been measured since it was last asked for.
    pub fn take(&self) -> Vec<Stats> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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

/// The matrices in a tensor, in whatever order they lie in memory.
struct Matrices {
    values: FlexTensor,
    count: usize,
    size: [usize; 2],
}

impl Matrices {
    fn new(tensor: FlexTensor) -> Self {
        let forward = tensor.layout().strides().iter().all(|stride| *stride >= 0);
        let values = if forward {
            tensor
        } else {
            tensor.to_contiguous()
        };
        let (count, size) = match values.layout().shape()[..] {
            [rows, columns] => (1, [rows, columns]),
            [count, rows, columns] => (count, [rows, columns]),
            _ => unreachable!("products are of matrices"),
        };
        Self {
            values,
            count,
            size,
        }
    }

    fn at(&self, i: usize) -> Matrix<'_> {
        let layout = self.values.layout();
        let mut strides = layout.strides().iter().rev().map(|stride| *stride as usize);
        let mut next = || strides.next().unwrap_or_default();
        let (right, down, batch) = (next(), next(), next());
        Matrix {
            values: &self.values.storage::<f32>()[layout.start_offset() + i * batch..],
            size: self.size,
            strides: [down, right],
        }
    }
}

/// The product of each pair, its sides turned before if they are to be.
fn products(x: &Matrices, y: &Matrices, turned: [bool; 2]) -> FlexTensor {
    let side = |of: &Matrices, turned: bool| {
        let [rows, columns] = of.size;
        if turned { [columns, rows] } else { of.size }
    };
    let ([m, k], [_, n]) = (side(x, turned[0]), side(y, turned[1]));
    assert_eq!(x.count, y.count, "pairs of matrices");
    let mut out = vec![0.0; x.count * m * n];
    par_chunks(
        &mut out,
        m * n,
        x.count * product::work(m, k, n),
        |i, out| {
            product::product(x.at(i).turned(turned[0]), y.at(i).turned(turned[1]), out);
        },
    );
    let shape = match x.values.layout().shape().len() {
        2 => vec![m, n],
        _ => vec![x.count, m, n],
    };
    FlexTensor::from_data(TensorData::new(out, shape))
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

/// Of every convolution of a block.
fn chain_sizes(x: &FlexTensor, weights: &[FlexTensor], block: &Block) -> Vec<conv::Sizes> {
    block.sizes(shape(x), |weight| shape(&weights[weight])[0])
}

fn chain_forward(
    x: FlexTensor,
    weights: &[FlexTensor],
    block: &Block,
    eps: f32,
    sink: &Sink,
    keep: bool,
) -> (FlexTensor, Kept) {
    let sizes = chain_sizes(&x, weights, block);
    let weights: Vec<Values> = weights.iter().cloned().map(Values::new).collect();
    let slices: Vec<&[f32]> = weights.iter().map(Values::get).collect();
    let values = Values::new(x.clone());
    let (out, mut kept) = chain::forward(values.get(), block, &sizes, &slices, eps, keep);
    sink.put(std::mem::take(&mut kept.measured));
    let dims = block.links.iter().zip(&sizes).next_back().map(|(link, s)| {
        let (h, w) = s.out(link.conv);
        [s.n, s.c_out, h, w]
    });
    (tensor(out, dims.unwrap_or_else(|| shape(&x))), kept)
}

fn norm_sizes(x: &FlexTensor) -> norm::Sizes {
    let [n, c, h, w] = shape(x);
    norm::Sizes { n, c, plane: h * w }
}

/// The output, the input of the batch norm and its channels.
fn norm_forward(
    mut maps: Vec<FlexTensor>,
    gamma: FlexTensor,
    beta: FlexTensor,
    eps: f32,
    relu: bool,
    sink: &Sink,
) -> (FlexTensor, FlexTensor, Vec<Channel>) {
    let (gamma, beta) = (Values::new(gamma), Values::new(beta));
    let (s, dims) = (norm_sizes(&maps[0]), shape(&maps[0]));
    let (x, stats) = if maps.len() == 1 {
        let x = Values::new(maps.remove(0));
        let stats = norm::statistics(x.get(), s);
        (x, stats)
    } else {
        let maps: Vec<Values> = maps.into_iter().map(Values::new).collect();
        let slices: Vec<&[f32]> = maps.iter().map(Values::get).collect();
        let (sum, moments) = norm::sum(&slices, s);
        (Values(tensor(sum, dims)), norm::join(&moments, s))
    };
    let channels = Channel::all(&stats, gamma.get(), beta.get(), eps, relu);
    sink.put([stats]);
    let out = tensor(norm::forward(x.get(), &channels, s), dims);
    (out, x.0, channels)
}

/// The output and the channels of a batch norm with given statistics.
fn given_norm(
    x: FlexTensor,
    (gamma, beta): (FlexTensor, FlexTensor),
    given: &Stats,
    eps: f32,
    relu: bool,
) -> (FlexTensor, Vec<Channel>) {
    let (x, gamma, beta) = (Values::new(x), Values::new(gamma), Values::new(beta));
    let (s, dims) = (norm_sizes(&x.0), shape(&x.0));
    let channels = Channel::all(given, gamma.get(), beta.get(), eps, relu);
    let out = norm::forward(x.get(), &channels, s);
    (tensor(out, dims), channels)
}

impl KernelBackend for Flex {
    fn conv(x: FlexTensor, weight: FlexTensor, g: Geometry) -> FlexTensor {
        let s = conv_sizes(&x, &weight);
        let (x, weight) = (Values::new(x), Values::new(weight));
        let (out, _) = conv::forward(x.get().into(), weight.get(), g, s, (None, false));
        let (h, w) = s.out(g);
        tensor(out, [s.n, s.c_out, h, w])
    }

    fn chain(x: FlexTensor, weights: List<Self>, block: Block, eps: f32, sink: Sink) -> FlexTensor {
        chain_forward(x, &weights.0, &block, eps, &sink, false).0
    }

    fn sum_norm(
        maps: List<Self>,
        gamma: FlexTensor,
        beta: FlexTensor,
        eps: f32,
        relu: bool,
        sink: Sink,
    ) -> FlexTensor {
        norm_forward(maps.0, gamma, beta, eps, relu, &sink).0
    }

    fn norm(
        x: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        given: Stats,
        eps: f32,
        relu: bool,
    ) -> FlexTensor {
        given_norm(x, (gamma, beta), &given, eps, relu).0
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

    fn product(x: FlexTensor, y: FlexTensor) -> FlexTensor {
        products(&Matrices::new(x), &Matrices::new(y), [false, false])
    }
}

#[derive(Debug)]
struct Product;

impl Backward<Flex, 2> for Product {
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Matrices::new(grads.consume::<Flex>(&ops.node));
        let (x, y) = (Matrices::new(ops.state.0), Matrices::new(ops.state.1));
        let [x_node, y_node] = ops.parents;
        if let Some(node) = x_node {
            grads.register::<Flex>(node.id, products(&dy, &y, [false, true]));
        }
        if let Some(node) = y_node {
            grads.register::<Flex>(node.id, products(&x, &dy, [true, false]));
        }
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
        let (x, dy) = (x.get().into(), dy.get().into());
        let wanted = Wanted {
            input: x_node.is_some(),
            weight: w_node.is_some(),
            sums: false,
            plus: None,
        };
        let made = conv::gradients(x, dy, weight.get(), g, s, wanted);
        if let Some(node) = w_node {
            grads.register::<Flex>(node.id, tensor(made.weight, w_shape));
        }
        if let Some((node, dx)) = x_node.zip(made.input) {
            grads.register::<Flex>(node.id, tensor(dx, x_shape));
        }
    }
}

#[derive(Debug)]
struct Chain;

/// Input, weights, the block, what the forward pass kept.
type ChainState = (FlexTensor, Vec<FlexTensor>, Block, Arc<Kept>);

impl<const N: usize> Backward<Flex, N> for Chain {
    type State = ChainState;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, weights, block, kept) = ops.state;
        let (sizes, x_shape) = (chain_sizes(&x, &weights, &block), shape(&x));
        let shapes: Vec<[usize; 4]> = weights.iter().map(shape).collect();
        let x = Values::new(x);
        let weights: Vec<Values> = weights.into_iter().map(Values::new).collect();
        let slices: Vec<&[f32]> = weights.iter().map(Values::get).collect();
        let mut nodes = ops.parents.into_iter();
        let x_node = nodes.next().flatten();
        let nodes: Vec<_> = nodes.collect();
        let wanted = (x_node.is_some(), nodes.iter().any(Option::is_some));
        let (dx, gradients) =
            chain::backward(x.get(), &block, &sizes, &slices, &kept, dy.get(), wanted);
        for ((node, gradient), dims) in nodes.into_iter().zip(gradients).zip(shapes) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(gradient, dims));
            }
        }
        if let Some((node, dx)) = x_node.zip(dx) {
            grads.register::<Flex>(node.id, tensor(dx, x_shape));
        }
    }
}

#[derive(Debug)]
struct SumNorm;

/// The batch norm's input, and its channels.
type NormState = (FlexTensor, Arc<Vec<Channel>>);

impl<const N: usize> Backward<Flex, N> for SumNorm {
    type State = NormState;

    /// Parents: gamma, beta, and the maps.
    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, channels) = ops.state;
        let (s, dims) = (norm_sizes(&x), shape(&x));
        let x = Values::new(x);
        let totals = norm::totals(x.get(), dy.get(), &channels, s);
        let mut nodes = ops.parents.into_iter();
        let dx = norm::backward(x.get(), dy.get(), &channels, &totals, s, None);
        for gradient in [totals.gamma, totals.beta] {
            if let Some(node) = nodes.next().flatten() {
                grads.register::<Flex>(node.id, tensor(gradient, [s.c, 1, 1, 1]));
            }
        }
        let dx = tensor(dx, dims);
        for node in nodes.flatten() {
            grads.register::<Flex>(node.id, dx.clone());
        }
    }
}

#[derive(Debug)]
struct GivenNorm;

impl Backward<Flex, 3> for GivenNorm {
    type State = NormState;

    /// Parents: the map, gamma, beta.
    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, channels) = ops.state;
        let (s, dims) = (norm_sizes(&x), shape(&x));
        let x = Values::new(x);
        let [x_node, gamma, beta] = ops.parents;
        let totals = match gamma.is_some() || beta.is_some() {
            true => norm::totals(x.get(), dy.get(), &channels, s).given(),
            false => Totals::none(s.c),
        };
        if let Some(node) = x_node {
            let dx = norm::backward(x.get(), dy.get(), &channels, &totals, s, None);
            grads.register::<Flex>(node.id, tensor(dx, dims));
        }
        for (node, gradient) in [(gamma, totals.gamma), (beta, totals.beta)] {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, tensor(gradient, [s.c, 1, 1, 1]));
            }
        }
    }
}

#[derive(Debug)]
struct Pooling;

impl Backward<Flex, 1> for Pooling {
    /// The input of a maximum, which the average has no use for, and the map's size.
    type State = (Option<FlexTensor>, [usize; 4]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, dims) = ops.state;
        let [node] = ops.parents;
        if let Some(node) = node {
            let x = x.map(Values::new);
            let dx = pool::backward(x.as_ref().map(Values::get), dy.get(), dims[2], dims[3]);
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

/// Burn counts an op's inputs at compile time, so one with a list of them is made for each number.
macro_rules! by_number {
    ($number:expr, $n:ident => $body:block) => {
        by_number!($number, $n => $body, 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    ($number:expr, $n:ident => $body:block, $($count:literal)*) => {
        match $number {
            $($count => { const $n: usize = $count; $body })*
            number => unreachable!("an op with {number} inputs; at most {MOST_INPUTS} are asked for"),
        }
    };
}

/// Most tensors that [`KernelBackend::chain`] and [`KernelBackend::sum_norm`] take, weights included.
pub const MOST_INPUTS: usize = 14;

/// The values and the nodes of an op's inputs.
fn parts<C: CheckpointStrategy, const N: usize>(
    inputs: impl Iterator<Item = FloatTensor<Autodiff<Flex, C>>>,
) -> (Vec<FlexTensor>, [NodeGuard; N]) {
    let (values, nodes): (_, Vec<_>) = inputs.map(|x| x.into_parts()).unzip();
    let nodes = nodes.try_into();
    let nodes = nodes.unwrap_or_else(|_| unreachable!("the inputs were counted"));
    (values, nodes)
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

    fn chain(
        x: FloatTensor<Self>,
        weights: List<Self>,
        block: Block,
        eps: f32,
        sink: Sink,
    ) -> FloatTensor<Self> {
        by_number!(1 + weights.0.len(), N => {
            let (mut inputs, nodes) = parts::<C, N>(std::iter::once(x).chain(weights.0));
            let x = inputs.remove(0);
            match Chain.prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let (out, kept) = chain_forward(x.clone(), &inputs, &block, eps, &sink, true);
                    prep.finish((x, inputs, block, Arc::new(kept)), out)
                }
                OpsKind::UnTracked(prep) => prep.finish(Flex::chain(x, List(inputs), block, eps, sink)),
            }
        })
    }

    fn sum_norm(
        maps: List<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        eps: f32,
        relu: bool,
        sink: Sink,
    ) -> FloatTensor<Self> {
        by_number!(2 + maps.0.len(), N => {
            let (mut inputs, nodes) = parts::<C, N>([gamma, beta].into_iter().chain(maps.0));
            let maps = inputs.split_off(2);
            let prep = SumNorm.prepare::<C>(nodes).compute_bound().stateful();
            let [gamma, beta] = [inputs[0].clone(), inputs[1].clone()];
            let (out, x, channels) = norm_forward(maps, gamma, beta, eps, relu, &sink);
            match prep {
                OpsKind::Tracked(prep) => prep.finish((x, Arc::new(channels)), out),
                OpsKind::UnTracked(prep) => prep.finish(out),
            }
        })
    }

    fn norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        given: Stats,
        eps: f32,
        relu: bool,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let prep = GivenNorm.prepare::<C>(nodes).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        let ((gamma, _gamma), (beta, _beta)) = (gamma.into_parts(), beta.into_parts());
        let (out, channels) = given_norm(x.clone(), (gamma, beta), &given, eps, relu);
        match prep {
            OpsKind::Tracked(prep) => prep.finish((x, Arc::new(channels)), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn pool(x: FloatTensor<Self>, kind: Pool) -> FloatTensor<Self> {
        let prep = Pooling.prepare::<C>([x.node()]).compute_bound().stateful();
        let (x, _x) = x.into_parts();
        match prep {
            OpsKind::Tracked(prep) => {
                let state = ((kind == Pool::Max).then(|| x.clone()), shape(&x));
                prep.finish(state, Flex::pool(x, kind))
            }
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
    fn product(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), y.node()];
        let prep = Product.prepare::<C>(nodes).compute_bound().stateful();
        let ((x, _x), (y, _y)) = (x.into_parts(), y.into_parts());
        match prep {
            OpsKind::Tracked(prep) => {
                let out = Flex::product(x.clone(), y.clone());
                prep.finish((x, y), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(Flex::product(x, y)),
        }
    }
}
