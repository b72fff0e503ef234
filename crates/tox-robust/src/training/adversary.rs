//! The adversary of a training: projected ascent from a given start.

use super::config::InnerAttack;
use crate::ball::{Ball, Norm};
use crate::oracle::Oracle;
use rand::Rng;
use rand_distr::StandardNormal;
use tox_data::rng::stream;
use tox_nn::fit::evaluate::softmax;

/// Where an ascent goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// Where it may move an image.
    pub ball: Ball,
    /// Steps.
    pub steps: usize,
    /// Length of a step, see [`InnerAttack::step_size`].
    pub step_size: f64,
}

impl From<InnerAttack> for Ascent {
    fn from(attack: InnerAttack) -> Self {
        Self {
            ball: attack.ball,
            steps: attack.steps,
            step_size: attack.step_size,
        }
    }
}

impl Ascent {
    /// Moves images from `start` up the cross-entropy of the oracle's answers against `targets`, one
    /// probability a class and row, and returns the last points, each in the ball around its row of
    /// `clean`. Where the targets are the network's own answers to other images, this is also the
    /// way up the Kullback-Leibler divergence from these, for the two differ by what the point does
    /// not change. A gradient that is zero or no number moves nothing.
    pub fn run(
        &self,
        oracle: &dyn Oracle,
        clean: &[f32],
        start: Vec<f32>,
        targets: &[f64],
    ) -> Vec<f32> {
        let (size, classes, mut x) = (oracle.size(), oracle.classes(), start);
        for _ in 0..self.steps {
            let (_, gradient) = oracle.pullback(&x, &mut |logits| {
                let answers = softmax(logits, classes);
                let pairs = answers.iter().zip(targets);
                pairs
                    .map(|(answer, target)| (answer - target) as f32)
                    .collect()
            });
            let rows = x.chunks_exact_mut(size).zip(gradient.chunks_exact(size));
            for ((x, gradient), clean) in rows.zip(clean.chunks_exact(size)) {
                self.step(x, gradient);
                self.ball.project(x, clean);
            }
        }
        x
    }

    /// A step of one image.
    fn step(&self, x: &mut [f32], gradient: &[f32]) {
        let pairs = x.iter_mut().zip(gradient);
        match self.ball.norm {
            Norm::Linf => {
                let step = self.step_size as f32;
                for (x, g) in pairs {
                    *x += match g.partial_cmp(&0.0) {
                        Some(std::cmp::Ordering::Greater) => step,
                        Some(std::cmp::Ordering::Less) => -step,
                        _ => 0.0,
                    };
                }
            }
            Norm::L2 => {
                let squares = gradient.iter().map(|g| f64::from(*g) * f64::from(*g));
                let length = squares.sum::<f64>().sqrt();
                if length > 0.0 && length.is_finite() {
                    let share = self.step_size / length;
                    pairs.for_each(|(x, g)| *x += (share * f64::from(*g)) as f32);
                }
            }
        }
    }
}

/// Labels as probabilities, for [`Ascent::run`].
pub fn certain(labels: &[u16], classes: usize) -> Vec<f64> {
    let mut targets = vec![0.0; labels.len() * classes];
    for (row, label) in targets.chunks_exact_mut(classes).zip(labels) {
        row[usize::from(*label)] = 1.0;
    }
    targets
}

/// `clean` with normal noise of standard deviation `sigma`; the stream is keyed by the training's
/// name and the step.
pub(super) fn noisy(clean: &[f32], sigma: f64, (seed, name, step): (u64, &str, u64)) -> Vec<f32> {
    if sigma == 0.0 {
        return clean.to_vec();
    }
    let mut rng = stream(seed, &format!("adversary/{name}"), &[step]);
    let noise = |c: &f32| c + sigma as f32 * rng.sample::<f32, _>(StandardNormal);
    clean.iter().map(noise).collect()
}

