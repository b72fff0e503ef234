//! Gaussian-process regression with one length scale for all columns.
//!
//! Targets are centred and divided by their standard deviation. Of the scaled targets the prior says
//! `y = f(x) . beta + z(x) + noise`, with a trend `f` (none, or constant and slopes, whose `beta` is
//! found by generalised least squares) and a zero-mean process `z` of covariance
//! `variance * k(|x - x'| / length)`. The length maximises the log marginal likelihood (with a trend
//! or a fitted variance: the likelihood at their best values). It is searched on a grid of its
//! logarithm, then by bisection on the likelihood's derivative around the best grid point, so the
//! same samples give the same length everywhere, and no random restart is needed.
//!
//! [`Settings::kriging`] is the Kriging of NSGANetV2 (pydacefit's DACE: linear trend, Gaussian
//! correlation, theta = 1 / (2 length^2) in [1e-5, 100]), [`Settings::matern`] that of RoBoT's
//! Bayesian optimisation (scikit-learn: Matern 5/2, unit variance, no trend, noise 1e-6). DACE finds
//! its theta by a short pattern search from theta = 1 and can stop beside the maximum; scikit-learn
//! restarts a gradient method five times at random. Both would take the maximum if they found it.
//!
//! Rasmussen and Williams (2006), chapters 2 and 5; Lophaven, Nielsen and Sondergaard (2002), DACE.

use super::tail::Tail;
use super::{SurrogateError, check, check_rows, check_setting, square_distance};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Points of the grid of lengths.
const GRID: u32 = 24;
/// Times that the interval around the best of them is halved.
const HALVINGS: usize = 16;

/// Correlation of two points at distance `d`, as a function of `r = d / length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `exp(-r^2 / 2)`, also called RBF or squared exponential.
    Gauss,
    /// Matern with nu = 5/2: `(1 + s + s^2 / 3) exp(-s)`, `s = sqrt(5) r`.
    Matern52,
}

impl Kernel {
    /// Correlation at a squared distance.
    fn at(self, square: f64, length: f64) -> f64 {
        let square = square / (length * length);
        match self {
            Kernel::Gauss => (-0.5 * square).exp(),
            Kernel::Matern52 => {
                let s = (5.0 * square).sqrt();
                (1.0 + s + s * s / 3.0) * (-s).exp()
            }
        }
    }

    /// Its derivative by the logarithm of the length.
    fn slope(self, square: f64, length: f64) -> f64 {
        let square = square / (length * length);
        match self {
            Kernel::Gauss => square * (-0.5 * square).exp(),
            Kernel::Matern52 => {
                let s = (5.0 * square).sqrt();
                s * s / 3.0 * (1.0 + s) * (-s).exp()
            }
        }
    }
}

/// What the process varies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// The targets' mean.
    Mean,
    /// A constant and a slope for each column, by generalised least squares.
    Linear,
}

/// The process's variance, relative to that of the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variance {
    /// 1.
    One,
    /// The value that maximises the likelihood.
    Fitted,
}

/// Range of the length scale, in units of the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lengths {
    /// Taken where nothing in the range is likelier.
    pub start: f64,
    /// Smallest, above 0.
    pub low: f64,
    /// Largest.
    pub high: f64,
}

/// Everything about a Gaussian process but its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Correlation function.
    pub kernel: Kernel,
    /// What the process varies about.
    pub trend: Trend,
    /// Its variance.
    pub variance: Variance,
    /// Whether columns are first centred and divided by their sample standard deviation; a column
    /// that does not vary is only centred.
    pub standardise: bool,
    /// Range of the length.
    pub lengths: Lengths,
    /// Noise variance relative to the process's, at least 0. A sum of `(10 + n)` times the machine
    /// precision is added for `n` samples, DACE's guard against rounding.
    pub noise: f64,
}

impl Settings {
    /// NSGANetV2's: see the module.
    pub fn kriging() -> Self {
        let length = |theta: f64| (0.5 / theta).sqrt();
        Self {
            kernel: Kernel::Gauss,
            trend: Trend::Linear,
            variance: Variance::Fitted,
            standardise: true,
            lengths: Lengths {
                start: length(1.0),
                low: length(100.0),
                high: length(1e-5),
            },
            noise: 0.0,
        }
    }

    /// RoBoT's: see the module.
    pub fn matern() -> Self {
        Self {
            kernel: Kernel::Matern52,
            trend: Trend::Mean,
            variance: Variance::One,
            standardise: false,
            lengths: Lengths {
                start: 1.0,
                low: 1e-5,
                high: 1e5,
            },
            noise: 1e-6,
        }
    }

    fn check(&self) -> Result<(), SurrogateError> {
        check_setting("noise", self.noise)?;
        let Lengths { start, low, high } = self.lengths;
        for (setting, found, good) in [
            ("lengths.low", low, low > 0.0),
            ("lengths.start", start, start >= low),
            ("lengths.high", high, high >= start && high.is_finite()),
        ] {
            if !good {
                return Err(SurrogateError::Setting {
                    setting,
                    expected: "0 < low <= start <= high, all finite",
                    found,
                });
            }
        }
        Ok(())
    }
}

/// What a Gaussian process says of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Posterior mean of the target.
    pub mean: f64,
    /// Posterior variance of the target without noise, at least 0.
    pub variance: f64,
}

/// The log marginal likelihood of the scaled targets at some length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Its value; infinite if the variance is fitted and the trend alone explains every target.
    pub value: f64,
    /// Its derivative by the logarithm of the length.
    pub slope: f64,
}

/// A fitted Gaussian process.
#[derive(Clone, Debug)]
pub struct Gp {
    samples: Samples,
    length: f64,
    fit: Fit,
}

