//! Projected gradient ascent (Madry et al. 2018) on the cross-entropy, PGD-k, or on the margin, CW-k.
//!
//! Every iterate counts, not the last only: an example leaves at the first image that fools.

use super::batch::Batch;
use super::losses::Loss;
use super::{Found, PgdConfig, losses, start};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};

/// PGD-k: at most k + 1 forward and k backward passes a restart.
pub fn run(
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    config: &PgdConfig,
    seed: u64,
) -> Found {
    let loss: Loss<'_> = &|i, logits, d| losses::cross_entropy(logits, points.labels[i].into(), d);
    ascend(oracle, points, ball, config, ("pgd", seed), loss)
}

/// CW-k, of as many passes.
pub fn cw(
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    config: &PgdConfig,
    seed: u64,
) -> Found {
    let loss: Loss<'_> = &|i, logits, d| losses::margin(logits, points.labels[i].into(), d);
    ascend(oracle, points, ball, config, ("cw", seed), loss)
}

fn ascend(
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    config: &PgdConfig,
    (name, seed): (&str, u64),
    loss: Loss<'_>,
) -> Found {
    let mut batch = Batch::new(oracle, points, ball);
    let length = config.step(ball.epsilon);
    for restart in 0..config.restarts {
        let mut runs: Vec<(usize, Vec<f32>)> = Vec::new();
        for i in batch.open() {
            let clean = batch.clean(i);
            let x = if config.random_start || restart > 0 {
                let rng = &mut batch.stream(seed, name, i, &[restart as u64]);
                start::uniform(ball, clean, rng)
            } else {
                clean.to_vec()
            };
            runs.push((i, x));
        }
        for _ in 0..config.steps {
            let images = runs.iter().map(|(i, x)| (*i, x.as_slice()));
            let (_, gradient) = batch.gradients(images, loss);
            for ((i, x), gradient) in runs.iter_mut().zip(gradient.chunks(oracle.size())) {
                *x = start::along(ball.norm, x, gradient, length);
                ball.project(x, batch.clean(*i));
            }
            runs.retain(|(i, _)| batch.is_open(*i));
        }
        batch.logits(runs.iter().map(|(i, x)| (*i, x.as_slice())));
    }
    batch.finish()
}
