//! FAB, the fast adaptive boundary attack (Croce and Hein, "Minimally distorted adversarial examples
//! with a fast adaptive boundary attack", ICML 2020), in its targeted form as in AutoAttack.
//!
//! It looks for the nearest adversarial example. A step linearises the difference of the target's
//! logit and the right one's, projects both the current point and the clean image onto that
//! hyperplane within 0..=1, and goes to a mean of the two projections, overshot by eta, in which the
//! clean one weighs the more the nearer it is. At an adversarial example it goes back towards the
//! clean image. The loss is never asked how well it does, so its scale does not matter.

use super::apgd::APGD_STEPS;
use super::batch::targets;
use super::{Batch, Evasion, Facts, Found, Gradient, Registered, losses, predicted, start};
use crate::ball::{Ball, Norm};
use crate::oracle::{Oracle, Points};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// FAB, towards each of several target classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fab {
    /// Steps of a restart.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Runs a target; the first starts at the clean image, the others at random.
    #[schemars(range(min = 1))]
    pub restarts: usize,
    /// Target classes, those of the largest logits on the clean image first; more than
    /// there are wrong classes means all of these.
    #[schemars(range(min = 1))]
    pub targets: usize,
    /// Largest weight of the clean image in the biased step.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha_max: f64,
    /// Overshoot of a step.
    #[schemars(range(min = 1.0))]
    pub eta: f64,
    /// How far a step back goes towards the clean image.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub beta: f64,
}

impl Default for Fab {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            targets: 9,
            alpha_max: 0.1,
            eta: 1.05,
            beta: 0.9,
        }
    }
}

impl Registered for Fab {
    const KIND: &'static str = "fab";

    fn parse(name: &str) -> Option<Self> {
        matches!(name, Self::KIND | "fab-t").then(Self::default)
    }
}

impl Evasion for Fab {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "FAB",
            gradient: Some(Gradient::Margin),
            steps: self.steps,
            passes: 4.0 * self.steps as f64 * self.restarts as f64 * self.targets as f64,
            thorough: self.steps >= APGD_STEPS,
            ..Facts::default()
        }
    }

    fn shorten(&mut self, tries: usize) {
        (self.steps, self.restarts, self.targets) = (tries, 1, 1);
    }

    /// Looks for adversarial examples in `ball`. An example leaves once one is found; its nearest one
    /// cannot be farther, so that who is fooled is as if all steps had been made.
    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let mut batch = Batch::new(oracle, points, ball);
        search(&mut batch, oracle, ball, self, seed);
        batch.finish()
    }
}

/// Runs towards every target of every example that has not left.
fn search(batch: &mut Batch<'_>, oracle: &dyn Oracle, ball: Ball, config: &Fab, seed: u64) {
    let (size, classes) = (oracle.size(), oracle.classes());
    let images: Vec<_> = batch
        .open()
        .into_iter()
        .map(|i| (i, batch.clean(i)))
        .collect();
    let labels: Vec<usize> = images.iter().map(|&(i, _)| batch.label(i)).collect();
    let logits = batch.logits(images.into_iter());
    let rows = labels.iter().zip(logits.chunks_exact(classes));
    let order: Vec<Vec<usize>> = rows.map(|(&label, z)| targets(z, label)).collect();
    let runs = (0..config.targets.min(classes.saturating_sub(1)))
        .flat_map(|target| (0..config.restarts).map(move |restart| (target, restart)));
    for (target, restart) in runs {
        let mut run: Vec<(usize, Vec<f32>)> = Vec::new();
        for i in batch.open() {
            let clean = batch.clean(i);
            let half = Ball {
                epsilon: ball.epsilon / 2.0,
                ..ball
            };
            let x = match restart {
                0 => clean.to_vec(),
                _ => {
                    let at = [target as u64, restart as u64];
                    start::surface(half, clean, &mut batch.stream(seed, "fab", i, &at))
                }
            };
            run.push((i, x));
        }
        for _ in 0..config.steps {
            let images = run.iter().map(|(i, x)| (*i, x.as_slice()));
            let (differences, gradient) = batch.gradients(images, &|i, logits, d| {
                losses::difference(logits, labels[i], order[i][target], d)
            });
            let clean: Vec<&[f32]> = run.iter().map(|(i, _)| batch.clean(*i)).collect();
            run.par_iter_mut().enumerate().for_each(|(row, (_, x))| {
                let gradient = &gradient[row * size..][..size];
                biased_step(ball.norm, x, clean[row], gradient, differences[row], config);
            });
            let logits = batch.logits(run.iter().map(|(i, x)| (*i, x.as_slice())));
            for ((i, x), logits) in run.iter_mut().zip(logits.chunks_exact(classes)) {
                if predicted(logits) != Some(labels[*i]) {
                    for (x, &c) in x.iter_mut().zip(batch.clean(*i)) {
                        let centre = f64::from(c);
                        *x = (centre + config.beta * (f64::from(*x) - centre)) as f32;
                    }
                }
            }
            run.retain(|(i, _)| batch.is_open(*i));
        }
    }
}

