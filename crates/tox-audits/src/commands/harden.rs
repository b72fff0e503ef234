//! Whether another regularisation withstands poison better than what is in use.

use super::rows::Model;
use std::path::Path;
use tox_bilevel::advice::{Advice, AdviceError, Question, Split};
use tox_bilevel::config::{BilevelAttack, BilevelConfig};
use tox_bilevel::own::Own;

/// Powers of ten of C, in halves, that are tried with logistic regression.
const HALF_DECADES: std::ops::RangeInclusive<i32> = -8..=8;
/// Lambdas that are tried with a network.
const FEW: usize = 7;
/// C of scikit-learn's LogisticRegression, unless one is given.
const USUAL_C: f64 = 1.0;

/// What is tried.
pub struct Plan {
    pub config: BilevelConfig,
    /// Lambdas, ascending.
    pub grid: Vec<f64>,
    /// The lambda in use; `None` is no penalty.
    pub current: Option<f64>,
}

impl Plan {
    /// For rows of which `points` are poison; `c` is in use with logistic regression, networks have no
    /// penalty.
    pub fn new(
        model: &Model,
        (own, points): (&Own, usize),
        hyperiterations: usize,
        c: Option<f64>,
    ) -> Self {
        let mut config = model.config(own, points, hyperiterations);
        let limits = &mut config.lambda;
        if !model.hidden.is_empty() {
            let step = (limits.max - limits.min) / (FEW - 1) as f64;
            let grid = (0..FEW).map(|i| limits.min + step * i as f64).collect();
            return Self {
                config,
                grid,
                current: None,
            };
        }
        let lambda = |c: f64| -(own.sets.train.len() as f64 * c).ln();
        let halves = HALF_DECADES.rev();
        let grid: Vec<f64> = halves
            .map(|k| lambda(10f64.powf(0.5 * f64::from(k))))
            .collect();
        let c = c.unwrap_or(USUAL_C);
        let current = c.is_finite().then(|| lambda(c));
        (limits.min, limits.max) = (grid[0], grid[grid.len() - 1]);
        let start = current.unwrap_or(lambda(USUAL_C));
        limits.start = start.clamp(limits.min, limits.max);
        limits.large = limits.start;
        Self {
            config,
            grid,
            current,
        }
    }
}

/// Test rows over all divisions of `rows` rows, each counted once.
pub fn tested(folds: &[Own], rows: usize) -> usize {
    let Some(own) = folds.first() else { return 0 };
    let tests = own.sets.test.len();
    match own.test_rows.is_empty() {
        true => tests,
        false => (folds.len() * tests).min(rows),
    }
}

/// The advice; `None` if it was stopped. `scratch` is an empty folder.
///
/// # Errors
/// Those of an audit, and training that diverges.
pub fn advise(
    plan: &Plan,
    attack: &BilevelAttack,
    (folds, tested, seed): (&[Own], usize, u64),
    scratch: &Path,
    stop: &mut dyn FnMut() -> bool,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Option<Advice>, AdviceError> {
    let seeds = (0u64..).map(|fold| seed.wrapping_add(fold << 32));
    let splits = folds.iter().zip(seeds).map(|(own, seed)| Split {
        sets: own.sets.clone(),
        seed,
    });
    let splits: Vec<Split> = splits.collect();
    let question = Question {
        splits: &splits,
        tested,
        config: &plan.config,
        attack,
        current: plan.current,
        grid: &plan.grid,
    };
    tox_bilevel::advice::advise(question, scratch, stop, progress)
}
