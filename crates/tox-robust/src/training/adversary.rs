//! The adversary of a training: projected ascent from a given start.

use super::config::InnerAttack;
use crate::attacks::losses;
use crate::attacks::start::along;
use crate::ball::Ball;
use crate::oracle::Oracle;
use rand::RngExt;
use rand_distr::StandardNormal;
use tox_data::rng::stream;
use tox_nn::ascent::{self, Raised};

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
    /// Moves images from `start` up a loss. Returns the last points, each in the ball around its row of
    /// `clean`. A gradient that is zero or no number moves nothing.
    pub fn run(
        &self,
        oracle: &dyn Oracle,
        clean: &[f32],
        start: Vec<f32>,
        raised: Raised<'_>,
    ) -> Vec<f32> {
        let (size, classes, mut x) = (oracle.size(), oracle.classes(), start);
        let reach = self.ball.reach(clean);
        let there = oracle.ascend(&ascent::Ascent {
            start: &x,
            raised,
            bounds: reach.bounds(),
            steps: self.steps,
            length: self.step_size,
            stops: false,
        });
        if let Some(found) = there {
            x = found.pixels;
            if self.steps > 0 {
                let rows = x.chunks_exact_mut(size).zip(clean.chunks_exact(size));
                rows.for_each(|(x, clean)| self.ball.project(x, clean));
            }
            return x;
        }
        for _ in 0..self.steps {
            let (_, mut gradient) = oracle.pullback(&x, &mut |logits| {
                let mut cotangent = vec![0.0; logits.len()];
                let rows = logits.chunks_exact(classes);
                let rows = rows.zip(cotangent.chunks_exact_mut(classes));
                for (row, (logits, cotangent)) in rows.enumerate() {
                    losses::raised(raised, row, logits, cotangent);
                }
                cotangent
            });
            let lost = gradient.iter_mut().filter(|g| !g.is_finite());
            lost.for_each(|g| *g = 0.0);
            let rows = x.chunks_exact_mut(size).zip(gradient.chunks_exact(size));
            for ((x, gradient), clean) in rows.zip(clean.chunks_exact(size)) {
                x.copy_from_slice(&along(self.ball.norm, x, gradient, self.step_size));
                self.ball.project(x, clean);
            }
        }
        x
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ball::Norm;
    use crate::oracle::Cotangent;

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

        fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>) {
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
        let raised = Raised::CrossEntropy(&[0, 1]);
        let run = |a: Ascent| a.run(&line, &clean, clean.to_vec(), raised);
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
                let raised = Raised::CrossEntropy(&[0]);
                let x = a.run(&Line(weights), &[0.5, 0.0], vec![0.5, 0.125], raised);
                assert_eq!(x, [0.5, 0.125]);
            }
        }
        // The network's own answers: the divergence is at its least, and flat.
        let (line, clean) = (Line([3.0, -4.0]), [0.25f32, 0.75]);
        let answers = line.logits(&clean);
        let own = Raised::Divergence(&answers);
        let a = ascent(Norm::Linf, 0.25, 3, 0.1);
        assert_eq!(a.run(&line, &clean, clean.to_vec(), own), clean);
        // From there it goes on in the direction in which it stands.
        let x = a.run(&line, &clean, vec![0.26, 0.75], own);
        assert_eq!(x, [0.5, 0.5]);
    }

    #[test]
    fn noise_is_normal() {
        let of = |step| noisy(&[0.5; 10_000], 0.01, (1, "test", step));
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        let off: Vec<f64> = of(3).iter().map(|v| f64::from(v - 0.5)).collect();
        let mean = off.iter().sum::<f64>() / 1e4;
        let square = off.iter().map(|v| v * v).sum::<f64>() / 1e4;
        assert!(mean.abs() < 4e-4, "{mean}");
        assert!((square.sqrt() - 0.01).abs() < 4e-4, "{square}");
    }
}
