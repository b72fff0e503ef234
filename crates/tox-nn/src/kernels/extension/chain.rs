//! Convolutions in a row.

use super::inputs::{by_number, parts};
use super::sink::Sink;
use super::values::{Values, shape, tensor};
use crate::kernels::chain::{self, Block, Kept};
use crate::kernels::conv;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use std::sync::Arc;

/// Of every convolution of a block.
fn sizes(x: &FlexTensor, weights: &[FlexTensor], block: &Block) -> Vec<conv::Sizes> {
    block.sizes(shape(x), |weight| shape(&weights[weight])[0])
}

pub fn forward(
    x: FlexTensor,
    weights: &[FlexTensor],
    block: &Block,
    eps: f32,
    sink: &Sink,
    keep: bool,
) -> (FlexTensor, Kept) {
    let sizes = sizes(&x, weights, block);
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

#[derive(Debug)]
struct Chain;

/// Input, weights, the block, what the forward pass kept.
type ChainState = (FlexTensor, Vec<FlexTensor>, Block, Arc<Kept>);

impl<const N: usize> Backward<Flex, N> for Chain {
    type State = ChainState;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, weights, block, kept) = ops.state;
        let (sizes, x_shape) = (sizes(&x, &weights, &block), shape(&x));
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

pub fn tracked<C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<Flex, C>>,
    weights: Vec<FloatTensor<Autodiff<Flex, C>>>,
    block: Block,
    eps: f32,
    sink: &Sink,
) -> FloatTensor<Autodiff<Flex, C>> {
    by_number!(1 + weights.len(), N => {
        let (mut inputs, nodes) = parts::<C, N>(std::iter::once(x).chain(weights));
        let x = inputs.remove(0);
        match Chain.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (out, kept) = forward(x.clone(), &inputs, &block, eps, sink, true);
                prep.finish((x, inputs, block, Arc::new(kept)), out)
            }
            OpsKind::UnTracked(prep) => prep.finish(forward(x, &inputs, &block, eps, sink, false).0),
        }
    })
}
