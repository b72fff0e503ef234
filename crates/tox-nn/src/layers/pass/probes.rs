//! How a loss depends on the size of every layer's output: for scores that weigh channels.
//!
//! With `a` the output of a convolution or linear layer (bias included, before any batch norm) and `d`
//! the gradient of a loss by it, the sum over pixels of `a d` is the derivative by a factor that the
//! output's plane is multiplied with. A probing pass puts such factors in, all 1, one for each image
//! and channel, and reads their gradients: so no map and no gradient of one has to be kept. On the CPU
//! an op that changes nothing takes the sum when the gradient comes by, without a multiplication.

use super::Pass;
use crate::layers::gates::{GateBackend, Sink};
use crate::ops::Engine;
use crate::params::executed;
use burn::backend::Dispatch;
use burn::tensor::{Gradients, Tensor, Transaction};
use std::cell::RefCell;

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

/// The layers of a probing pass.
#[derive(Default)]
pub(super) struct Probes {
    layers: RefCell<Vec<Layer>>,
    sink: Sink<(usize, Vec<f32>)>,
}

struct Layer {
    channels: usize,
    weights: usize,
    /// None if the sink has what the layer leaves.
    factors: Option<Tensor<4>>,
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
    pub(in crate::layers) fn output(&self, y: Tensor<4>, weights: usize) -> Tensor<4> {
        let Some(probes) = &self.probes else { return y };
        let ([n, channels, ..], mut layers) = (y.dims(), probes.layers.borrow_mut());
        let (y, factors) = match self.engine {
            Engine::Kernels => {
                let (mark, sink) = (layers.len(), probes.sink.clone());
                let y = Dispatch::watch(y.into_dispatch(), mark, sink);
                (Tensor::from_dispatch(y), None)
            }
            Engine::Plain => {
                let factors = Tensor::ones([n, channels, 1, 1], self.device()).require_grad();
                (y * factors.clone(), Some(factors))
            }
        };
        layers.push(Layer {
            channels,
            weights,
            factors,
        });
        y
    }

    /// Those of the layers that the loss of `gradients` depends on, in the order in which they ran;
    /// none of a pass that was not [probing](Pass::probing).
    pub fn sensitivities(&self, gradients: &mut Gradients) -> Vec<Sensitivity> {
        let Some(probes) = &self.probes else {
            return Vec::new();
        };
        let mut layers = probes.layers.take();
        let mut found = probes.sink.take();
        let (mut marks, mut read) = (Vec::new(), Transaction::default());
        for (mark, layer) in layers.iter_mut().enumerate() {
            let factors = layer.factors.take();
            if let Some(gradient) = factors.and_then(|f| f.grad_remove(gradients)) {
                marks.push(mark);
                read = read.register(gradient);
            }
        }
        found.extend(marks.into_iter().zip(executed(read)));
        // Gradients come from the last layer to the first.
        found.sort_by_key(|(mark, _)| *mark);
        let sensitivity = |(mark, values): (usize, Vec<f32>)| Sensitivity {
            values,
            channels: layers[mark].channels,
            weights: layers[mark].weights,
        };
        found.into_iter().map(sensitivity).collect()
    }
}
