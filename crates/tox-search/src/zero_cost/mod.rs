//! The six training-free metrics that RoBoT (He et al. 2024) mixes, of one network at one batch.
//!
//! `W_l` is the weight of layer `l`, over all convolutions and linear layers, without biases and batch
//! norms; `g_l` its gradient of the batch's mean cross-entropy. Batch norm takes the batch's
//! statistics. A layer that the loss does not reach counts 0.
//!
//! | metric | value |
//! |---|---|
//! | grad_norm | sum of the L2 norms of `g_l` |
//! | snip | sum of `abs(W g)` |
//! | grasp | `-sum W (H g)`, H the Hessian by all weights, `g` held constant |
//! | fisher | sum over channels of half the batch's mean of (sum over pixels of output times its gradient)², times the number of weights of the channel |
//! | synflow | sum of `abs(W dR/dW)` with all weights replaced by their sizes, R the sum of the logits of one image of ones |
//! | jacov | `-sum (ln(v + 1e-5) + 1 / (v + 1e-5))`, v the eigenvalues of the correlations between the images' gradients of the sum of all logits |
//!
//! These are the conventions of the published code (`benches/peers/nas/README.md`), its batch norm in
//! synflow and its counting of channels in fisher among them, with two differences:
//!
//! - There, all architectures share the tensor of images and add to its gradient, which nothing ever
//!   clears; from the second architecture on jacov is that of a sum of gradients of earlier networks and
//!   of other metrics. Here every gradient starts from zero.
//! - synflow is computed there in float64, here in float32 like all else (2e-6 apart).
//!
//! H is symmetric, so that `W.(H g)` is `g.(H W)`: the change of the gradient along the weights
//! themselves, which a central difference takes, between `(1 + t) W` and `(1 - t) W` with every choice
//! of ReLU and max pool as at `W` ([`tox_nn::layers::Choices`]); exact double backward holds them
//! too. Without that the difference is of no use. For NAS-Bench-201, RoBoT's authors do not compute
//! the metrics but read those of another group, whose networks have batch norms without weights and
//! synflow without batch norm.
//!
//! grad_norm, snip, fisher, `g` and the choices come from one pass, grasp takes two more, jacov one, and
//! synflow one of a single image.

use burn::tensor::Tensor;
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::fit::evaluate::images;
use tox_nn::fit::labels;
use tox_nn::layers::{Choices, Mode, Network, Pass, Sensitivity, State};
use tox_nn::ops::cross_entropy;
use tox_nn::params::{OfWeights, Params};

/// The step of grasp's difference, a share of the weights. Measured in float32 against exact double
/// backward, 0.01 is off by 2e-5 (DARTS V2, 5 cells of 16 channels) to 2e-3 (cells of 4 channels).
pub const GRASP_STEP: f32 = 0.01;

/// Names in the order of [`Metrics::values`], which is alphabetic, as in RoBoT.
pub const NAMES: [&str; 6] = ["fisher", "grad_norm", "grasp", "jacov", "snip", "synflow"];

/// The metrics of a network. NaN and infinities are what the network gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub grad_norm: f64,
    pub snip: f64,
    pub grasp: f64,
    pub fisher: f64,
    pub synflow: f64,
    pub jacov: f64,
}

impl Metrics {
    /// In the order of [`NAMES`].
    pub fn values(&self) -> [f64; 6] {
        [
            self.fisher,
            self.grad_norm,
            self.grasp,
            self.jacov,
            self.snip,
            self.synflow,
        ]
    }
}

/// All metrics of `network` with the numbers `state`. `step` is that of grasp's difference.
pub fn metrics<N: Network>(
    network: &N,
    state: &State,
    batch: &Batch,
    device: &Device,
    step: f32,
) -> Metrics {
    let scene = Scene {
        network,
        batch,
        device: &device.clone().autodiff(),
    };
    let (gradients, sensitivities, choices) = scene.probe(state);
    let params = &state.params;
    Metrics {
        grad_norm: gradients.iter().map(|(_, g)| norm(g)).sum(),
        snip: saliency(params, &gradients),
        grasp: scene.grasp(state, &gradients, &choices, step),
        fisher: sensitivities.iter().map(fisher).sum(),
        synflow: scene.synflow(state),
        jacov: jacov(&scene.image_gradients(state), batch.shape[0]),
    }
}

struct Scene<'a, N> {
    network: &'a N,
    batch: &'a Batch,
    device: &'a Device,
}

