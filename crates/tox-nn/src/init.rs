//! Initial weights. Every weight has a random stream of its own, keyed by its name, so that a
//! network with more ops starts with the same weights in the ops it shares with another.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Kaiming uniform, fan-in, ReLU gain: uniform in `±sqrt(6 / fan_in)` (He et al. 2015; PyTorch's
/// `kaiming_uniform_(nonlinearity="relu")`).
pub fn kaiming_uniform(n: usize, fan_in: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    uniform(n, (6.0 / fan_in as f32).sqrt(), rng)
}

/// Uniform in `±bound`.
pub fn uniform(n: usize, bound: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..n)
        .map(|_| (rng.random::<f32>() * 2.0 - 1.0) * bound)
        .collect()
}

/// Normal with mean 0 and standard deviation `std`.
pub fn normal(n: usize, std: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..n)
        .map(|_| std * rng.sample::<f32, _>(StandardNormal))
        .collect()
}
