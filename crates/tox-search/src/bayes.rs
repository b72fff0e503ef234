//! Bayesian optimisation over a box by a Gaussian process's upper confidence bound, as RoBoT uses it
//! for the weights of its metrics (He et al. 2024).
//!
//! RoBoT's published code calls `bayes_opt` 1.2.0 with `acq = "ucb"`, no start points of its own and
//! 24 iterations; the package then draws one uniform point first, so 25 points are evaluated. Read
//! from that package's source: the process is [`gp::Settings::matern`] (Matern 5/2, noise 1e-6,
//! targets normalised, points as they are), the bound is `mean + 2.576 deviation`, and its maximum is
//! taken over 10,000 uniform points and the ends of ten climbs from uniform starts. A climb there is
//! L-BFGS-B with differences for gradients; here it is a compass search, which needs none: it steps
//! along the axes and halves the step when no step helps. One more climb starts from the best of the
//! 10,000 points.
//!
//! A [`Bayes`] is a state between rounds: [`Bayes::ask`] depends on nothing but it, so that a search
//! can be stopped after any [`Bayes::tell`] and go on from the serialised state. A point that is asked
//! for twice is told twice.

use crate::surrogate::SurrogateError;
use crate::surrogate::gp::{self, Gp};
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_data::rng::stream;

/// First step of a climb and the step at which it ends, as shares of the box's sides.
const STEPS: (f64, f64) = (0.1, 1e-6);

/// The numbers of a search. The defaults are those of RoBoT and its `bayes_opt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BayesConfig {
    /// Points drawn uniformly before the first model.
    #[schemars(range(min = 1))]
    pub initial: usize,
    /// Deviations above the mean that the bound is.
    #[schemars(range(min = 0.0))]
    pub kappa: f64,
    /// Noise variance of the normalised values.
    #[schemars(range(min = 0.0))]
    pub noise: f64,
    /// Uniform points at which the bound is looked up.
    #[schemars(range(min = 1))]
    pub candidates: usize,
    /// Climbs from uniform starts.
    pub climbs: usize,
}

impl Default for BayesConfig {
    fn default() -> Self {
        Self {
            initial: 1,
            kappa: 2.576,
            noise: 1e-6,
            candidates: 10_000,
            climbs: 10,
        }
    }
}

/// Why a search could not begin or go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BayesError {
    #[error(
        "side {side} of the box goes from {low} to {high}, expected two finite numbers of which the \
         first is smaller"
    )]
    Bounds { side: usize, low: f64, high: f64 },
    #[error("the box has no sides, expected at least one")]
    NoBounds,
    #[error(transparent)]
    Setting(#[from] OutOfRange),
    #[error("a result was told for {point:?}, expected a point of the box {bounds:?}")]
    Point {
        point: Vec<f64>,
        bounds: Vec<(f64, f64)>,
    },
    #[error(
        "the value told for round {round} is {value}, expected a finite number; tell the worst value \
         that a finished evaluation can have"
    )]
    Value { round: usize, value: f64 },
    #[error("no model of the {rounds} values so far: {source}")]
    Model {
        rounds: usize,
        source: SurrogateError,
    },
}

/// A maximisation between two of its rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bayes {
    bounds: Vec<(f64, f64)>,
    config: BayesConfig,
    seed: u64,
    points: Vec<Vec<f64>>,
    values: Vec<f64>,
}