impl Gp {
    /// Fits a process, its length included. With one sample, or wherever the likelihood says nothing,
    /// the length is `lengths.start`. Equal targets are predicted to be the same everywhere.
    ///
    /// # Errors
    /// When there is no sample, samples are not as [`crate::surrogate`] wants them, a setting is out
    /// of range, or no length gives a covariance matrix that is positive definite, which equal rows
    /// without noise can cause.
    pub fn fit(
        rows: &[Vec<f64>],
        targets: &[f64],
        settings: &Settings,
    ) -> Result<Self, SurrogateError> {
        let samples = Samples::new(rows, targets, settings)?;
        let (length, fit) = samples.likeliest().ok_or_else(|| samples.unsolvable())?;
        Ok(Self {
            samples,
            length,
            fit,
        })
    }

    /// A process of a given length.
    ///
    /// # Errors
    /// As [`Gp::fit`]; `length` must be finite and above 0.
    pub fn of_length(
        rows: &[Vec<f64>],
        targets: &[f64],
        settings: &Settings,
        length: f64,
    ) -> Result<Self, SurrogateError> {
        let (start, low, high) = (length, length, length);
        let lengths = Lengths { start, low, high };
        Self::fit(
            rows,
            targets,
            &Settings {
                lengths,
                ..*settings
            },
        )
    }

    /// Its length scale, in units of the (standardised, if so set) rows.
    pub fn length(&self) -> f64 {
        self.length
    }

    /// The log marginal likelihood at its length.
    pub fn likelihood(&self) -> Likelihood {
        Likelihood {
            value: self.fit.likelihood,
            slope: self.samples.slope(self.length, &self.fit),
        }
    }

    /// Posterior mean and variance.
    ///
    /// # Errors
    /// When a row is of another width or not finite.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Result<Vec<Prediction>, SurrogateError> {
        check_rows(rows, self.samples.centre.len())?;
        Ok(rows.iter().map(|row| self.at(row)).collect())
    }

    /// Posterior means alone, which are cheaper.
    ///
    /// # Errors
    /// As [`Gp::predict`].
    pub fn means(&self, rows: &[Vec<f64>]) -> Result<Vec<f64>, SurrogateError> {
        check_rows(rows, self.samples.centre.len())?;
        let mean = |row: &Vec<f64>| {
            let row = self.samples.scaled(row);
            self.mean(&row, &self.correlations(&row))
        };
        Ok(rows.iter().map(mean).collect())
    }

    /// Posterior at one row of the right width.
    pub(crate) fn at(&self, row: &[f64]) -> Prediction {
        let row = self.samples.scaled(row);
        let correlations = self.correlations(&row);
        let mean = self.mean(&row, &correlations);
        let Fit { factor, slopes, .. } = &self.fit;
        let mut known = correlations;
        factor.l_dirty().solve_lower_triangular_mut(&mut known);
        let mut share = 1.0 - known.norm_squared();
        if let Some((whitened, triangle)) = slopes {
            let trend = DVector::from_iterator(whitened.ncols(), self.samples.tail.values(&row));
            let mut unknown = whitened.tr_mul(&known) - trend;
            triangle.tr_solve_upper_triangular_mut(&mut unknown);
            share += unknown.norm_squared();
        }
        let scale = self.samples.deviation * self.samples.deviation;
        Prediction {
            mean,
            variance: (self.fit.variance * share * scale).max(0.0),
        }
    }

    fn correlations(&self, row: &[f64]) -> DVector<f64> {
        let Samples { rows, settings, .. } = &self.samples;
        let at = |other: &Vec<f64>| settings.kernel.at(square_distance(row, other), self.length);
        DVector::from_iterator(rows.len(), rows.iter().map(at))
    }

    fn mean(&self, row: &[f64], correlations: &DVector<f64>) -> f64 {
        let trend = self.samples.tail.values(row).zip(self.fit.beta.iter());
        let trend: f64 = trend.map(|(value, beta)| value * beta).sum();
        let scaled = trend + correlations.dot(&self.fit.weights);
        scaled * self.samples.deviation + self.samples.mean
    }
}

/// Samples, scaled, and what does not depend on the length.
#[derive(Clone, Debug)]
struct Samples {
    settings: Settings,
    rows: Vec<Vec<f64>>,
    centre: Vec<f64>,
    spread: Vec<f64>,
    targets: DVector<f64>,
    mean: f64,
    deviation: f64,
    squares: DMatrix<f64>,
    tail: Tail,
    trend: DMatrix<f64>,
}

/// What follows from a length.
#[derive(Clone, Debug)]
struct Fit {
    /// Of the correlation matrix R with noise.
    factor: Cholesky<f64, Dyn>,
    /// `L^-1 F` and the triangle of its QR decomposition, if there is a trend.
    slopes: Option<(DMatrix<f64>, DMatrix<f64>)>,
    beta: DVector<f64>,
    /// `R^-1 (y - F beta)`.
    weights: DVector<f64>,
    variance: f64,
    likelihood: f64,
}

impl Samples {
    fn new(
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

    fn scaled(&self, row: &[f64]) -> Vec<f64> {
        let scales = self.centre.iter().zip(&self.spread);
        row.iter()
            .zip(scales)
            .map(|(value, (centre, spread))| (value - centre) / spread)
            .collect()
    }

    fn unsolvable(&self) -> SurrogateError {
        SurrogateError::Unsolvable {
            what: "a Gaussian process",
            samples: self.rows.len(),
            remedy: "raise noise",
        }
    }

    /// `None` where the correlation matrix is not positive definite in floating point.
    fn fit(&self, length: f64) -> Option<Fit> {
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
    fn slope(&self, length: f64, fit: &Fit) -> f64 {
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
    fn likeliest(&self) -> Option<(f64, Fit)> {
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
