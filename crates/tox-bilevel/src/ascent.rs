//! The updates of Algorithm 2: poison climbs, lambda descends, both within their boxes.

use crate::config::{BilevelAttack, Lambda, Norm};
use crate::sets::Sets;

/// Euclidean norm, summed in f64.
pub fn norm(values: &[f32]) -> f64 {
    values
        .iter()
        .map(|&g| f64::from(g).powi(2))
        .sum::<f64>()
        .sqrt()
}

/// Moves poison points uphill by the attack's step, along their hypergradient, into the box.
pub fn climb(sets: &Sets, attack: &BilevelAttack, gradient: &[f32], values: &mut [f32]) {
    let features = sets.train.features;
    let whole = norm(gradient);
    let rows = values.chunks_exact_mut(features);
    for (x, g) in rows.zip(gradient.chunks_exact(features)) {
        let size = match attack.norm {
            Norm::Point => norm(g),
            Norm::Batch => whole,
        };
        if size > 0.0 {
            for (x, &g) in x.iter_mut().zip(g) {
                *x += (attack.lr * f64::from(g) / size) as f32;
            }
        }
    }
    sets.project(values);
}

/// Moves lambdas by a step against the sign of their hypergradient, into their box.
pub fn descend(box_: &Lambda, gradient: &[f32], lambda: &mut [f64]) {
    for (lambda, g) in lambda.iter_mut().zip(gradient) {
        let sign = if *g == 0.0 {
            0.0
        } else {
            f64::from(g.signum())
        };
        *lambda = (*lambda - box_.lr * sign).clamp(box_.min, box_.max);
    }
}