/// Moves `x`, where the logits differ by `difference` with the given gradient.
fn biased_step(
    norm: Norm,
    x: &mut [f32],
    clean: &[f32],
    gradient: &[f32],
    difference: f64,
    config: &Fab,
) {
    let pairs = x.iter().zip(clean).zip(gradient);
    let ahead: f64 = pairs
        .map(|((x, c), g)| (f64::from(*x) - f64::from(*c)) * f64::from(*g))
        .sum();
    let from_x = to_plane(norm, x, gradient, -difference);
    let from_clean = to_plane(norm, clean, gradient, ahead - difference);
    let (a, b) = (
        length(norm, &from_x).max(1e-8),
        length(norm, &from_clean).max(1e-8),
    );
    let alpha = (a / (a + b)).min(config.alpha_max);
    let changes = from_x.iter().zip(&from_clean);
    for ((x, &c), (d, e)) in x.iter_mut().zip(clean).zip(changes) {
        let own = f64::from(*x) + config.eta * d;
        let biased = f64::from(c) + config.eta * e;
        *x = ((1.0 - alpha) * own + alpha * biased).clamp(0.0, 1.0) as f32;
    }
}

/// The shortest change `d` with `w * d = gain` that keeps `x + d` in 0..=1 or, if there is none, the
/// one that comes nearest; 0 where `w` or `gain` is not finite.
///
/// Optimal changes have the form `sign(gain w_i) min(lambda r_i, room_i)` with a rate `r_i` of 1 in
/// L-inf and `|w_i|` in L2 (Croce and Hein 2020, section 2.2), and what they gain is a concave,
/// piecewise linear function of lambda: Newton's method from 0 climbs its pieces without ever
/// stepping over the root, and needs no sorting.
fn to_plane(norm: Norm, x: &[f32], w: &[f32], gain: f64) -> Vec<f64> {
    if !gain.is_finite() || w.iter().any(|w| !w.is_finite()) {
        return vec![0.0; x.len()];
    }
    let direction = |w: f64| (w * gain.signum()).signum();
    let room = |x: f32, w: f64| match direction(w) > 0.0 {
        true => 1.0 - f64::from(x),
        false => f64::from(x),
    };
    let rate = |w: f64| match norm {
        Norm::Linf => 1.0,
        Norm::L2 => w.abs(),
    };
    let mut lambda = 0.0;
    loop {
        let (mut gained, mut slope) = (0.0, 0.0);
        for (&x, &w) in x.iter().zip(w) {
            let w = f64::from(w);
            let (step, room) = (lambda * rate(w), room(x, w));
            if step < room {
                gained += w.abs() * step;
                slope += w.abs() * rate(w);
            } else {
                gained += w.abs() * room;
            }
        }
        let next = match slope > 0.0 {
            true => lambda + (gain.abs() - gained) / slope,
            false => f64::INFINITY,
        };
        // The last piece's root moves by rounding only.
        let done = next <= lambda * (1.0 + 1e-12) || next.is_infinite();
        lambda = next.max(lambda);
        if done {
            break;
        }
    }
    let change = |(&x, &w): (&f32, &f32)| match f64::from(w) {
        0.0 => 0.0,
        w => direction(w) * room(x, w).min(lambda * rate(w)),
    };
    x.iter().zip(w).map(change).collect()
}

