//! Hypergradient weights: what each row does to the loss on the trusted rows, through a whole training.

use super::fit::{
    Fitted, cross_entropy, diverged, fit, folds, likeliest, logistic, out_of_fold, percent,
};
use super::{Case, Found, Judged, Method, Score};
use crate::cleanse::CleanseError;
use tox_bilevel::own::keep_within;
use tox_bilevel::{Model, Points, Problem, ReverseMode, TrainingSet};

/// Rows get weights in [0, 1], from 1 on, which descend along the derivative of the trusted loss by each weight
/// through all steps of gradient descent (data hyper-cleaning: Franceschi, Donini, Frasconi and Pontil 2017).
/// Moves are added up and the sum is projected, so that a row that reached 0 or 1 can leave it. There are as many as
/// trusted rows that had no part in them ask for.
///
/// The derivatives of single rows are noisy where trusted rows are few. What is ranked is therefore the loss of
/// the row under a logistic regression of the other folds, with these weights, and of the trusted rows: with
/// weights of 1 and without trusted rows it would be confident learning's.
pub struct Hypergradient;

/// Most bytes of inner training that are kept before it is trained again instead.
const KEPT_BYTES: usize = 1 << 30;
/// Share of the rows whose first derivative is below the one that moves a weight by the rate.
const QUANTILE: f64 = 0.95;
/// Moves in a row that do not lower the loss on left-out trusted rows, after which no more are tried.
const PATIENCE: usize = 5;
/// Iterations towards the largest curvature.
const POWER: usize = 30;

impl Method for Hypergradient {
    fn name(&self) -> &'static str {
        "hypergradient"
    }

    fn about(&self) -> &'static str {
        "loss of the row under a logistic regression of the other folds, whose rows have weights that descend \
         along the hypergradient of the trusted loss"
    }

    fn needs_trusted(&self) -> bool {
        true
    }

    fn judge(&self, case: &Case<'_>, go_on: &mut dyn FnMut(f64) -> bool) -> Judged {
        let Some(weighed) = weigh(case, &mut |done| go_on(0.7 * done))? else {
            return Ok(None);
        };
        let (labels, classes) = (&case.rows.labels, case.classes());
        let folds = folds(labels, classes, case.settings.folds, case.seed);
        let trusted = case.trusted_points()?;
        let mut train = |rows: &[usize]| {
            let weights = rows.iter().map(|row| weighed.weights[*row]);
            let weights: Vec<f32> = weights.chain(trusted.labels.iter().map(|_| 1.0)).collect();
            let parts = [&case.points.select(rows), trusted];
            fit(&parts, Some(&weights), classes, case.settings.c)
        };
        let mut later = |done: f64| go_on(0.7 + 0.3 * done);
        let all = out_of_fold(&case.points, classes, &folds, &mut train, &mut later)?;
        let Some(all) = all else { return Ok(None) };
        let (mut losses, mut suggested, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (p, label)) in all.chunks_exact(classes).zip(labels).enumerate() {
            let best = likeliest(p);
            losses.push(cross_entropy(p, *label));
            suggested.push(best as u16);
            let (weight, influence) = (weighed.weights[row], weighed.influence[row]);
            let does = if influence > 0.0 { "raises" } else { "lowers" };
            reasons.push(format!(
                "{does} the trusted loss, weight {weight:.2}; so weighed: {} ({})",
                case.class(best),
                percent(p[best])
            ));
        }
        let weights = weighed.weights.iter().map(|w| f64::from(*w)).collect();
        Ok(Some(Found {
            scores: vec![
                Score {
                    name: "hypergradient",
                    values: losses,
                    low: false,
                },
                Score {
                    name: "influence",
                    values: weighed.influence,
                    low: false,
                },
                Score {
                    name: "weight",
                    values: weights,
                    low: true,
                },
            ],
            suggested,
            reasons,
            probabilities: Some(all),
        }))
    }
}

