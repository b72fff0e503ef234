//! How a loss depends on the size of every layer's output: for scores that weigh channels.
//!
//! With `a` the output of a convolution or linear layer (bias included, before any batch norm) and `d`
//! the gradient of a loss by it, the sum over pixels of `a d` is the derivative by a factor that the
//! output's plane is multiplied with. A probing pass puts such factors in, all 1, one for each image
//! and channel, and reads their gradients: so no map and no gradient of one has to be kept.

use super::pass::Pass;
use burn::tensor::{Gradients, Tensor, Transaction};

/// The derivatives of a loss by factors of one layer's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// Row-major, `[n, channels]`.
    pub values: Vec<f32>,
    /// Channels of the layer's output.
    pub channels: usize,
    /// Weights that a channel has, without bias.
    pub weights: usize,
}

/// The factors of a layer.
pub(super) struct Probe {
    factors: Tensor<4>,
    weights: usize,
}

impl Pass<'_> {
    /// This pass, which has seen no layer yet and is on an autodiff device, measures the
    /// [sensitivities](Pass::sensitivities) to the outputs of its convolutions and linear layers.
    pub fn probing(mut self) -> Self {
        self.probes = Some(Default::default());
        self
    }

    /// Whether outputs are measured. If so, each must go through the layer's own forward.
    pub fn is_probing(&self) -> bool {
        self.probes.is_some()
    }

    /// The output `[n, c, h, w]` of a layer with so many weights a channel.
    pub(super) fn output(&self, y: Tensor<4>, weights: usize) -> Tensor<4> {
        let Some(probes) = &self.probes else { return y };
        let [n, c, ..] = y.dims();
        let factors = Tensor::ones([n, c, 1, 1], self.device()).require_grad();
        let y = y * factors.clone();
        probes.borrow_mut().push(Probe { factors, weights });
        y
    }

    /// Those of the layers that the loss of `gradients` depends on, in the order in which they ran;
    /// none of a pass that was not [probing](Pass::probing).
    pub fn sensitivities(&self, gradients: &mut Gradients) -> Vec<Sensitivity> {
        let (mut found, mut read) = (Vec::new(), Transaction::default());
        for probe in self.probes.iter().flat_map(|p| p.borrow_mut().split_off(0)) {
            let channels = probe.factors.dims()[1];
            if let Some(gradient) = probe.factors.grad_remove(gradients) {
                found.push((channels, probe.weights));
                read = read.register(gradient);
            }
        }
        let values = read.execute().into_iter().map(|data| {
            data.try_into_vec::<f32>()
                .unwrap_or_else(|e| unreachable!("gradients are f32: {e:?}"))
        });
        let pairs = found.into_iter().zip(values);
        pairs
            .map(|((channels, weights), values)| Sensitivity {
                values,
                channels,
                weights,
            })
            .collect()
    }
}
