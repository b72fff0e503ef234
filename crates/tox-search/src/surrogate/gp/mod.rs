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
//! That NSGANetV2's process is DACE with linear trend and Gaussian correlation is read from forks of
//! its code that keep the file; one fork has the spherical correlation instead.
//!
//! Rasmussen and Williams (2006), chapters 2 and 5; Lophaven, Nielsen and Sondergaard (2002), DACE.

mod kernel;
mod likelihood;

use super::{SurrogateError, check_rows, check_setting, square_distance};
pub use kernel::Kernel;
use likelihood::{Fit, Samples};
use nalgebra::DVector;
use tox_data::ranges::OutOfRange;

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
    pub low: f64,
    pub high: f64,
}

/// Everything about a Gaussian process but its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
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

    fn check(&self) -> Result<(), OutOfRange> {
        check_setting("noise", self.noise)?;
        let Lengths { start, low, high } = self.lengths;
        let expected = "0 < low <= start <= high, all finite";
        OutOfRange::unless(low > 0.0, "lengths.low", low, expected)?;
        OutOfRange::unless(start >= low, "lengths.start", start, expected)?;
        let fits = high >= start && high.is_finite();
        OutOfRange::unless(fits, "lengths.high", high, expected)
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
