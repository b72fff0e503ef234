//! Convolution.

use super::values::{Values, shape, tensor};
use crate::kernels::conv::{self, Geometry, Wanted};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};

fn sizes(x: &FlexTensor, weight: &FlexTensor) -> conv::Sizes {
    let ([n, c_in, h, w], [c_out, ..]) = (shape(x), shape(weight));
    conv::Sizes {
        n,
        c_in,
        c_out,
        h,
        w,
    }
}

pub fn forward(x: FlexTensor, weight: FlexTensor, g: Geometry) -> FlexTensor {
    let s = sizes(&x, &weight);
    let (x, weight) = (Values::new(x), Values::new(weight));
    let (out, _) = conv::forward(x.get().into(), weight.get(), g, s, (None, false));
    let (h, w) = s.out(g);
    tensor(out, [s.n, s.c_out, h, w])
}

#[derive(Debug)]
struct Conv;

impl Backward<Flex, 2> for Conv {
    type State = (FlexTensor, FlexTensor, Geometry);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Values::new(grads.consume::<Flex>(&ops.node));
        let (x, weight, g) = ops.state;
        let (s, x_shape, w_shape) = (sizes(&x, &weight), shape(&x), shape(&weight));
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

pub fn tracked<C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<Flex, C>>,
    weight: FloatTensor<Autodiff<Flex, C>>,
    g: Geometry,
) -> FloatTensor<Autodiff<Flex, C>> {
    let prep = Conv
        .prepare::<C>([x.node(), weight.node()])
        .compute_bound()
        .stateful();
    let (x, _x) = x.into_parts();
    let (weight, _weight) = weight.into_parts();
    match prep {
        OpsKind::Tracked(prep) => {
            let out = forward(x.clone(), weight.clone(), g);
            prep.finish((x, weight, g), out)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(x, weight, g)),
    }
}
