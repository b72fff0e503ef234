//! Adaptive switching: the accuracy predictor that ranks best in cross-validation.
//!
//! NSGANetV2's published code splits the samples into ten random folds, fits each kind of predictor
//! to nine of them, takes Kendall's tau of its predictions on the tenth, and chooses the kind whose
//! taus have the largest mean LESS their standard deviation (not the largest mean alone).
//! The chosen kind is fitted again to all samples.
//!
//! Where that code gives NaN, or stops, this does not: a fold whose tau is undefined, because
//! predictions or targets there are all equal, counts as 0; fewer than twenty samples have fewer
//! folds, so that each has two samples to rank; and a kind that cannot be fitted is out.

use super::kendall::tau_b;
use super::{Kind, Predictor, PredictorConfig, SurrogateError, check};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tox_data::rng::stream;

/// Folds of the cross-validation.
pub const FOLDS: usize = 10;

/// Fewest samples that can be cross-validated: two folds of two.
pub const FEWEST: usize = 4;

/// How one kind of predictor did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    pub kind: Kind,
    /// Kendall's tau-b on each fold, 0 where undefined; empty if it could not be fitted.
    pub taus: Vec<f64>,
    /// Why it could not be fitted.
    pub failure: Option<String>,
}

impl Score {
    /// Mean tau.
    pub fn mean(&self) -> f64 {
        self.taus.iter().sum::<f64>() / self.taus.len().max(1) as f64
    }

    /// What the choice goes by: mean less standard deviation (that of a population); -infinity for
    /// a kind that could not be fitted.
    pub fn merit(&self) -> f64 {
        if self.taus.is_empty() {
            return f64::NEG_INFINITY;
        }
        let mean = self.mean();
        let squares: f64 = self.taus.iter().map(|t| (t - mean) * (t - mean)).sum();
        mean - (squares / self.taus.len() as f64).sqrt()
    }
}

/// The choice.
#[derive(Clone, Debug)]
pub struct Switched {
    /// The chosen kind: the first of those with the largest [`Score::merit`].
    pub winner: Kind,
    pub scores: Vec<Score>,
    /// The winner, fitted to all samples.
    pub model: Predictor,
}

/// Chooses from `pool` and fits the winner. Random choices (folds, trees) are keyed by `seed` and
/// `round`; all kinds see the same folds.
///
/// # Errors
/// When there are fewer than [`FEWEST`] samples, samples are not as [`crate::surrogate`] wants them,
/// or no kind of the pool can be fitted (an empty pool included).
pub fn fit(
    pool: &[Kind],
    rows: &[Vec<f64>],
    targets: &[f64],
    config: &PredictorConfig,
    seed: u64,
    round: u64,
) -> Result<Switched, SurrogateError> {
    check("a choice of predictors", rows, targets)?;
    if rows.len() < FEWEST {
        return Err(SurrogateError::TooFew {
            what: "a choice of predictors",
            found: rows.len(),
            expected: FEWEST,
        });
    }
    let folds = folds(rows.len(), seed, round);
    let score = |&kind: &Kind| match validate(kind, rows, targets, &folds, config, (seed, round)) {
        Ok(taus) => Score {
            kind,
            taus,
            failure: None,
        },
        Err(error) => Score {
            kind,
            taus: Vec::new(),
            failure: Some(error.to_string()),
        },
    };
    let mut scores: Vec<Score> = pool.iter().map(score).collect();
    loop {
        let best = (scores.iter())
            .filter(|s| s.failure.is_none())
            .reduce(|best, s| if s.merit() > best.merit() { s } else { best });
        let Some(winner) = best.map(|s| s.kind) else {
            let first = scores.into_iter().find_map(|s| s.failure);
            return Err(SurrogateError::NoneFits {
                first: first.unwrap_or_else(|| "the pool of kinds is empty".to_string()),
            });
        };
        let indices = [round, folds.len() as u64];
        match Predictor::fit(winner, rows, targets, config, seed, &indices) {
            Ok(model) => {
                return Ok(Switched {
                    winner,
                    scores,
                    model,
                });
            }
            Err(error) => {
                for score in scores.iter_mut().filter(|s| s.kind == winner) {
                    score.taus.clear();
                    score.failure = Some(error.to_string());
                }
            }
        }
    }
}

/// Which samples each fold has: a random order, cut into parts whose sizes differ by one at most.
fn folds(samples: usize, seed: u64, round: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..samples).collect();
    order.shuffle(&mut stream(seed, "surrogate/folds", &[round]));
    let folds = FOLDS.min(samples / 2);
    let (size, larger) = (samples / folds, samples % folds);
    let mut rest = order.as_slice();
    (0..folds)
        .map(|fold| {
            let (this, others) = rest.split_at(size + usize::from(fold < larger));
            rest = others;
            this.to_vec()
        })
        .collect()
}

/// Tau of `kind` on each fold.
fn validate(
    kind: Kind,
    rows: &[Vec<f64>],
    targets: &[f64],
    folds: &[Vec<usize>],
    config: &PredictorConfig,
    (seed, round): (u64, u64),
) -> Result<Vec<f64>, SurrogateError> {
    let mut taus = Vec::with_capacity(folds.len());
    for (index, fold) in folds.iter().enumerate() {
        let mut held_out = vec![false; rows.len()];
        fold.iter().for_each(|&s| held_out[s] = true);
        let (mut known, mut errors) = (Vec::new(), Vec::new());
        for ((row, target), out) in rows.iter().zip(targets).zip(&held_out) {
            if !out {
                known.push(row.clone());
                errors.push(*target);
            }
        }
        let indices = [round, index as u64];
        let model = Predictor::fit(kind, &known, &errors, config, seed, &indices)?;
        let asked: Vec<Vec<f64>> = fold.iter().map(|&s| rows[s].clone()).collect();
        let answers = model.predict(&asked)?.into_iter();
        let pairs: Vec<(f64, f64)> = answers.zip(fold.iter().map(|&s| targets[s])).collect();
        taus.push(tau_b(&pairs).unwrap_or(0.0));
    }
    Ok(taus)
}
