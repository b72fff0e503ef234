//! Pooling, and the pixels of a factorised reduction.

use super::values::{Values, shape, tensor};
use crate::kernels::pool::{self, Pool};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};

pub fn forward(x: FlexTensor, kind: Pool) -> FlexTensor {
    let dims = shape(&x);
    tensor(
        pool::forward(Values::new(x).get(), kind, dims[2], dims[3]),
        dims,
    )
}

pub fn gather(x: FlexTensor) -> FlexTensor {
    let map = shape(&x);
    let (h, w) = pool::halved(map[2], map[3]);
    tensor(
        pool::gather(Values::new(x).get(), map),
        [map[0], 2 * map[1], h, w],
    )
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

pub fn tracked<C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<Flex, C>>,
    kind: Pool,
) -> FloatTensor<Autodiff<Flex, C>> {
    let prep = Pooling.prepare::<C>([x.node()]).compute_bound().stateful();
    let (x, _x) = x.into_parts();
    match prep {
        OpsKind::Tracked(prep) => {
            let state = ((kind == Pool::Max).then(|| x.clone()), shape(&x));
            prep.finish(state, forward(x, kind))
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(x, kind)),
    }
}

pub fn gather_tracked<C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<Flex, C>>,
) -> FloatTensor<Autodiff<Flex, C>> {
    let prep = Gather.prepare::<C>([x.node()]).compute_bound().stateful();
    let (x, _x) = x.into_parts();
    let map = shape(&x);
    match prep {
        OpsKind::Tracked(prep) => prep.finish(map, gather(x)),
        OpsKind::UnTracked(prep) => prep.finish(gather(x)),
    }
}
