//! Passes of real batches through each op of a fresh supernet, and what they show.

use super::measure::{
    between_images, dead_taps, noise_share, nonlinearity, norm, relative_change, unexplained,
};
use super::{Measures, ScreenConfig, ScreenError};
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;
use tox_data::rng::stream;
use tox_data::{Dataset, shuffled};
use tox_nn::Device;
use tox_nn::ops::{Engine, batch_norm, read};
use tox_nn::params::Leaves;
use tox_search::enas::child::{Child, Mode};
use tox_search::enas::config::ChildConfig;
use tox_search::space::Space;

/// The means over all initial values and batches, one an op.
pub fn probe(
    space: &Space,
    data: &Dataset,
    config: &ScreenConfig,
    seed: u64,
    device: &Device,
) -> Result<Vec<Measures>, ScreenError> {
    let child_config = ChildConfig {
        layers: 3, // the fewest; only the first is used
        channels: config.channels,
        ..ChildConfig::default()
    };
    let channels = data.train.images.shape[1];
    let mut sums = vec![Measures::default(); space.ops.len()];
    for init in 0..config.inits as u64 {
        // Initial values are keyed by a seed; give each its own.
        let weights = stream(seed, "screen/init", &[init]).random();
        let child = Child::new(
            space,
            &child_config,
            channels,
            data.classes,
            weights,
            "screen",
        );
        let order = shuffled(data.train.len(), &mut stream(seed, "screen/batch", &[init]));
        for batch in 0..config.batches {
            let first = batch * config.batch;
            let map = stem(&child, data, &order, first, config.batch, device);
            let probe = Probe {
                child: &child,
                device,
                seed: weights,
                batch: batch as u64,
                unit: unit(map.shape().num_elements(), weights, batch as u64),
                x: map,
            };
            let x = read(probe.x.clone());
            let share = between_images(&x, probe.x.dims()[0]);
            // Equal images differ by the rounding of their mean.
            if share.is_nan() || share < 1e-9 {
                return Err(ScreenError::Constant {
                    dataset: data.name.clone(),
                });
            }
            for (op, sum) in sums.iter_mut().enumerate() {
                sum.add(&probe.op(op, &x, share));
            }
        }
    }
    let probes = (config.inits * config.batches) as f64;
    sums.iter_mut().for_each(|sum| sum.divide(probes));
    Ok(sums)
}

/// The stem's map of `size` images from place `first` of `order`, which begins again at its end.
fn stem(
    child: &Child,
    data: &Dataset,
    order: &[u32],
    first: usize,
    size: usize,
    device: &Device,
) -> Tensor<4> {
    let n = size.min(order.len());
    let indices: Vec<u32> = (first..first + n).map(|i| order[i % order.len()]).collect();
    let batch = data.train.batch(&indices, &data.normalise, None);
    let x = Tensor::from_data(TensorData::new(batch.pixels, batch.shape), device);
    child.stem(&Leaves::new(&child.params, device), x)
}

/// A random direction, as a vector of norm 1.
fn unit(n: usize, seed: u64, batch: u64) -> Vec<f32> {
    let mut rng = stream(seed, "screen/gradient", &[batch]);
    let mut unit: Vec<f32> = (0..n).map(|_| rng.sample(StandardNormal)).collect();
    let length = norm(&unit) as f32;
    unit.iter_mut().for_each(|v| *v /= length);
    unit
}

/// One batch behind the stem of one supernet.
struct Probe<'a> {
    child: &'a Child,
    device: &'a Device,
    seed: u64,
    batch: u64,
    x: Tensor<4>,
    /// A random gradient of norm 1; ops keep the shape of `x`.
    unit: Vec<f32>,
}

impl Probe<'_> {
    fn op(&self, op: usize, x: &[f32], share: f64) -> Measures {
        let n = self.x.dims()[0];
        let trained = self.pass(op, self.x.clone(), self.train(0));
        let again = self.pass(op, self.x.clone(), self.train(1));
        let evaluated = self.pass(op, self.x.clone(), Mode::Evaluate);
        // Other images: the same batch from its end.
        let other = self.x.clone().flip([0]);
        let of_other = self.pass(op, other.clone(), Mode::Evaluate);
        let of_sum = self.pass(op, self.x.clone() + other * 2.0, Mode::Evaluate);
        let gradient = self.gradient(op);
        let kept = between_images(&trained, n).min(between_images(&evaluated, n));
        Measures {
            information: kept / share,
            noise: noise_share(&trained, &again),
            gradient_input: gradient.input,
            gradient_output: gradient.output,
            change_training: relative_change(&trained, x),
            change_evaluation: relative_change(&evaluated, x),
            nonlinearity: nonlinearity(&of_sum, &evaluated, &of_other),
            dead_taps: gradient.dead_taps,
            disagreement: unexplained(&trained, &evaluated),
        }
    }

    fn train(&self, pass: u64) -> Mode {
        Mode::Train {
            seed: self.seed,
            network: "screen",
            step: 2 * self.batch + pass,
        }
    }

    fn pass(&self, op: usize, x: Tensor<4>, mode: Mode) -> Vec<f32> {
        let leaves = Leaves::new(&self.child.params, self.device);
        read(self.child.apply(&leaves, x, 0, op, mode))
    }

    /// Sends a random gradient of norm 1 back through the layer's BN and the op, in training.
    fn gradient(&self, op: usize) -> Gradient {
        let device = self.device.clone().autodiff();
        let leaves = Leaves::new(&self.child.params, &device);
        let leaf = |x: Tensor<4>| Tensor::from_data(x.into_data(), &device).require_grad();
        let x = leaf(self.x.clone());
        let y = self.child.apply(&leaves, x.clone(), 0, op, self.train(0));
        let output = leaf(y.clone().detach());
        let shape = output.dims();
        let unit = Tensor::from_data(TensorData::new(self.unit.clone(), shape), &device);
        let ones = Tensor::ones([shape[1], 1, 1, 1], &device);
        let zeros = Tensor::zeros([shape[1], 1, 1, 1], &device);
        let normed = batch_norm(Engine::of(&output), output.clone(), ones, zeros, false);
        let gradients = (normed * unit).sum().backward();
        let Some(at_output) = output.grad(&gradients) else {
            return Gradient::default();
        };
        let at_output = Tensor::from_inner(at_output);
        let output = norm(&read(at_output.clone()));
        let gradients = (y * at_output).sum().backward();
        let input = x.grad(&gradients).map_or(0.0, |g| norm(&read(g)));
        let kernels = leaves
            .gradients(gradients)
            .into_iter()
            .filter_map(|(id, g)| {
                let [_, _, k, _] = self.child.params.entry(id).shape;
                (k > 1).then(|| dead_taps(&g, k))
            });
        Gradient {
            input,
            output,
            dead_taps: kernels.fold(0.0, f64::max),
        }
    }
}

#[derive(Default)]
struct Gradient {
    input: f64,
    output: f64,
    dead_taps: f64,
}
