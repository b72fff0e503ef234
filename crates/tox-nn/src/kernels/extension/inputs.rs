//! Ops with any number of inputs.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::NodeGuard;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};

/// Most tensors that [`chain`](super::KernelBackend::chain) and [`sum_norm`](super::KernelBackend::sum_norm) take, weights included.
pub const MOST_INPUTS: usize = 14;

/// Burn counts an op's inputs at compile time, so one with a list of them is made for each number.
macro_rules! by_number {
    ($number:expr, $n:ident => $body:block) => {
        by_number!($number, $n => $body, 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    ($number:expr, $n:ident => $body:block, $($count:literal)*) => {
        match $number {
            $($count => { const $n: usize = $count; $body })*
            number => unreachable!("an op with {number} inputs; at most {} are asked for", $crate::kernels::MOST_INPUTS),
        }
    };
}
pub(super) use by_number;

/// The values and the nodes of an op's inputs.
pub fn parts<C: CheckpointStrategy, const N: usize>(
    inputs: impl Iterator<Item = FloatTensor<Autodiff<Flex, C>>>,
) -> (Vec<FlexTensor>, [NodeGuard; N]) {
    let (values, nodes): (_, Vec<_>) = inputs.map(|x| x.into_parts()).unzip();
    let nodes = nodes.try_into();
    let nodes = nodes.unwrap_or_else(|_| unreachable!("the inputs were counted"));
    (values, nodes)
}
