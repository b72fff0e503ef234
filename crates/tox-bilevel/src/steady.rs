//! Learning rates that are stable on a user's own rows, poison or not, and what of their features
//! gradient descent cannot work with.

use crate::own::Own;

impl Own {
    /// An upper bound of the curvature of the mean cross-entropy of logistic regression, whatever
    /// `points` of the training rows become within the box: a quarter (with more than two classes
    /// half) of the mean squared length of a row with a 1 for the bias, where the poison lies in the
    /// farthest corner. Networks have no such bound.
    pub fn curvature(&self, points: usize) -> f64 {
        let sides = self.sets.low.iter().zip(&self.sets.high);
        let corner: f64 = sides
            .map(|(&low, &high)| f64::from(low.abs().max(high.abs())).powi(2))
            .sum();
        let clean = self.mean_square();
        let share = points as f64 / self.sets.train.len() as f64;
        // Cross-validation leaves out a fifth of the rows, perhaps the short ones.
        let square = (clean + share * corner).max(1.25 * clean);
        let part = if self.sets.classes() == 2 { 0.25 } else { 0.5 };
        part * (1.0 + square)
    }

    /// A learning rate with which gradient descent descends whatever the poison is: 1.5 / L for the
    /// bound L of [`Own::curvature`]. Below 2 / L, so that a penalty has room beside the loss, see
    /// [`steady_lambda`].
    pub fn steady_rate(&self, points: usize) -> f64 {
        1.5 / self.curvature(points)
    }

    /// Steps at `rate` that go as far as `steps` steps would on the clean rows alone: their product
    /// with the rate stays what it is at 2 / L without poison. At least `steps`, at most `most`.
    pub fn steps_at(&self, rate: f64, steps: usize, most: usize) -> usize {
        let part = if self.sets.classes() == 2 { 0.25 } else { 0.5 };
        let clean = 2.0 / (part * (1.0 + self.mean_square()));
        // `as` saturates.
        let needed = (steps as f64 * clean / rate).ceil() as usize;
        needed.clamp(steps, most.max(steps))
    }

    /// Mean squared length of a training row.
    fn mean_square(&self) -> f64 {
        let train = &self.sets.train;
        let square = |i| {
            train
                .row(i)
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum::<f64>()
        };
        (0..train.len()).map(square).sum::<f64>() / train.len() as f64
    }

    /// What of the features gradient descent cannot work with, worst first.
    pub fn concerns(&self) -> Vec<Concern> {
        let mut found = Vec::new();
        // Pixels share their box.
        let columns = self.sets.shape.is_none();
        let sides = self.sets.low.iter().zip(&self.sets.high);
        let spreads: Vec<(usize, f64)> = sides
            .map(|(&low, &high)| f64::from(high) - f64::from(low))
            .enumerate()
            .filter(|&(_, spread)| spread > 0.0)
            .collect();
        let by_spread = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
        if let (Some(&narrow), Some(&wide)) = (
            spreads.iter().min_by(by_spread),
            spreads.iter().max_by(by_spread),
        ) && columns
            && wide.1 >= FAR_APART * narrow.1
        {
            found.push(Concern::Spread { narrow, wide });
        }
        let train = &self.sets.train;
        let (n, columns) = (train.len() as f64, train.features);
        let mut means = vec![0.0; columns];
        for i in 0..train.len() {
            for (mean, &x) in means.iter_mut().zip(&train.row(i)) {
                *mean += f64::from(x) / n;
            }
        }
        let mut variance = 0.0;
        for i in 0..train.len() {
            let row = train.row(i);
            let squares = row
                .iter()
                .zip(&means)
                .map(|(&x, m)| (f64::from(x) - m).powi(2));
            variance += squares.sum::<f64>() / n;
        }
        let times = (1.0 + self.mean_square()) / variance;
        if times >= FAR_APART {
            found.push(Concern::Flat { times });
        }
        found
    }
}

/// Largest lambda whose penalty leaves a learning rate of `lr` stable beside the loss, whose own share
/// of the 2 that both have is 1.5 at [`Own::steady_rate`]: `lr exp(lambda) <= 0.5`.
pub fn steady_lambda(lr: f64) -> f64 {
    (0.5 / lr).ln()
}

/// Spreads, or length and variance, that differ by this factor.
const FAR_APART: f64 = 100.0;

/// Features that gradient descent with one learning rate cannot work with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Concern {
    /// Columns of very different spread, each with its number from 0.
    Spread {
        /// The least that is not 0.
        narrow: (usize, f64),
        /// The largest.
        wide: (usize, f64),
    },
    /// Features that vary little beside their size, or beside 1.
    Flat {
        /// Mean squared length with the bias over the variance.
        times: f64,
    },
}

impl std::fmt::Display for Concern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spread { narrow, wide } => write!(
                f,
                "column {} spreads over {:.3e} and column {} over {:.3e} (counted from 0), {:.0} times \
                 as much: one learning rate cannot fit both",
                narrow.0,
                narrow.1,
                wide.0,
                wide.1,
                wide.1 / narrow.1
            ),
            Self::Flat { times } => write!(
                f,
                "the mean squared length of a row with its bias is {times:.0} times the features' \
                 variance: a learning rate that is stable barely moves the weights that tell rows \
                 apart"
            ),
        }
    }
}
