//! How much the layers of a network can stretch what they are given.
//!
//! RC-NAS puts "the Lipschitz constant" of a network into the agent's state and reports 2.04 to 3.9
//! without saying how it is measured. The exact constant is NP-hard (Virmaux, Scaman 2018), and the
//! bound that follows from the layers grows exponentially with depth. [`Lipschitz::mean`], the mean of
//! the layers' operator norms, is of the reported size, does not grow with depth as such and tells
//! robust weights from others: it is what an agent's state should have. [`Lipschitz::log_bound`] is
//! kept beside it.
//!
//! Norms are those of l2 on the real maps, with stride and zero padding, in evaluation mode: a batch
//! norm that directly follows a convolution is part of it, by gamma / sqrt(running variance + eps).
//! They are found by power iteration, which comes from below.

use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::rng::stream;
use tox_nn::init;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{BatchNorm, Conv, State};
use tox_nn::nets::wrn::{Residual, Rest, Wrn};
use tox_nn::ops::{self, BN_EPS, Engine};
use tox_nn::params::ParamId;

/// When power iteration ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PowerIteration {
    /// Relative change of the norm from one step to the next at which it ends; above 0. Where the
    /// largest singular values lie close together the norm is off by more than this: for a fresh
    /// WRN-16-2 the mean is 0.4 % low at 1e-4, 1.5 % at 1e-3, in about a third of the steps.
    pub tolerance: f64,
    /// Most steps, at least 1; each costs two convolutions of one image.
    pub steps: usize,
}

impl Default for PowerIteration {
    fn default() -> Self {
        Self {
            tolerance: 1e-4,
            steps: 200,
        }
    }
}

/// The operator norm of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerNorm {
    /// Of its weight, without `.weight`.
    pub name: String,
    /// Largest singular value, from below.
    pub norm: f64,
    /// Steps taken.
    pub steps: usize,
    /// Whether the last step changed it by no more than the tolerance.
    pub converged: bool,
}

/// The norms of all convolutions and of the last layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lipschitz {
    /// In the order in which an image meets them.
    pub layers: Vec<LayerNorm>,
    /// Natural logarithm of the bound for the whole network that follows from them: a product of
    /// layers, in a block the sum of the branch's and the shortcut's, with what a batch norm before a
    /// ReLU stretches most and the average pooling. The gates of squeeze-and-excitation are taken as
    /// constants of at most 1, without which there is no bound. Minus infinity for a constant network.
    pub log_bound: f64,
}

impl Lipschitz {
    /// Mean of the layers' norms.
    pub fn mean(&self) -> f64 {
        self.layers.iter().map(|l| l.norm).sum::<f64>() / self.layers.len() as f64
    }

    /// Whether every power iteration converged.
    pub fn converged(&self) -> bool {
        self.layers.iter().all(|l| l.converged)
    }
}

/// The norms of `network` with the numbers of `state`, for images of `height` x `width`, both at least
/// 1. `device` is a plain one, without autodiff; on one kind of device the result is always the same.
pub fn lipschitz(
    network: &Wrn,
    state: &State,
    (height, width): (usize, usize),
    device: &Device,
    how: PowerIteration,
) -> Lipschitz {
    let mut walk = Walk {
        state,
        device,
        how,
        size: (height, width),
        layers: Vec::new(),
    };
    let mut log_bound = walk.conv(network.stem(), None).ln();
    for block in network.blocks() {
        log_bound += walk.block(block).ln();
    }
    let pixels = (walk.size.0 * walk.size.1) as f64;
    log_bound += walk.largest(network.norm()).ln() - pixels.sqrt().ln();
    walk.size = (1, 1);
    log_bound += walk
        .layer(network.head().weight(), Geometry::same(1), None)
        .ln();
    Lipschitz {
        layers: walk.layers,
        log_bound,
    }
}

struct Walk<'a> {
    state: &'a State,
    device: &'a Device,
    how: PowerIteration,
    /// Of the map, before the next layer.
    size: (usize, usize),
    layers: Vec<LayerNorm>,
}

