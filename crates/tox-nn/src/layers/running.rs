//! The running statistics of batch norms.

use crate::kernels::norm::Stats;

/// How much of a batch's statistics goes into the running ones, as in PyTorch.
pub const MOMENTUM: f32 = 0.1;

/// Index of a batch norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormId(usize);

/// What one pass measured in one batch norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Which batch norm.
    pub norm: NormId,
    /// Values a channel.
    pub count: usize,
    /// The mean of every channel, then the biased variance of every channel.
    pub values: Vec<f32>,
}

/// The batch norms of a network: `running_mean`, `running_var` and `num_batches_tracked`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    norms: Vec<Place>,
    /// Means and variances of all norms: for each the mean of every channel, then the variances.
    pub values: Vec<f32>,
    /// Updates of each norm.
    pub batches: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Place {
    name: String,
    channels: usize,
    start: usize,
}

impl Running {
    /// Adds a norm at mean 0 and variance 1.
    pub(super) fn add(&mut self, name: String, channels: usize) -> NormId {
        self.norms.push(Place {
            name,
            channels,
            start: self.values.len(),
        });
        self.values.extend(vec![0.0; channels]);
        self.values.extend(vec![1.0; channels]);
        self.batches.push(0);
        NormId(self.norms.len() - 1)
    }

    /// The norms in the order in which they were added: dotted name and channels.
    pub fn norms(&self) -> impl Iterator<Item = (NormId, &str, usize)> {
        let norms = self.norms.iter().enumerate();
        norms.map(|(i, place)| (NormId(i), place.name.as_str(), place.channels))
    }

    fn range(&self, id: NormId) -> std::ops::Range<usize> {
        let place = &self.norms[id.0];
        place.start..place.start + 2 * place.channels
    }

    /// Mean and variance of every channel.
    pub fn of(&self, id: NormId) -> (&[f32], &[f32]) {
        self.values[self.range(id)].split_at(self.norms[id.0].channels)
    }

    /// Mean and variance of every channel, as kernels take them.
    pub(super) fn statistics(&self, id: NormId) -> Stats {
        let (mean, var) = self.of(id);
        mean.iter()
            .zip(var)
            .map(|(&mean, &var)| [mean, var])
            .collect()
    }

    /// The same, to change.
    pub fn of_mut(&mut self, id: NormId) -> (&mut [f32], &mut [f32]) {
        let range = self.range(id);
        self.values[range].split_at_mut(self.norms[id.0].channels)
    }

    /// Updates of a norm so far, PyTorch's `num_batches_tracked`.
    pub fn batches(&self, id: NormId) -> u64 {
        self.batches[id.0]
    }

    /// The same, to change.
    pub fn batches_mut(&mut self, id: NormId) -> &mut u64 {
        &mut self.batches[id.0]
    }

    /// Moves the running statistics towards those of a pass by `MOMENTUM`: the mean as it is, the
    /// variance made unbiased first (`n / (n - 1)`), as PyTorch does. A norm that was passed more
    /// than once is moved as often. With one value a channel, which PyTorch refuses, the variance
    /// moves towards 0.
    pub fn update(&mut self, measured: &[Measured]) {
        for m in measured {
            let unbiased = m.count as f64 / m.count.saturating_sub(1).max(1) as f64;
            let range = self.range(m.norm);
            let means = self.norms[m.norm.0].channels;
            let pairs = self.values[range].iter_mut().zip(&m.values);
            for (i, (running, &new)) in pairs.enumerate() {
                let new = match i < means {
                    true => new,
                    false => (f64::from(new) * unbiased) as f32,
                };
                *running = (1.0 - MOMENTUM) * *running + MOMENTUM * new;
            }
            self.batches[m.norm.0] += 1;
        }
    }
}
