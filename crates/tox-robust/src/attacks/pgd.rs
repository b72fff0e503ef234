//! PGD-k, projected gradient ascent (Madry et al. 2018) on the cross-entropy.
//!
//! Every iterate counts, not the last only: an example leaves at the first image that fools.

use super::kind::numbered;
use super::losses;
use super::{Batch, Evasion, Facts, Fgsm, Found, Gradient, Registered, start};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_nn::ascent::Raised;

/// Steps from which an attack should be stronger than the single one of FGSM.
const MORE_THAN_ONE: usize = 10;

/// Projected gradient ascent on the cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pgd {
    /// Steps of a restart, the `k` of PGD-k.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Length of a step in units of pixels in 0..=1. Absent: epsilon / min(steps, 10),
    /// which is RC-NAS's 0.8/255 for PGD-20 and CW-40 at epsilon 8/255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub step: Option<f64>,
    /// Runs from fresh starts.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub restarts: usize,
    /// Whether a run starts at a uniform point of the ball (all but the first of several runs do
    /// anyway), not at the clean image.
    #[serde(default = "yes")]
    pub random_start: bool,
}

impl Pgd {
    /// `steps` steps of the default length from one random start.
    pub fn new(steps: usize) -> Self {
        Self {
            steps,
            step: None,
            restarts: 1,
            random_start: true,
        }
    }

    /// The length of a step in a ball of radius `epsilon`.
    pub fn step(&self, epsilon: f64) -> f64 {
        self.step
            .unwrap_or_else(|| epsilon / self.steps.clamp(1, 10) as f64)
    }
}

impl Default for Pgd {
    fn default() -> Self {
        Self::new(20)
    }
}

impl Registered for Pgd {
    const KIND: &'static str = "pgd";
    const NAMES: &'static [&'static str] = &["pgd20"];
    const VARIES: Option<&'static str> = Some("any number of steps");

    fn parse(name: &str) -> Option<Self> {
        numbered(name, Self::KIND, 20).map(Self::new)
    }
}

impl Evasion for Pgd {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "PGD",
            gradient: Some(Gradient::CrossEntropy),
            steps: self.steps,
            passes: 3.0 * self.steps as f64 * self.restarts as f64,
            ..Facts::default()
        }
    }

    fn name(&self) -> String {
        format!("pgd{}", self.steps)
    }

    fn shorten(&mut self, tries: usize) {
        (self.steps, self.restarts) = (self.steps.min(tries), 1);
        // A default step is a share of epsilon, which may be 0.
        self.step = Some(self.step.unwrap_or(0.01));
    }

    fn dominates(&self, other: &dyn Evasion) -> bool {
        match other.downcast_ref::<Self>() {
            Some(other) => longer((self.steps, self.restarts), (other.steps, other.restarts)),
            None => beats_one_step(self.steps, other),
        }
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let name = (Self::KIND, seed);
        ascend(oracle, points, ball, self, name, |labels| {
            Raised::CrossEntropy(labels)
        })
    }
}

/// Whether the first makes more steps in no fewer restarts.
pub(super) fn longer((steps, restarts): (usize, usize), other: (usize, usize)) -> bool {
    steps > other.0 && restarts >= other.1
}

/// Whether `other` is the single step that so many are more than.
pub(super) fn beats_one_step(steps: usize, other: &dyn Evasion) -> bool {
    other.downcast_ref::<Fgsm>().is_some() && steps >= MORE_THAN_ONE
}

/// At most k + 1 forward and k backward passes a restart; draws by the name of the attack. `raised` is the loss
/// of images with these labels.
pub(super) fn ascend(
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    config: &Pgd,
    (name, seed): (&str, u64),
    raised: fn(&[u16]) -> Raised<'_>,
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
        if batch.ascend(&runs, raised, (config.steps, length)) {
            continue;
        }
        let loss = |i: usize, logits: &[f32], d: &mut [f32]| {
            losses::raised(raised(points.labels), i, logits, d)
        };
        for _ in 0..config.steps {
            let images = runs.iter().map(|(i, x)| (*i, x.as_slice()));
            let (_, gradient) = batch.gradients(images, &loss);
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

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}
