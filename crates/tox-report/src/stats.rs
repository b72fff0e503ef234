//! Means over seeds as a report shows them.

use std::fmt;
pub use tox_study::stats::wilson;
use tox_study::stats::{Mean, t_quantile};

/// A mean of `n` values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Half of the 95 % t-interval; `None` for a single value, and where all `n` trials gave the same results, which
    /// are one observation.
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
    /// What a mean without an interval is of.
    pub fn lone(&self) -> String {
        match self.n {
            1 => "one seed".to_owned(),
            n => format!("{n} seeds that gave the same results"),
        }
    }

    /// Without its interval where it is of `one` observation.
    pub fn once(self, one: bool) -> Self {
        let half = self.half.filter(|_| !one);
        Self { half, ..self }
    }

    /// Whether the interval excludes 0; `None` without one.
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

/// The ratio of two means over the same `n` trials, with a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Number of trials.
    pub n: usize,
    /// Mean of the parts by mean of the wholes.
    pub value: f64,
    /// Ends of the interval.
    pub ends: (f64, f64),
}

/// Ratio of `(part, whole)` with Fieller's interval: those ratios r at which the 95 % t-interval of
/// part - r whole holds 0. `None` unless the mean of the wholes is above 0 by more than its own
/// interval; then the ratio would be one of noise, and the interval no interval.
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let n = pairs.len();
    if n < 2 {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n as f64;
    let (part, whole) = (mean(|p| p.0), mean(|p| p.1));
    let t = t_quantile(0.975, n as u64 - 1);
    // Squared half intervals of both means, and what they have in common.
    let scale = t * t / (n as f64 * (n as f64 - 1.0));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        let off = pairs.iter().map(|p| of(p.0 - part, p.1 - whole));
        scale * off.sum::<f64>()
    };
    let a = whole * whole - sum(&|_, w| w * w);
    let b = part * whole - sum(&|p, w| p * w);
    let c = part * part - sum(&|p, _| p * p);
    if whole <= 0.0 || a <= 0.0 {
        return None;
    }
    let root = (b * b - a * c).max(0.0).sqrt();
    Some(Ratio {
        n,
        value: part / whole,
        ends: ((b - root) / a, (b + root) / a),
    })
}

/// Ranks from 1, ties sharing their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut out = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = |i: &&usize| values[**i] == values[order[from]];
        let to = from + order[from..].iter().take_while(same).count();
        for i in &order[from..to] {
            out[*i] = (from + to + 1) as f64 / 2.0;
        }
        from = to;
    }
    out
}

/// Spearman's rank correlation; `None` if a side has one value only, or they differ in length.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() + 1) as f64 / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        let both = x.iter().zip(y);
        both.map(|(x, y)| (x - middle) * (y - middle)).sum()
    };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

#[cfg(test)]
mod tests {
    use super::{ranks, ratio};

    #[test]
    fn ties_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn ratios_of_means_by_hand() {
        // All wholes 10; parts 4, 5, 6: mean 5, sd 1, half 4.3027 / sqrt(3) = 2.484.
        let r = ratio(&[(4.0, 10.0), (5.0, 10.0), (6.0, 10.0)]).unwrap();
        assert_eq!((r.n, r.value), (3, 0.5));
        assert!((r.ends.0 - 0.2516).abs() < 1e-4 && (r.ends.1 - 0.7484).abs() < 1e-4);
        // A part that is always half of the whole leaves no doubt, however the wholes differ.
        let r = ratio(&[(4.0, 8.0), (5.0, 10.0), (6.0, 12.0)]).unwrap();
        assert!((r.ends.0 - 0.5).abs() < 1e-6 && (r.ends.1 - 0.5).abs() < 1e-6);
        // At an end of the interval, that of part - r whole touches 0.
        let pairs = [(1.0, 7.0), (3.0, 9.0), (2.5, 11.0), (4.0, 8.0)];
        let r = ratio(&pairs).unwrap();
        for end in [r.ends.0, r.ends.1] {
            let rests: Vec<f64> = pairs.iter().map(|(p, w)| p - end * w).collect();
            let rest = super::mean(&rests).unwrap();
            assert!((rest.mean.abs() - rest.half.unwrap()).abs() < 1e-9);
        }
    }

    #[test]
    fn nothing_is_divided_by_noise() {
        // Mean 2, half 2.48: the whole may be 0.
        assert_eq!(ratio(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(ratio(&[(1.0, -5.0), (1.0, -5.1), (1.0, -5.2)]), None);
        assert_eq!(ratio(&[(1.0, 5.0)]), None);
    }
}