fn length(norm: Norm, change: &[f64]) -> f64 {
    match norm {
        Norm::Linf => change.iter().fold(0.0, |most, d| d.abs().max(most)),
        Norm::L2 => change.iter().map(|d| d * d).sum::<f64>().sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn projections_by_hand() {
        // Gain 1 with w = (2, 1): L-inf moves both by 1/3, L2 along w by 1/5.
        let x = [0.1, 0.5];
        let close = |found: Vec<f64>, expected: [f64; 2]| {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-7;
            assert!(found.iter().zip(&expected).all(near), "{found:?}");
        };
        close(to_plane(Norm::Linf, &x, &[2.0, 1.0], 1.0), [1.0 / 3.0; 2]);
        close(to_plane(Norm::L2, &x, &[2.0, 1.0], 1.0), [0.4, 0.2]);
        // To the other side the first pixel meets 0 and the second does the rest.
        let down = [-0.1, -0.4];
        close(to_plane(Norm::Linf, &x, &[2.0, 1.0], -0.6), down);
        close(to_plane(Norm::L2, &x, &[2.0, 1.0], -0.6), down);
        // Out of reach: the corner. No gradient, or one that is not finite: nothing.
        close(to_plane(Norm::L2, &x, &[-1.0, 1.0], 9.0), [-0.1, 0.5]);
        close(to_plane(Norm::Linf, &x, &[0.0, 0.0], 1.0), [0.0; 2]);
        close(to_plane(Norm::Linf, &x, &[f32::NAN, 1.0], 1.0), [0.0; 2]);
    }

    proptest! {
        /// Feasible, on the plane if that is in reach, and no shorter change gains as much: the most
        /// that a change of length r gains, found by other means, is less for r < |d|.
        #[test]
        fn projections_are_shortest(
            pixels in prop::collection::vec((0.0f32..=1.0, -2.0f32..2.0), 1..20),
            share in 0.0f64..0.999,
            up in any::<bool>(),
        ) {
            let (x, w): (Vec<f32>, Vec<f32>) = pixels.into_iter().unzip();
            let sign = if up { 1.0 } else { -1.0 };
            let room = |i: usize| match (f64::from(w[i]) * sign > 0.0, f64::from(x[i])) {
                (true, x) => 1.0 - x,
                (false, x) => x,
            };
            let size = |i: usize| f64::from(w[i]).abs();
            let most: f64 = (0..x.len()).map(|i| size(i) * room(i)).sum();
            let gain = share * most;
            for norm in [Norm::Linf, Norm::L2] {
                let d = to_plane(norm, &x, &w, sign * gain);
                for (x, d) in x.iter().zip(&d) {
                    prop_assert!((-1e-9..=1.0 + 1e-9).contains(&(f64::from(*x) + d)));
                }
                let gained: f64 = d.iter().zip(&w).map(|(d, w)| d * f64::from(*w)).sum();
                prop_assert!((gained - sign * gain).abs() < 1e-7, "{gained} {gain}");
                // Duality: the change maximises the gain less mu times its length (squared in L2),
                // so every pixel that has room left moved at the common rate.
                let free = |i: usize| room(i) - d[i].abs() > 1e-7 && size(i) > 0.0;
                let rates: Vec<f64> = (0..x.len())
                    .filter(|&i| free(i))
                    .map(|i| d[i].abs() / if norm == Norm::L2 { size(i) } else { 1.0 })
                    .collect();
                for pair in rates.windows(2) {
                    prop_assert!((pair[0] - pair[1]).abs() < 1e-4 * (1.0 + pair[0]), "{rates:?}");
                }
            }
        }
    }
}
