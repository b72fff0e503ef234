//! Random search over a table, in closed form.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a random search draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Draws {
    /// Without replacement: no cell is trained twice.
    Distinct,
    /// With replacement.
    Independent,
}

/// What a random search reports, over all that it might draw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The expected value, in the unit of the column.
    pub mean: f64,
    /// The standard deviation from one search to another.
    pub sd: f64,
}

impl Baseline {
    /// Mean and deviation of values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        (n > 0.0).then(|| Self {
            mean,
            sd: square.sqrt(),
        })
    }
}

/// What is reported for the best by `select` of `draws` uniform draws of positions; among the best
/// equals one is taken at random, or the first drawn, which is the same.
///
/// Let L values be below a value and H be at most it, of N. All draws are at most this value with
/// probability F(H) = (H/N)^n with replacement and C(H, n) / C(N, n) without, so the best draw has
/// this value with probability F(H) - F(L); by symmetry each of its H - L equals is then as likely.
///
/// None if the slices are empty, differ in length or hold a NaN, if `draws` is 0, or if so many
/// cannot be drawn.
pub fn best_of(select: &[f64], report: &[f64], draws: usize, kind: Draws) -> Option<Baseline> {
    let n = select.len();
    let too_many = kind == Draws::Distinct && draws > n;
    let nan = select.iter().chain(report).any(|v| v.is_nan());
    if n == 0 || report.len() != n || draws == 0 || too_many || nan {
        return None;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| select[*b].total_cmp(&select[*a]));
    // From the best group of equals down; `below` is F(L) and `at_most` F(H).
    let mut at_most = 1.0;
    let (mut mean, mut square) = (0.0, 0.0);
    let mut left = n;
    for group in order.chunk_by(|a, b| select[*a] == select[*b]) {
        let size = group.len() as f64;
        let below = match kind {
            Draws::Independent => ((left - group.len()) as f64 / n as f64).powf(draws as f64),
            // C(h - 1, n) = C(h, n) (h - n) / h
            Draws::Distinct => (0..group.len()).fold(at_most, |f, i| {
                let h = left - i;
                f * h.saturating_sub(draws) as f64 / h as f64
            }),
        };
        let chance = at_most - below;
        let values = || group.iter().map(|i| report[*i]);
        mean += chance * values().sum::<f64>() / size;
        square += chance * values().map(|v| v * v).sum::<f64>() / size;
        left -= group.len();
        at_most = below;
    }
    Some(Baseline {
        mean,
        sd: (square - mean * mean).max(0.0).sqrt(),
    })
}
