//! Means over seeds as a report shows them.

use std::fmt;
use tox_study::stats::Mean;
pub use tox_study::stats::wilson;

/// A mean of `n` values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Half of the 95 % t-interval; `None` for a single value.
    pub half: Option<f64>,
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.half {
            Some(half) => write!(f, "{:.2} ± {half:.2}", self.mean),
            None => write!(f, "{:.2}", self.mean),
        }
    }
}

/// Mean and t-interval; `None` for no value.
pub fn mean(values: &[f64]) -> Option<Interval> {
    let mean = Mean::of(values)?;
    Some(Interval {
        n: mean.n,
        mean: mean.mean,
        half: mean.interval.map(|(low, high)| (high - low) / 2.0),
    })
}