/// The weights of all rows, and how they came about.
struct Weighed {
    weights: Vec<f32>,
    /// Mean over the iterations of the derivative of the trusted loss by the row's weight, times the number of
    /// rows: how much a row more of this kind raises it, per share of the rows.
    influence: Vec<f64>,
}

/// `None` if `go_on` said so.
fn weigh(
    case: &Case<'_>,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Weighed>, CleanseError> {
    let (points, settings) = (&case.points, case.settings);
    let model = logistic(points.features, case.classes());
    let part = if model.classes == 2 { 0.25 } else { 0.5 };
    let training = Training {
        points,
        none: Points::none(points.features),
        start: vec![0.0; model.parameters()],
        // Below 2 over the largest curvature the loss descends.
        lr: (1.5 / (part * curvature(points))) as f32,
        steps: settings.steps,
        rate: settings.rate,
        model,
    };
    let trusted = case.trusted_points()?;
    let mut tried = |done: f64| go_on(0.8 * done);
    let Some(moves) = training.moves(case, trusted, &mut tried)? else {
        return Ok(None);
    };
    let mut rows = Rows::new(points.len());
    // Without a move there is a derivative all the same.
    let asked = moves.max(1);
    for i in 0..asked {
        if !go_on(0.8 + 0.2 * i as f64 / asked as f64) {
            return Ok(None);
        }
        training.step(&mut rows, trusted)?;
    }
    let mean = points.len() as f64 / asked as f64;
    Ok(Some(Weighed {
        influence: rows.sums.iter().map(|sum| mean * sum).collect(),
        weights: match moves {
            0 => vec![1.0; points.len()],
            _ => rows.weights,
        },
    }))
}

/// What is trained again and again.
struct Training<'a> {
    model: Model,
    points: &'a Points<f32>,
    none: Points<f32>,
    start: Vec<f32>,
    steps: usize,
    lr: f32,
    /// Of the weights.
    rate: f64,
}

/// The weights of the rows on their way.
struct Rows {
    weights: Vec<f32>,
    /// Of the derivatives so far.
    sums: Vec<f64>,
    /// What a derivative of 1 moves a weight by; known after the first.
    unit: Option<f64>,
}

impl Rows {
    fn new(count: usize) -> Self {
        Self {
            weights: vec![1.0; count],
            sums: vec![0.0; count],
            unit: None,
        }
    }
}