impl Bayes {
    /// A search that has not begun, over the box of `bounds`, a lower and an upper end for each side.
    ///
    /// # Errors
    /// When a side is empty or not finite, there is none, or a setting is out of range.
    pub fn new(
        bounds: Vec<(f64, f64)>,
        config: BayesConfig,
        seed: u64,
    ) -> Result<Self, BayesError> {
        let sound = |(low, high): &(f64, f64)| low < high && (high - low).is_finite();
        if let Some(side) = bounds.iter().position(|side| !sound(side)) {
            let (low, high) = bounds[side];
            return Err(BayesError::Bounds { side, low, high });
        }
        if bounds.is_empty() {
            return Err(BayesError::NoBounds);
        }
        ranges::check(&config)?;
        Ok(Self {
            bounds,
            config,
            seed,
            points: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Values told so far.
    pub fn rounds(&self) -> usize {
        self.values.len()
    }

    /// Points and values told so far.
    pub fn told(&self) -> impl Iterator<Item = (&[f64], f64)> {
        let points = self.points.iter().map(Vec::as_slice);
        points.zip(self.values.iter().copied())
    }

    /// The point of the largest value; of equal ones the last, which RoBoT takes (`>=`).
    pub fn best(&self) -> Option<(&[f64], f64)> {
        self.told().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The point to evaluate next: uniform in the first rounds, then the largest bound found.
    ///
    /// # Errors
    /// When no model fits the values so far.
    pub fn ask(&self) -> Result<Vec<f64>, BayesError> {
        let mut rng = stream(self.seed, "bayes", &[self.rounds() as u64]);
        if self.rounds() < self.config.initial {
            return Ok(self.random(&mut rng));
        }
        let settings = gp::Settings {
            noise: self.config.noise,
            ..gp::Settings::matern()
        };
        let model =
            Gp::fit(&self.points, &self.values, &settings).map_err(|source| BayesError::Model {
                rounds: self.rounds(),
                source,
            })?;
        let bound = |point: &[f64]| {
            let prediction = model.at(point);
            prediction.mean + self.config.kappa * prediction.variance.sqrt()
        };
        let mut best = (f64::NEG_INFINITY, self.random(&mut rng));
        for _ in 0..self.config.candidates {
            let point = self.random(&mut rng);
            let value = bound(&point);
            if value > best.0 {
                best = (value, point);
            }
        }
        let mut starts = vec![best.1.clone()];
        starts.extend((0..self.config.climbs).map(|_| self.random(&mut rng)));
        for start in starts {
            let end = self.climb(start, bound);
            if end.0 > best.0 {
                best = end;
            }
        }
        Ok(best.1)
    }

    /// Adds a result, of the point that was asked for or of any other in the box. Larger is better.
    ///
    /// # Errors
    /// When the point is not in the box or the value not finite; nothing is added then.
    pub fn tell(&mut self, point: Vec<f64>, value: f64) -> Result<(), BayesError> {
        let sides = point.iter().zip(&self.bounds);
        let within = |(x, (low, high)): (&f64, &(f64, f64))| low <= x && x <= high;
        if point.len() != self.bounds.len() || !sides.clone().all(within) {
            return Err(BayesError::Point {
                point,
                bounds: self.bounds.clone(),
            });
        }
        if !value.is_finite() {
            return Err(BayesError::Value {
                round: self.rounds(),
                value,
            });
        }
        self.points.push(point);
        self.values.push(value);
        Ok(())
    }

    fn random(&self, rng: &mut impl Rng) -> Vec<f64> {
        let side = |&(low, high): &(f64, f64)| low + (high - low) * rng.random::<f64>();
        self.bounds.iter().map(side).collect()
    }

    /// Compass search: from `point` up to where no step along an axis helps.
    fn climb(&self, mut point: Vec<f64>, bound: impl Fn(&[f64]) -> f64) -> (f64, Vec<f64>) {
        let (mut step, last) = STEPS;
        let mut value = bound(&point);
        while step > last {
            let mut helped = false;
            for (side, &(low, high)) in self.bounds.iter().enumerate() {
                for sign in [1.0, -1.0] {
                    let here = point[side];
                    point[side] = (here + sign * step * (high - low)).clamp(low, high);
                    let there = bound(&point);
                    if there > value {
                        value = there;
                        helped = true;
                        break;
                    }
                    point[side] = here;
                }
            }
            if !helped {
                step /= 2.0;
            }
        }
        (value, point)
    }
}
