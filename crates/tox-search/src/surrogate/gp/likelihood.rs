//! What follows from samples and a length: factorised correlations, trend, variance, the likelihood
//! and its derivative; and the search for the likeliest length.

use super::super::tail::Tail;
use super::super::{SurrogateError, check, square_distance};
use super::{Lengths, Settings, Trend, Variance};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Points of the grid of lengths.
const GRID: u32 = 24;
/// Times that the interval around the best of them is halved.
const HALVINGS: usize = 16;

/// Samples, scaled, and what does not depend on the length.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    pub(super) settings: Settings,
    pub(super) rows: Vec<Vec<f64>>,
    pub(super) centre: Vec<f64>,
    pub(super) spread: Vec<f64>,
    pub(super) targets: DVector<f64>,
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) squares: DMatrix<f64>,
    pub(super) tail: Tail,
    pub(super) trend: DMatrix<f64>,
}

/// What follows from a length.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// Of the correlation matrix R with noise.
    pub(super) factor: Cholesky<f64, Dyn>,
    /// `L^-1 F` and the triangle of its QR decomposition, if there is a trend.
    pub(super) slopes: Option<(DMatrix<f64>, DMatrix<f64>)>,
    pub(super) beta: DVector<f64>,
    /// `R^-1 (y - F beta)`.
    pub(super) weights: DVector<f64>,
    pub(super) variance: f64,
    pub(super) likelihood: f64,
}

impl Samples {
    pub(super) fn new(
        rows: &[Vec<f64>],
        targets: &[f64],
        settings: &Settings,
    ) -> Result<Self, SurrogateError> {
        let width = check("a Gaussian process", rows, targets)?;
        settings.check()?;
        let n = rows.len();
        let (mut centre, mut spread) = (vec![0.0; width], vec![1.0; width]);
        if settings.standardise {
            for (column, (centre, spread)) in centre.iter_mut().zip(&mut spread).enumerate() {
                let values = rows.iter().map(|row| row[column]);
                *centre = values.clone().sum::<f64>() / n as f64;
                let squares: f64 = values.map(|v| (v - *centre) * (v - *centre)).sum();
                *spread = divisor((squares / (n as f64 - 1.0).max(1.0)).sqrt(), *centre);
            }
        }
        let mean = targets.iter().sum::<f64>() / n as f64;
        let squares: f64 = targets.iter().map(|t| (t - mean) * (t - mean)).sum();
        let deviation = divisor((squares / n as f64).sqrt(), mean);
        let mut samples = Self {
            settings: *settings,
            rows: Vec::new(),
            centre,
            spread,
            targets: DVector::from_iterator(n, targets.iter().map(|t| (t - mean) / deviation)),
            mean,
            deviation,
            squares: DMatrix::zeros(0, 0),
            tail: Tail::none(),
            trend: DMatrix::zeros(n, 0),
        };
        samples.rows = rows.iter().map(|row| samples.scaled(row)).collect();
        let rows = &samples.rows;
        samples.squares = DMatrix::from_fn(n, n, |i, j| square_distance(&rows[i], &rows[j]));
        if settings.trend == Trend::Linear {
            samples.tail = Tail::linear(rows);
            let values = rows.iter().flat_map(|row| samples.tail.values(row));
            samples.trend = DMatrix::from_row_iterator(n, samples.tail.len(), values);
        }
        Ok(samples)
    }

    pub(super) fn scaled(&self, row: &[f64]) -> Vec<f64> {
        let scales = self.centre.iter().zip(&self.spread);
        row.iter()
            .zip(scales)
            .map(|(value, (centre, spread))| (value - centre) / spread)
            .collect()
    }

    pub(super) fn unsolvable(&self) -> SurrogateError {
        SurrogateError::Unsolvable {
            what: "a Gaussian process",
            samples: self.rows.len(),
            remedy: "raise noise",
        }
    }

