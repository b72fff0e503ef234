//! Convolutions in a row with the batch norms between them.

use super::{BatchNorm, Conv, Pass};
use crate::kernels::chain::Link;
use crate::ops;
use burn::tensor::Tensor;

/// Convolutions in a row, and behind each a batch norm, with ReLU if true, or nothing. One op where
/// the pass neither measures statistics nor uses the running ones.
#[derive(Clone, Debug)]
pub struct Chain(Vec<(Conv, Option<(BatchNorm, bool)>)>);

impl Chain {
    /// Of convolutions without bias, the last with a batch norm. A convolution counts as one weight
    /// and a batch norm as two; there are at most 13.
    pub fn new(links: Vec<(Conv, Option<(BatchNorm, bool)>)>) -> Self {
        debug_assert!(links.iter().all(|(conv, _)| conv.bias.is_none()));
        debug_assert!(links.last().is_some_and(|(_, norm)| norm.is_some()));
        Self(links)
    }

    /// `[n, c_in, h, w]` to what the last link puts out, there times `scale` `[1, 1, 1, 1]` as if
    /// that batch norm's gamma and beta had been multiplied with it (a scale above 0 goes through
    /// a ReLU).
    pub fn forward(
        &self,
        pass: &Pass<'_>,
        mut x: Tensor<4>,
        scale: Option<&Tensor<4>>,
    ) -> Tensor<4> {
        let (mut links, mut weights) = (Vec::new(), Vec::new());
        for (i, (conv, norm)) in self.0.iter().enumerate() {
            let scale = scale.filter(|_| i + 1 == self.0.len());
            weights.push(pass.get(conv.weight));
            let apart = norm.filter(|_| !pass.by_batch_alone());
            let within = norm.filter(|_| apart.is_none());
            links.push(Link {
                conv: conv.geometry,
                norm: within.map(|(_, relu)| relu),
            });
            if let Some((norm, _)) = within {
                weights.extend(norm.vectors(pass, scale));
            }
            if let Some((norm, relu)) = apart {
                x = ops::chain(pass.engine, x, &links, std::mem::take(&mut weights));
                x = norm.forward_scaled(pass, x, relu, scale);
                links.clear();
            }
        }
        match links.is_empty() {
            true => x,
            false => ops::chain(pass.engine, x, &links, weights),
        }
    }

    /// The convolutions, from input to output.
    pub fn convs(&self) -> impl Iterator<Item = &Conv> {
        self.0.iter().map(|(conv, _)| conv)
    }
}