/// A point in the ball around one image, by a stream keyed by its row: uniform, and then cut with the
/// image range.
pub(super) fn anywhere(clean: &[f32], ball: Ball, (seed, name, row): (u64, &str, u32)) -> Vec<f32> {
    let mut rng = stream(seed, &format!("validate/{name}"), &[u64::from(row)]);
    let mut x: Vec<f32> = match ball.norm {
        Norm::Linf => {
            let epsilon = ball.epsilon as f32;
            let mut draw = || epsilon * (2.0 * rng.random::<f32>() - 1.0);
            clean.iter().map(|c| c + draw()).collect()
        }
        Norm::L2 => {
            let draw = |_: &f32| f64::from(rng.sample::<f32, _>(StandardNormal));
            let way: Vec<f64> = clean.iter().map(draw).collect();
            let length = way.iter().map(|v| v * v).sum::<f64>().sqrt();
            let radius = rng.random::<f64>().powf(1.0 / clean.len() as f64) * ball.epsilon;
            let pairs = clean.iter().zip(way);
            pairs
                .map(|(c, v)| c + (radius * v / length.max(f64::MIN_POSITIVE)) as f32)
                .collect()
        }
    };
    ball.project(&mut x, clean);
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits (w x, 0) of two pixels: the gradient of every loss points along w or against it.
    struct Line([f32; 2]);

    impl Oracle for Line {
        fn shape(&self) -> [usize; 3] {
            [1, 1, 2]
        }

        fn classes(&self) -> usize {
            2
        }

        fn logits(&self, pixels: &[f32]) -> Vec<f32> {
            let rows = pixels.chunks_exact(2);
            rows.flat_map(|x| [x[0] * self.0[0] + x[1] * self.0[1], 0.0])
                .collect()
        }

        fn pullback(
            &self,
            pixels: &[f32],
            cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
        ) -> (Vec<f32>, Vec<f32>) {
            let logits = self.logits(pixels);
            let cotangent = cotangent(&logits);
            let rows = cotangent.chunks_exact(2);
            let gradient = rows.flat_map(|c| [c[0] * self.0[0], c[0] * self.0[1]]);
            (logits.clone(), gradient.collect())
        }
    }

    fn ascent(norm: Norm, epsilon: f64, steps: usize, step_size: f64) -> Ascent {
        Ascent {
            ball: Ball { norm, epsilon },
            steps,
            step_size,
        }
    }

    #[test]
    fn steps_by_hand() {
        let (line, clean) = (Line([3.0, -4.0]), [0.5f32, 0.5, 0.5, 0.5]);
        // The first row is of class 0: down its logit. The second of class 1: up.
        let targets = certain(&[0, 1], 2);
        let run = |a: Ascent| a.run(&line, &clean, clean.to_vec(), &targets);
        let close = |found: Vec<f32>, expected: [f32; 4]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        };
        close(run(ascent(Norm::Linf, 0.25, 2, 0.1)), [0.3, 0.7, 0.7, 0.3]);
        close(
            run(ascent(Norm::Linf, 0.25, 9, 0.1)),
            [0.25, 0.75, 0.75, 0.25],
        );
        close(
            run(ascent(Norm::L2, 0.25, 2, 0.1)),
            [0.38, 0.66, 0.62, 0.34],
        );
        close(run(ascent(Norm::L2, 0.25, 9, 0.1)), [0.35, 0.7, 0.65, 0.3]);
        assert_eq!(run(ascent(Norm::Linf, 0.0, 3, 0.1)), clean);
    }

    #[test]
    fn what_has_no_direction_stays() {
        for weights in [[0.0, 0.0], [f32::NAN, f32::NAN]] {
            for norm in [Norm::Linf, Norm::L2] {
                let a = ascent(norm, 0.25, 3, 0.1);
                let x = a.run(&Line(weights), &[0.5, 0.0], vec![0.5, 0.125], &[1.0, 0.0]);
                assert_eq!(x, [0.5, 0.125]);
            }
        }
        // The network's own answers: the divergence is at its least, and flat.
        let (line, clean) = (Line([3.0, -4.0]), [0.25f32, 0.75]);
        let own = softmax(&line.logits(&clean), 2);
        let a = ascent(Norm::Linf, 0.25, 3, 0.1);
        assert_eq!(a.run(&line, &clean, clean.to_vec(), &own), clean);
        // From there it goes on in the direction in which it stands.
        let x = a.run(&line, &clean, vec![0.26, 0.75], &own);
        assert_eq!(x, [0.5, 0.5]);
    }

    #[test]
    fn starts_lie_in_the_ball_and_are_spread() {
        let clean: Vec<f32> = (0..64).map(|i| i as f32 / 63.0).collect();
        for norm in [Norm::Linf, Norm::L2] {
            let ball = Ball { norm, epsilon: 0.1 };
            let of = |row| anywhere(&clean, ball, (1, "test", row));
            assert!(ball.allows(&of(0), &clean));
            assert!(ball.distance(&of(0), &clean) > 0.05);
            assert_eq!(of(0), of(0));
            assert_ne!(of(0), of(1));
        }
        let noise: Vec<f32> = noisy(&[0.5; 10_000], 0.01, (1, "test", 3));
        let off = noise.iter().map(|v| f64::from(v - 0.5));
        let (mean, square) = off.fold((0.0, 0.0), |(m, s), v| (m + v / 1e4, s + v * v / 1e4));
        assert!(mean.abs() < 4e-4, "{mean}");
        assert!((square.sqrt() - 0.01).abs() < 4e-4, "{square}");
    }
}
