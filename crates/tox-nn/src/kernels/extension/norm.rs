//! Batch norm.

use super::inputs::{by_number, parts};
use super::sink::Sink;
use super::values::{Values, shape, tensor};
use crate::kernels::norm::{self, Channel, Stats, Totals};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use std::sync::Arc;

fn sizes(x: &FlexTensor) -> norm::Sizes {
    let [n, c, h, w] = shape(x);
    norm::Sizes { n, c, plane: h * w }
}

/// The output, the input of the batch norm and its channels.
pub fn sum_forward(
    mut maps: Vec<FlexTensor>,
    gamma: FlexTensor,
    beta: FlexTensor,
    eps: f32,
    relu: bool,
    sink: &Sink,
) -> (FlexTensor, FlexTensor, Vec<Channel>) {
    let (gamma, beta) = (Values::new(gamma), Values::new(beta));
    let (s, dims) = (sizes(&maps[0]), shape(&maps[0]));
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
pub fn given_forward(
    x: FlexTensor,
    (gamma, beta): (FlexTensor, FlexTensor),
    given: &Stats,
    eps: f32,
    relu: bool,
) -> (FlexTensor, Vec<Channel>) {
    let (x, gamma, beta) = (Values::new(x), Values::new(gamma), Values::new(beta));
    let (s, dims) = (sizes(&x.0), shape(&x.0));
    let channels = Channel::all(given, gamma.get(), beta.get(), eps, relu);
    let out = norm::forward(x.get(), &channels, s);
    (tensor(out, dims), channels)
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
        let (s, dims) = (sizes(&x), shape(&x));
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
        let (s, dims) = (sizes(&x), shape(&x));
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

pub fn sum_tracked<C: CheckpointStrategy>(
    maps: Vec<FloatTensor<Autodiff<Flex, C>>>,
    gamma: FloatTensor<Autodiff<Flex, C>>,
    beta: FloatTensor<Autodiff<Flex, C>>,
    eps: f32,
    relu: bool,
    sink: &Sink,
) -> FloatTensor<Autodiff<Flex, C>> {
    by_number!(2 + maps.len(), N => {
        let (mut inputs, nodes) = parts::<C, N>([gamma, beta].into_iter().chain(maps));
        let maps = inputs.split_off(2);
        let prep = SumNorm.prepare::<C>(nodes).compute_bound().stateful();
        let [gamma, beta] = [inputs[0].clone(), inputs[1].clone()];
        let (out, x, channels) = sum_forward(maps, gamma, beta, eps, relu, sink);
        match prep {
            OpsKind::Tracked(prep) => prep.finish((x, Arc::new(channels)), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    })
}

pub fn given_tracked<C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<Flex, C>>,
    gamma: FloatTensor<Autodiff<Flex, C>>,
    beta: FloatTensor<Autodiff<Flex, C>>,
    given: &Stats,
    eps: f32,
    relu: bool,
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = [x.node(), gamma.node(), beta.node()];
    let prep = GivenNorm.prepare::<C>(nodes).compute_bound().stateful();
    let (x, _x) = x.into_parts();
    let ((gamma, _gamma), (beta, _beta)) = (gamma.into_parts(), beta.into_parts());
    let (out, channels) = given_forward(x.clone(), (gamma, beta), given, eps, relu);
    match prep {
        OpsKind::Tracked(prep) => prep.finish((x, Arc::new(channels)), out),
        OpsKind::UnTracked(prep) => prep.finish(out),
    }
}
