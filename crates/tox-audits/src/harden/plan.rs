//! What is tried on the rows of a user, once they are known.

use super::config::{HardenConfig, InUse};
use crate::rows;
use tox_bilevel::config::{BilevelAttack, BilevelConfig};
use tox_bilevel::own::Own;
use tox_data::ranges::OutOfRange;

/// Powers of ten of C, in halves, that are tried with logistic regression.
const HALF_DECADES: std::ops::RangeInclusive<i32> = -8..=8;
/// Lambdas that are tried with a network.
const FEW: usize = 7;
/// C of scikit-learn's LogisticRegression, unless one is given.
const USUAL_C: f64 = 1.0;

/// What is tried.
pub struct Plan {
    pub config: BilevelConfig,
    pub attack: BilevelAttack,
    /// Lambdas, ascending.
    pub grid: Vec<f64>,
    /// The lambda in use; `None` is no penalty.
    pub current: Option<f64>,
}

impl Plan {
    /// For a division of the rows; all divisions have as many.
    ///
    /// # Errors
    /// A number that does not fit the rows.
    pub fn new(ask: &HardenConfig, own: &Own) -> Result<Self, OutOfRange> {
        let count = own.sets.train.len();
        let points = tox_data::share::of(ask.budget, count);
        OutOfRange::unless(points > 0, "budget", ask.budget, rows::PART)?;
        let attack = rows::attack(own, points, (ask.batch, ask.poison_lr))?;
        let config = ask.model().config(own, points, ask.hyperiterations);
        let (config, grid, current) = tried(config, count, ask.current);
        config.check().map_err(rows::own_key)?;
        attack.check().map_err(rows::own_key)?;
        Ok(Self {
            config,
            attack,
            grid,
            current,
        })
    }
}

/// The grid and the lambda in use, and the learner with the limits of the grid.
fn tried(
    mut config: BilevelConfig,
    rows: usize,
    current: Option<InUse>,
) -> (BilevelConfig, Vec<f64>, Option<f64>) {
    let limits = &mut config.lambda;
    if !config.hidden.is_empty() {
        let step = (limits.max - limits.min) / (FEW - 1) as f64;
        let grid = (0..FEW).map(|i| limits.min + step * i as f64).collect();
        return (config, grid, None);
    }
    let lambda = |c: f64| -(rows as f64 * c).ln();
    let halves = HALF_DECADES.rev();
    let grid: Vec<f64> = halves
        .map(|k| lambda(10f64.powf(0.5 * f64::from(k))))
        .collect();
    let current = match current.unwrap_or(InUse::C(USUAL_C)) {
        InUse::None => None,
        InUse::C(c) => Some(lambda(c)),
    };
    (limits.min, limits.max) = (grid[0], grid[grid.len() - 1]);
    let start = current.unwrap_or(lambda(USUAL_C));
    limits.start = start.clamp(limits.min, limits.max);
    limits.large = limits.start;
    (config, grid, current)
}
