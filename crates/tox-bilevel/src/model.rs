//! The models: logistic regression and feed-forward nets, as widths and one flat vector of weights.

use crate::real::Real;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// A feed-forward net with Leaky ReLU between its layers and a sigmoid (two classes, one output) or
/// a softmax (more) at the end. Without hidden layers it is logistic regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Features of a point.
    pub features: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// At least 2.
    pub classes: usize,
    /// Slope of Leaky ReLU below 0.
    pub leak: f64,
}

/// Where a layer's weights lie in the flat vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Values in.
    pub inputs: usize,
    /// Values out.
    pub outputs: usize,
    /// `outputs` rows of `inputs` weights.
    pub weights: Range<usize>,
    /// `outputs` biases, right behind.
    pub bias: Range<usize>,
}

impl Model {
    /// Its layers in order.
    pub fn layers(&self) -> Vec<Layer> {
        let last = if self.classes == 2 { 1 } else { self.classes };
        let widths = self.hidden.iter().copied().chain([last]);
        let (mut inputs, mut at) = (self.features, 0);
        widths
            .map(|outputs| {
                let weights = at..at + inputs * outputs;
                let bias = weights.end..weights.end + outputs;
                at = bias.end;
                let layer = Layer {
                    inputs,
                    outputs,
                    weights,
                    bias,
                };
                inputs = outputs;
                layer
            })
            .collect()
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.layers().last().map_or(0, |l| l.bias.end)
    }

    /// Where training starts: zeros for logistic regression; for a net Xavier's uniform weights,
    /// drawn from `rng`, and biases of `bias` (Sect. V-A).
    pub fn start<F: Real>(&self, bias: f64, rng: &mut ChaCha8Rng) -> Vec<F> {
        if self.hidden.is_empty() {
            return vec![F::zero(); self.parameters()];
        }
        let mut weights = Vec::with_capacity(self.parameters());
        for layer in self.layers() {
            let limit = (6.0 / (layer.inputs + layer.outputs) as f64).sqrt();
            weights.extend(
                layer
                    .weights
                    .map(|_| F::of(limit * (2.0 * rng.random::<f64>() - 1.0))),
            );
            weights.extend(layer.bias.map(|_| F::of(bias)));
        }
        weights
    }

    /// What goes into each layer, row by row, and the sums of the last, for rows of f32.
    pub fn forward(&self, weights: &[f32], rows: Vec<f32>) -> Vec<Vec<f32>> {
        let mut all = vec![rows];
        let layers = self.layers();
        for (l, layer) in layers.iter().enumerate() {
            let (matrix, bias) = (
                &weights[layer.weights.clone()],
                &weights[layer.bias.clone()],
            );
            let last = l + 1 == layers.len();
            let mut out = Vec::with_capacity(all[l].len() / layer.inputs * layer.outputs);
            for row in all[l].chunks_exact(layer.inputs) {
                for (unit, b) in matrix.chunks_exact(layer.inputs).zip(bias) {
                    let sum: f32 = unit.iter().zip(row).map(|(w, x)| w * x).sum::<f32>() + b;
                    let leak = if last || sum > 0.0 {
                        1.0
                    } else {
                        self.leak as f32
                    };
                    out.push(leak * sum);
                }
            }
            all.push(out);
        }
        all
    }

    /// The logits of the last sums of [`Model::forward`]: of two classes the first has the logit 0, the
    /// second that of the sigmoid.
    pub fn logits(&self, sums: &[f32]) -> Vec<f32> {
        match self.classes {
            2 => sums.iter().flat_map(|z| [0.0, *z]).collect(),
            _ => sums.to_vec(),
        }
    }
}
