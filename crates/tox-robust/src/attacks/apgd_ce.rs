//! APGD-CE: Auto-PGD on the cross-entropy.

use super::apgd::{self, APGD_STEPS};
use super::losses::{self, Loss};
use super::pgd::{beats_one_step, longer};
use super::{Batch, Evasion, Facts, Found, Gradient, Registered};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Auto-PGD on the cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdCe {
    /// Steps of a restart.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Runs from random starts.
    #[schemars(range(min = 1))]
    pub restarts: usize,
    /// Share of steps since the last checkpoint that must have raised the loss if the step size is
    /// to stay.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub rho: f64,
}

impl Default for ApgdCe {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            rho: 0.75,
        }
    }
}

impl Registered for ApgdCe {
    const KIND: &'static str = "apgd-ce";
}

impl Evasion for ApgdCe {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "APGD-CE",
            gradient: Some(Gradient::CrossEntropy),
            steps: self.steps,
            passes: 3.0 * self.steps as f64 * self.restarts as f64,
            thorough: self.steps >= APGD_STEPS,
            ..Facts::default()
        }
    }

    fn shorten(&mut self, tries: usize) {
        (self.steps, self.restarts) = (tries, 1);
    }

    fn dominates(&self, other: &dyn Evasion) -> bool {
        match other.downcast_ref::<Self>() {
            Some(other) => longer((self.steps, self.restarts), (other.steps, other.restarts)),
            None => beats_one_step(self.steps, other),
        }
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        let mut batch = Batch::new(oracle, points, ball);
        let loss: Loss<'_> =
            &|i, logits, d| losses::cross_entropy(logits, points.labels[i].into(), d);
        for restart in 0..self.restarts {
            let key = (Self::KIND, seed, &[restart as u64][..]);
            apgd::run(&mut batch, self, key, loss);
        }
        batch.finish()
    }
}
