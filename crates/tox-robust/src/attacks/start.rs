//! Where runs start and how they step, the same for all gradient attacks.

use crate::ball::{Ball, Norm};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// `x` and a step of `length` up the gradient: along its signs in L-inf, along its direction in L2; none
/// where it is 0. In f64 until stored.
pub(crate) fn along(norm: Norm, x: &[f32], gradient: &[f32], length: f64) -> Vec<f32> {
    let moved = x.iter().zip(gradient);
    match norm {
        Norm::Linf => moved
            .map(|(&x, &g)| match g.partial_cmp(&0.0) {
                Some(std::cmp::Ordering::Greater) => (f64::from(x) + length) as f32,
                Some(std::cmp::Ordering::Less) => (f64::from(x) - length) as f32,
                _ => x,
            })
            .collect(),
        Norm::L2 => {
            let squares = gradient.iter().map(|&g| f64::from(g) * f64::from(g));
            let size = squares.sum::<f64>().sqrt();
            if size == 0.0 {
                return x.to_vec();
            }
            let share = length / size;
            moved
                .map(|(&x, &g)| (f64::from(x) + share * f64::from(g)) as f32)
                .collect()
        }
    }
}

/// A uniform point of the ball around `clean`, before the cut with the image range.
pub(super) fn uniform(ball: Ball, clean: &[f32], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut x = match ball.norm {
        Norm::Linf => shifted(clean, &signed(clean.len(), rng), ball.epsilon),
        Norm::L2 => {
            let direction = normal(clean.len(), rng);
            let share = rng.random::<f64>().powf(1.0 / clean.len() as f64);
            let length = ball.epsilon * share / euclid(&direction);
            shifted(clean, &direction, length)
        }
    };
    ball.project(&mut x, clean);
    x
}

/// A random point on the surface of the ball, before that cut: APGD's start, where in L-inf a uniform
/// draw is stretched until it touches.
pub(super) fn surface(ball: Ball, clean: &[f32], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let (change, size) = match ball.norm {
        Norm::Linf => {
            let change = signed(clean.len(), rng);
            let size = change.iter().fold(0.0, |most: f64, c| most.max(c.abs()));
            (change, size)
        }
        Norm::L2 => {
            let change = normal(clean.len(), rng);
            let size = euclid(&change);
            (change, size)
        }
    };
    let mut x = shifted(clean, &change, ball.epsilon / (size + 1e-12));
    ball.project(&mut x, clean);
    x
}

fn shifted(clean: &[f32], change: &[f64], scale: f64) -> Vec<f32> {
    let moved = clean.iter().zip(change);
    moved
        .map(|(&c, d)| (f64::from(c) + scale * d) as f32)
        .collect()
}

fn signed(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| rng.random_range(-1.0..=1.0)).collect()
}

fn normal(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| StandardNormal.sample(&mut *rng)).collect()
}

fn euclid(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}
