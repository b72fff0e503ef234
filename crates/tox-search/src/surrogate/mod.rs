//! Accuracy predictors: models that learn, from the architectures measured so far, what error an
//! unmeasured one will have, and the choice among them.
//!
//! They are the ones of NSGANetV2 (Lu et al. 2020) as its published code sets them up: a cubic
//! radial basis function with a linear tail ([`rbf`]), Kriging ([`gp`]), an ensemble of regression
//! trees ([`cart`]), and adaptive switching, which takes the one that ranks best in
//! cross-validation ([`select`], [`kendall`]). [`gp`] also serves [`crate::bayes`].
//!
//! A sample is a row of numbers, such as an encoded architecture, and a target, such as its error.
//! All rows are of one width, all numbers finite; other samples are refused, by number.

pub mod cart;
pub mod gp;
pub mod kendall;
pub mod rbf;
pub mod select;
mod tail;

use cart::Carts;
use gp::Gp;
use rbf::Rbf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use tox_data::ranges::OutOfRange;
use tox_data::rng::stream;

/// Why a predictor could not be fitted or asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SurrogateError {
    #[error(
        "{what} was to be fitted to {found} samples, expected at least {expected}; measure more \
         architectures first"
    )]
    TooFew {
        what: &'static str,
        found: usize,
        expected: usize,
    },
    #[error(
        "a predictor was given {rows} rows and {targets} targets, expected one target for each row"
    )]
    Lengths { rows: usize, targets: usize },
    #[error("row {row} has {found} numbers, expected {expected} as in every row")]
    Width {
        row: usize,
        found: usize,
        expected: usize,
    },
    #[error(
        "the {what} of sample {row} is not a finite number; leave the sample out, or give it the \
         worst value that a finished training can have"
    )]
    NotFinite { what: &'static str, row: usize },
    #[error(
        "rows {first} and {second} are the same, so nothing interpolates both of their targets; \
         leave one out, or set eta above 0"
    )]
    Duplicate { first: usize, second: usize },
    #[error(
        "the equations of {what} could not be solved for {samples} samples: rows are too similar, \
         or their numbers too far apart in size; leave near-duplicates out, or {remedy}"
    )]
    Unsolvable {
        what: &'static str,
        samples: usize,
        remedy: &'static str,
    },
    #[error(transparent)]
    Setting(#[from] OutOfRange),
    #[error("no predictor could be fitted; the first one says: {first}")]
    NoneFits { first: String },
}

/// Checks samples; returns the width of a row.
fn check(what: &'static str, rows: &[Vec<f64>], targets: &[f64]) -> Result<usize, SurrogateError> {
    if rows.len() != targets.len() {
        return Err(SurrogateError::Lengths {
            rows: rows.len(),
            targets: targets.len(),
        });
    }
    let Some(first) = rows.first() else {
        return Err(SurrogateError::TooFew {
            what,
            found: 0,
            expected: 1,
        });
    };
    check_rows(rows, first.len())?;
    match targets.iter().position(|t| !t.is_finite()) {
        None => Ok(first.len()),
        Some(row) => Err(SurrogateError::NotFinite {
            what: "target",
            row,
        }),
    }
}

/// Checks rows that a predictor of rows of `width` is asked about.
fn check_rows(rows: &[Vec<f64>], width: usize) -> Result<(), SurrogateError> {
    for (row, numbers) in rows.iter().enumerate() {
        if numbers.len() != width {
            return Err(SurrogateError::Width {
                row,
                found: numbers.len(),
                expected: width,
            });
        }
        if !numbers.iter().all(|v| v.is_finite()) {
            return Err(SurrogateError::NotFinite { what: "row", row });
        }
    }
    Ok(())
}

/// Checks that a setting is at least 0.
fn check_setting(setting: &'static str, found: f64) -> Result<(), OutOfRange> {
    let holds = found.is_finite() && found >= 0.0;
    OutOfRange::unless(holds, setting, found, "at least 0")
}

/// Squared Euclidean distance.
fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// A kind of accuracy predictor.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Cubic radial basis function with a linear tail, [`rbf`].
    Rbf,
    /// Gaussian process with a linear trend (Kriging), [`gp`].
    Gp,
    /// Ensemble of regression trees, [`cart`].
    Carts,
}

impl Kind {
    /// All kinds, in the order in which adaptive switching tries them.
    pub const ALL: [Kind; 3] = [Kind::Rbf, Kind::Gp, Kind::Carts];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Rbf => "rbf",
            Kind::Gp => "gp",
            Kind::Carts => "carts",
        })
    }
}

/// Settings of all kinds of predictors. The defaults are those of NSGANetV2's published code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorConfig {
    /// Regularisation of the radial basis function; 0 = exact interpolation.
    #[schemars(range(min = 0.0, max = 1e12))]
    pub eta: f64,
    /// Noise variance of the Gaussian process relative to its signal variance.
    #[schemars(range(min = 0.0, max = 1e12))]
    pub noise: f64,
    /// Trees of the ensemble.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub trees: usize,
}

impl Default for PredictorConfig {
    fn default() -> Self {
        Self {
            eta: rbf::ETA,
            noise: 0.0,
            trees: cart::TREES,
        }
    }
}

/// A fitted predictor of any kind.
#[derive(Clone, Debug)]
pub enum Predictor {
    Rbf(Rbf),
    Gp(Box<Gp>),
    Carts(Carts),
}

impl Predictor {
    /// Fits a predictor. `seed` and `indices` (such as a round) key the random choices of
    /// [`Kind::Carts`]; the others make none.
    ///
    /// # Errors
    /// As the kind's own `fit`.
    pub fn fit(
        kind: Kind,
        rows: &[Vec<f64>],
        targets: &[f64],
        config: &PredictorConfig,
        seed: u64,
        indices: &[u64],
    ) -> Result<Self, SurrogateError> {
        Ok(match kind {
            Kind::Rbf => Self::Rbf(Rbf::fit(rows, targets, config.eta)?),
            Kind::Gp => {
                let settings = gp::Settings {
                    noise: config.noise,
                    ..gp::Settings::kriging()
                };
                Self::Gp(Box::new(Gp::fit(rows, targets, &settings)?))
            }
            Kind::Carts => {
                let mut rng = stream(seed, "surrogate/carts", indices);
                Self::Carts(Carts::fit(rows, targets, config.trees, &mut rng)?)
            }
        })
    }

    /// Predicted targets of rows.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Result<Vec<f64>, SurrogateError> {
        match self {
            Self::Rbf(model) => model.predict(rows),
            Self::Gp(model) => model.means(rows),
            Self::Carts(model) => model.predict(rows),
        }
    }
}