impl<N: Network> Scene<'_, N> {
    fn images(&self) -> Tensor<4> {
        images(self.batch, self.device)
    }

    fn loss(&self, logits: Tensor<2>) -> Tensor<1> {
        cross_entropy(logits, labels(&self.batch.labels, self.device))
    }

    fn pass<'p>(&'p self, state: &'p State) -> Pass<'p> {
        Pass::new(state, self.device, Mode::Probe)
    }

    fn probe(&self, state: &State) -> (OfWeights, Vec<Sensitivity>, Choices) {
        let pass = self.pass(state).noting().probing();
        let loss = self.loss(self.network.logits(&pass, self.images()));
        let choices = pass.choices();
        let mut gradients = loss.backward();
        let sensitivities = pass.sensitivities(&mut gradients);
        let gradients = layers(&state.params, pass.finish(gradients).gradients);
        (gradients, sensitivities, choices)
    }

    /// `g.(H w)`, by the difference of gradients along the weights.
    fn grasp(&self, state: &State, g: &OfWeights, choices: &Choices, step: f32) -> f64 {
        let end = |factor: f32| {
            let mut moved = state.clone();
            for entry in state.params.entries().iter().filter(|e| e.rank > 1) {
                let values = &mut moved.params.values[entry.range()];
                values.iter_mut().for_each(|v| *v *= factor);
            }
            let pass = self.pass(&moved).holding(choices);
            let loss = self.loss(self.network.logits(&pass, self.images()));
            layers(&state.params, pass.finish(loss.backward()).gradients)
        };
        let (up, down) = (end(1.0 + step), end(1.0 - step));
        let mut sum = 0.0;
        for ((_, g), ((_, up), (_, down))) in g.iter().zip(up.iter().zip(&down)) {
            for (g, (up, down)) in g.iter().zip(up.iter().zip(down)) {
                sum += f64::from(*g) * (f64::from(*up) - f64::from(*down));
            }
        }
        -sum / (2.0 * f64::from(step))
    }

    fn synflow(&self, state: &State) -> f64 {
        let mut sizes = state.clone();
        sizes.params.values.iter_mut().for_each(|v| *v = v.abs());
        let [_, c, h, w] = self.batch.shape;
        let pass = self.pass(&sizes);
        let logits = self
            .network
            .logits(&pass, Tensor::ones([1, c, h, w], self.device));
        let gradients = pass.finish(logits.sum().backward()).gradients;
        saliency(&sizes.params, &layers(&sizes.params, gradients))
    }

    /// The gradients of the sum of all logits by the images, row-major.
    fn image_gradients(&self, state: &State) -> Vec<f32> {
        let pass = self.pass(state);
        let images = self.images().require_grad();
        let logits = self.network.logits(&pass, images.clone());
        let gradient = images.grad_remove(&mut logits.sum().backward());
        gradient.map(tox_nn::ops::read).unwrap_or_default()
    }
}

/// Those of convolutions and linear layers.
fn layers(params: &Params, gradients: OfWeights) -> OfWeights {
    let mut gradients = gradients;
    gradients.retain(|(id, _)| params.entry(*id).rank > 1);
    gradients
}

fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|v| f64::from(*v).powi(2));
    squares.sum::<f64>().sqrt()
}

/// The sum of `abs(w g)`.
fn saliency(params: &Params, gradients: &OfWeights) -> f64 {
    let each = gradients.iter().map(|(id, g)| {
        let weights = &params.values[params.entry(*id).range()];
        let products = weights.iter().zip(g);
        products
            .map(|(w, g)| (f64::from(*w) * f64::from(*g)).abs())
            .sum::<f64>()
    });
    each.sum()
}

fn fisher(layer: &Sensitivity) -> f64 {
    let squares = layer.values.iter().map(|v| f64::from(*v).powi(2));
    let images = layer.values.len() / layer.channels;
    0.5 * squares.sum::<f64>() / images as f64 * layer.weights as f64
}

/// From the gradients of `n` images. NaN if a row has no variance or is not finite.
fn jacov(gradients: &[f32], n: usize) -> f64 {
    const K: f64 = 1e-5;
    let rows: Vec<Vec<f64>> = gradients
        .chunks_exact((gradients.len() / n).max(1))
        .map(|row| {
            let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
            let centred: Vec<f64> = row.iter().map(|v| f64::from(*v) - mean).collect();
            let size = centred.iter().map(|v| v * v).sum::<f64>().sqrt();
            centred.iter().map(|v| v / size).collect()
        })
        .collect();
    let mut correlation = DMatrix::zeros(rows.len(), rows.len());
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().take(i + 1) {
            let value = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let value = value.clamp(-1.0, 1.0);
            (correlation[(i, j)], correlation[(j, i)]) = (value, value);
        }
    }
    if rows.is_empty() || !correlation.iter().all(|v| v.is_finite()) {
        return f64::NAN;
    }
    let values = SymmetricEigen::new(correlation).eigenvalues;
    -values
        .iter()
        .map(|v| (v + K).ln() + 1.0 / (v + K))
        .sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows (1, -1, 0) and (1, 0, -1) correlate by 1/2: eigenvalues 1/2 and 3/2.
    #[test]
    fn jacov_by_hand() {
        let found = jacov(&[1.0, -1.0, 0.0, 3.0, 2.0, 1.0], 2);
        let value = |v: f64| -(v + 1e-5).ln() - 1.0 / (v + 1e-5);
        assert!((found - value(0.5) - value(1.5)).abs() < 1e-9, "{found}");
        assert!(jacov(&[1.0, 1.0, 2.0, 3.0], 2).is_nan());
        assert!(jacov(&[f32::NAN, 1.0, 2.0, 3.0], 2).is_nan());
        assert!(jacov(&[], 2).is_nan());
    }
}