impl Walk<'_> {
    /// How much a block stretches at most; leaves the size of the map that comes out.
    fn block(&mut self, block: &Residual) -> f64 {
        let before = self.size;
        let around = match &block.shortcut {
            Some(conv) => self.largest(&block.norm1) * self.conv(conv, None),
            None => 1.0,
        };
        let first = self.conv(&block.conv1, Some(&block.norm2));
        let stride = |conv: &Conv| conv.geometry().stride;
        match &block.rest {
            Rest::Basic { conv2 } => {
                self.size = halved(before, stride(&block.conv1));
                let branch = self.largest(&block.norm1) * first * self.conv(conv2, None);
                around + branch
            }
            Rest::Robust {
                parts,
                conv3,
                se_norm,
                ..
            } => {
                let norms = parts.iter().map(|(conv, norm)| self.conv(conv, Some(norm)));
                let norms: Vec<f64> = norms.collect();
                let stride = parts.first().map_or(1, |(conv, _)| stride(conv));
                self.size = halved(before, stride);
                let branch = first * hierarchy(&norms, stride) * self.conv(conv3, None);
                around + branch * (1.0 + self.largest(se_norm))
            }
        }
    }

    fn conv(&mut self, conv: &Conv, behind: Option<&BatchNorm>) -> f64 {
        self.layer(conv.weight(), conv.geometry(), behind)
    }

    fn layer(&mut self, weight: ParamId, geometry: Geometry, behind: Option<&BatchNorm>) -> f64 {
        let entry = self.state.params.entry(weight);
        let mut values = self.state.params.values[entry.range()].to_vec();
        if let Some(norm) = behind {
            let row = values.len() / entry.shape[0];
            for (row, scale) in values.chunks_exact_mut(row).zip(self.scales(norm)) {
                row.iter_mut().for_each(|v| *v *= scale);
            }
        }
        let weight = (values.as_slice(), entry.shape);
        let (norm, steps, converged) =
            operator_norm(weight, geometry, self.size, self.device, self.how);
        self.layers.push(LayerNorm {
            name: entry.name.trim_end_matches(".weight").to_owned(),
            norm,
            steps,
            converged,
        });
        norm
    }

    /// What a batch norm multiplies every channel with.
    fn scales(&self, norm: &BatchNorm) -> Vec<f32> {
        let (_, var) = self.state.running.of(norm.running());
        let scale = var.iter().map(|v| 1.0 / (v + BN_EPS).sqrt());
        match norm.affine() {
            Some((gamma, _)) => {
                let gamma = &self.state.params.values[self.state.params.entry(gamma).range()];
                scale.zip(gamma).map(|(s, g)| s * g).collect()
            }
            None => scale.collect(),
        }
    }

    fn largest(&self, norm: &BatchNorm) -> f64 {
        let scales = self.scales(norm);
        scales.iter().fold(0.0, |m, s| f64::from(s.abs()).max(m))
    }
}

fn halved((h, w): (usize, usize), stride: usize) -> (usize, usize) {
    (h.div_ceil(stride), w.div_ceil(stride))
}

/// A bound of what a robust block's middle stretches, whose convolutions have `norms`: of the
/// matrix from the norms of the parts to those of what comes out, by Schur's test, the root of its
/// largest row sum times its largest column sum.
fn hierarchy(norms: &[f64], stride: usize) -> f64 {
    if stride > 1 {
        // Schur's test of an average over 3 x 3 at stride 2: a window sums to 1 at most, a pixel is in
        // four windows at most.
        return norms.iter().fold(2.0 / 3.0, |m, n| n.max(m));
    }
    let (mut rows, mut columns) = (1.0f64, vec![0.0; norms.len()]);
    let mut row = Vec::new();
    for norm in norms {
        row.push(1.0);
        row.iter_mut().for_each(|v| *v *= norm);
        rows = rows.max(row.iter().sum());
        columns.iter_mut().zip(&row).for_each(|(c, v)| *c += v);
    }
    (rows * columns.iter().fold(1.0f64, |m, c| m.max(*c))).sqrt()
}

/// The largest singular value of a convolution without bias as a linear map of maps of `h` x `w`, the
/// steps it took, and whether it converged; NaN or infinity if a weight is. `weight`: values and shape
/// `[c_out, c_in / groups, k, k]`; `device`: a plain one, without autodiff. The start is drawn from a
/// stream of its own, always the same.
pub fn operator_norm(
    (values, shape): (&[f32], [usize; 4]),
    geometry: Geometry,
    (h, w): (usize, usize),
    device: &Device,
    how: PowerIteration,
) -> (f64, usize, bool) {
    let device = device.clone().autodiff();
    let weight = Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device);
    let shape = [1, shape[1] * geometry.groups, h, w];
    let count = shape.iter().product();
    let mut x = init::normal(count, 1.0, &mut stream(0, "lipschitz", &[]));
    let mut last = 0.0;
    normalise(&mut x);
    for step in 1..=how.steps {
        let input = Tensor::<4>::from_data(TensorData::new(x, shape), &device).require_grad();
        let y = ops::conv(Engine::on(&device), input.clone(), weight.clone(), geometry);
        let gradients = (y.clone() * y.detach()).sum().backward();
        x = match input.grad(&gradients) {
            Some(gradient) => ops::read(gradient),
            None => vec![0.0; count],
        };
        // Of a unit x, the norm of A^T A x is at most the largest singular value's square.
        let norm = normalise(&mut x).sqrt();
        if !norm.is_finite() {
            return (norm, step, false);
        }
        if norm == 0.0 || (norm - last).abs() <= how.tolerance * norm {
            return (norm, step, true);
        }
        last = norm;
    }
    (last, how.steps, false)
}

/// Divides by the l2 norm, which it returns.
fn normalise(x: &mut [f32]) -> f64 {
    let squares = x.iter().map(|v| f64::from(*v) * f64::from(*v));
    let norm = squares.sum::<f64>().sqrt();
    if norm > 0.0 {
        x.iter_mut()
            .for_each(|v| *v = (f64::from(*v) / norm) as f32);
    }
    norm
}