impl Training<'_> {
    /// Moves the weights once, by the loss on `trusted`; returns the model as it was before.
    fn step(&self, rows: &mut Rows, trusted: &Points<f32>) -> Result<Vec<f32>, CleanseError> {
        let problem = Problem {
            model: &self.model,
            train: TrainingSet::of(self.points, &self.none),
            valid: trusted,
            regulariser: None,
            start: &self.start,
            steps: self.steps,
            lr: self.lr,
        };
        let mode = ReverseMode {
            keep: keep_within(KEPT_BYTES, &self.model, self.points.len(), self.steps),
        };
        let (found, slopes) = mode.by_weights(&problem, &rows.weights).map_err(diverged)?;
        let unit = *rows
            .unit
            .get_or_insert_with(|| self.rate / quantile(&slopes));
        for ((sum, weight), slope) in rows.sums.iter_mut().zip(&mut rows.weights).zip(slopes) {
            *sum += f64::from(slope);
            *weight = (1.0 - unit * *sum).clamp(0.0, 1.0) as f32;
        }
        Ok(found.weights)
    }

    /// After how many moves trusted rows that had no part in them are told best, by cross-validation: the fewest
    /// whose loss cannot be told from the least, being within a standard error of the mean difference over these
    /// rows. From then on weights fit single trusted rows. `None` if `go_on` said so.
    fn moves(
        &self,
        case: &Case<'_>,
        trusted: &Points<f32>,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Option<usize>, CleanseError> {
        let count = case.settings.folds.min(trusted.len());
        let of = folds(&trusted.labels, case.classes(), count, case.seed);
        let mut parts: Vec<_> = (0..count)
            .map(|fold| {
                let (held, others): (Vec<usize>, Vec<usize>) =
                    (0..trusted.len()).partition(|row| of[*row] == fold);
                let rows = Rows::new(self.points.len());
                (trusted.select(&held), trusted.select(&others), rows)
            })
            .collect();
        let most = case.settings.iterations;
        // After each number of moves the loss of every row, fold after fold.
        let mut losses: Vec<Vec<f64>> = Vec::new();
        let mut best = 0;
        for moves in 0..=most {
            let mut now = Vec::with_capacity(trusted.len());
            for (i, (held, others, rows)) in parts.iter_mut().enumerate() {
                if !go_on((moves * count + i) as f64 / ((most + 1) * count) as f64) {
                    return Ok(None);
                }
                let weights = self.step(rows, others)?;
                now.extend(Fitted::new(self.model.clone(), weights).losses(held));
            }
            losses.push(now);
            if mean(&losses[moves]) < mean(&losses[best]) {
                best = moves;
            }
            if moves >= best + PATIENCE {
                break;
            }
        }
        let near = |moves: &usize| {
            let pairs = losses[*moves].iter().zip(&losses[best]);
            let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
            mean(&differences) <= standard_error(&differences)
        };
        Ok((0..=best).find(near))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the mean.
fn standard_error(values: &[f64]) -> f64 {
    let (mean, n) = (mean(values), values.len() as f64);
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / (n * (n - 1.0))).sqrt()
}

/// The size that [`QUANTILE`] of the numbers do not exceed; no less than what divides without overflow.
fn quantile(slopes: &[f32]) -> f64 {
    let mut sizes: Vec<f32> = slopes.iter().map(|slope| slope.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let at = (QUANTILE * sizes.len() as f64) as usize;
    f64::from(sizes[at.min(sizes.len() - 1)]).max(1e-30)
}

/// Largest eigenvalue of the mean over the rows, with a 1 for the bias, of their outer product: by power
/// iteration, and a little more, since that comes from below.
fn curvature(points: &Points<f32>) -> f64 {
    let features = points.features;
    let mut direction = vec![1.0f64; features + 1];
    let mut size = 0.0;
    for _ in 0..POWER {
        let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|x| *x /= length.max(1e-30));
        let mut next = vec![0.0f64; features + 1];
        for i in 0..points.len() {
            let row = points.row(i);
            let along: f64 = row
                .iter()
                .zip(&direction)
                .map(|(x, d)| f64::from(*x) * d)
                .sum();
            let along = (along + direction[features]) / points.len() as f64;
            for (next, x) in next.iter_mut().zip(&row) {
                *next += along * f64::from(*x);
            }
            next[features] += along;
        }
        size = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        direction = next;
    }
    1.1 * size
}

#[cfg(test)]
mod tests {
    use super::*;
    use tox_bilevel::Values;

    #[test]
    fn the_curvature_is_the_largest_eigenvalue() {
        // With the bias: rows (1, 0, 1) and (-1, 0, 1); the mean outer product is diag(1, 0, 1).
        let points = Points {
            features: 2,
            values: Values::Reals(vec![1.0, 0.0, -1.0, 0.0]),
            labels: vec![0, 1],
        };
        assert!((curvature(&points) - 1.1).abs() < 1e-9);
        // Rows (3, 1) and (3, 1): one direction, of squared length 10.
        let points = Points {
            features: 1,
            values: Values::Reals(vec![3.0, 3.0]),
            labels: vec![0, 1],
        };
        assert!((curvature(&points) - 11.0).abs() < 1e-9);
    }

    #[test]
    fn the_quantile_is_of_sizes() {
        let slopes: Vec<f32> = (1..=100)
            .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 } * i as f32)
            .collect();
        assert_eq!(quantile(&slopes), 96.0);
        assert!(quantile(&[0.0]) > 0.0);
    }
}
