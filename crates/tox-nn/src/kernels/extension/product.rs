//! Products of matrices.

use crate::kernels::par_chunks;
use crate::kernels::product::{self, Matrix};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;

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

pub fn forward(x: FlexTensor, y: FlexTensor) -> FlexTensor {
    products(&Matrices::new(x), &Matrices::new(y), [false, false])
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

pub fn tracked<C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<Flex, C>>,
    y: FloatTensor<Autodiff<Flex, C>>,
) -> FloatTensor<Autodiff<Flex, C>> {
    let nodes = [x.node(), y.node()];
    let prep = Product.prepare::<C>(nodes).compute_bound().stateful();
    let ((x, _x), (y, _y)) = (x.into_parts(), y.into_parts());
    match prep {
        OpsKind::Tracked(prep) => {
            let out = forward(x.clone(), y.clone());
            prep.finish((x, y), out)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(x, y)),
    }
}