    /// `None` where the correlation matrix is not positive definite in floating point, or the
    /// targets are too large for their mean and deviation.
    fn fit(&self, length: f64) -> Option<Fit> {
        if !self.mean.is_finite() || !self.deviation.is_finite() {
            return None;
        }
        let n = self.rows.len();
        let kernel = self.settings.kernel;
        let mut correlation = self.squares.map(|square| kernel.at(square, length));
        let noise = self.settings.noise + (10 + n) as f64 * f64::EPSILON;
        for i in 0..n {
            correlation[(i, i)] += noise;
        }
        let factor = Cholesky::new(correlation)?;
        let lower = factor.l_dirty();
        let mut residual = self.targets.clone();
        lower.solve_lower_triangular_mut(&mut residual);
        let (mut beta, mut slopes) = (DVector::zeros(0), None);
        if self.trend.ncols() > 0 {
            let whitened = lower.solve_lower_triangular(&self.trend)?;
            let (orthogonal, triangle) = whitened.clone().qr().unpack();
            beta = orthogonal.tr_mul(&residual);
            if !triangle.solve_upper_triangular_mut(&mut beta) {
                return None;
            }
            residual -= &whitened * &beta;
            slopes = Some((whitened, triangle));
        }
        let squares = residual.norm_squared();
        let variance = match self.settings.variance {
            Variance::One => 1.0,
            Variance::Fitted => squares / n as f64,
        };
        let misfit = match self.settings.variance {
            Variance::One => squares,
            Variance::Fitted => n as f64,
        };
        let logs: f64 = (0..n).map(|i| lower[(i, i)].ln()).sum();
        let constant = n as f64 * ((2.0 * std::f64::consts::PI).ln() + variance.ln());
        let likelihood = -0.5 * (misfit + constant) - logs;
        lower.tr_solve_lower_triangular_mut(&mut residual);
        let finite = residual.iter().chain(&beta).all(|v| v.is_finite());
        (finite && !likelihood.is_nan()).then_some(Fit {
            factor,
            slopes,
            beta,
            weights: residual,
            variance,
            likelihood,
        })
    }

    /// Derivative of the log likelihood by that of the length. What is fitted for a length, trend
    /// and variance, stays as it is: there the likelihood is flat.
    pub(super) fn slope(&self, length: f64, fit: &Fit) -> f64 {
        let inverse = fit.factor.inverse();
        let kernel = self.settings.kernel;
        let (mut misfit, mut trace) = (0.0, 0.0);
        for (j, wj) in fit.weights.iter().enumerate() {
            for (i, wi) in fit.weights.iter().enumerate() {
                let slope = kernel.slope(self.squares[(i, j)], length);
                misfit += wi * slope * wj;
                trace += inverse[(i, j)] * slope;
            }
        }
        if misfit == 0.0 {
            return -0.5 * trace;
        }
        0.5 * (misfit / fit.variance - trace)
    }

    /// The likeliest length and what follows from it.
    pub(super) fn likeliest(&self) -> Option<(f64, Fit)> {
        let Lengths { start, low, high } = self.settings.lengths;
        let (bottom, top) = (low.ln(), high.ln());
        let step = (top - bottom) / f64::from(GRID - 1);
        let grid = (0..GRID).map(|i| (bottom + step * f64::from(i)).exp().clamp(low, high));
        let mut best = self.fit(start).map(|fit| (start, fit));
        if high <= low {
            return best;
        }
        for length in grid {
            keep_likelier(&mut best, length, self.fit(length));
        }
        let middle = best.as_ref()?.0.ln();
        let (mut below, mut above) = ((middle - step).max(bottom), (middle + step).min(top));
        for _ in 0..HALVINGS {
            let length = (0.5 * (below + above)).exp().clamp(low, high);
            let Some(fit) = self.fit(length) else { break };
            if self.slope(length, &fit) > 0.0 {
                below = length.ln();
            } else {
                above = length.ln();
            }
            keep_likelier(&mut best, length, Some(fit));
        }
        best
    }
}

/// Takes a fit that is strictly likelier than the best so far.
fn keep_likelier(best: &mut Option<(f64, Fit)>, length: f64, fit: Option<Fit>) {
    let Some(fit) = fit else { return };
    if best
        .as_ref()
        .is_none_or(|(_, b)| fit.likelihood > b.likelihood)
    {
        *best = Some((length, fit));
    }
}

/// A standard deviation to divide by: 1 for numbers that differ by rounding alone.
fn divisor(deviation: f64, mean: f64) -> f64 {
    if deviation > 10.0 * f64::EPSILON * mean.abs() {
        deviation
    } else {
        1.0
    }
}
