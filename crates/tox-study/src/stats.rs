//! Intervals over the seeds of a cell.

use serde::Serialize;

pub use tox_data::student::t_quantile;

/// A mean over seeds with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation; `None` for one value.
    pub sd: Option<f64>,
    /// 95 % interval of the mean, Student's t; `None` for one value.
    pub interval: Option<(f64, f64)>,
}

impl Mean {
    /// Of `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        let interval = sd.map(|sd| {
            let half = t_quantile(0.975, n as u64 - 1) * sd / (n as f64).sqrt();
            (mean - half, mean + half)
        });
        Some(Self {
            n,
            mean,
            sd,
            interval,
        })
    }
}

/// Wilson's 95 % interval of a proportion, here the share of seeds that collapsed: `(0, 1)` when
/// `of` is 0.
pub fn wilson(hits: usize, of: usize) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, hits as f64 / of as f64);
    let scale = 1.0 / (1.0 + Z * Z / n);
    let centre = (p + Z * Z / (2.0 * n)) * scale;
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() * scale;
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_three_seeds_by_hand() {
        // mean 4, sd 2, half width 4.3027 * 2 / sqrt(3)
        let mean = Mean::of(&[2.0, 4.0, 6.0]).unwrap();
        assert_eq!((mean.n, mean.mean, mean.sd), (3, 4.0, Some(2.0)));
        let (low, high) = mean.interval.unwrap();
        assert!((low + 0.96828).abs() < 1e-4 && (high - 8.96828).abs() < 1e-4);
        assert_eq!(Mean::of(&[3.0]).unwrap().interval, None);
        assert_eq!(Mean::of(&[]), None);
    }

    #[test]
    fn wilson_by_hand() {
        // 1 of 3: centre (1/3 + 0.64024)/2.28049, as in Newcombe (1998)'s formula
        let (low, high) = wilson(1, 3);
        assert!((low - 0.0615).abs() < 1e-3 && (high - 0.7923).abs() < 1e-3);
        let (low, high) = wilson(0, 10);
        assert!(low == 0.0 && (high - 0.2775).abs() < 1e-3);
        assert_eq!(wilson(0, 0), (0.0, 1.0));
        assert!((wilson(10, 10).1 - 1.0).abs() < 1e-12);
    }
}
