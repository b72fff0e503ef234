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
        if f.sign_plus() {
            write!(f, "{:+.2}", self.mean)?;
        } else {
            write!(f, "{:.2}", self.mean)?;
        }
        self.half.map_or(Ok(()), |half| write!(f, " ± {half:.2}"))
    }
}

impl Interval {
    /// Whether the interval excludes 0; `None` for a single value.
    pub fn excludes_zero(&self) -> Option<bool> {
        self.half.map(|half| self.mean.abs() > half)
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
