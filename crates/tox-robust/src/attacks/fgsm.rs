//! The fast gradient sign method (Goodfellow et al. 2015): one step of length epsilon.

use super::pgd::ascend;
use super::{Evasion, Facts, Found, Gradient, Pgd, Registered};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_nn::ascent::Raised;

/// One step of length epsilon along the gradient (its sign in L-inf) of the cross-entropy, from
/// the clean image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fgsm {}

impl Registered for Fgsm {
    const KIND: &'static str = "fgsm";
}

impl Evasion for Fgsm {
    fn facts(&self) -> Facts {
        Facts {
            kind: Self::KIND,
            title: "FGSM",
            gradient: Some(Gradient::CrossEntropy),
            steps: 1,
            passes: 4.0,
            ..Facts::default()
        }
    }

    fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, _seed: u64) -> Found {
        // One forward and one backward pass at the clean image, one forward pass at the end of the step. Nothing
        // is drawn.
        let step = Pgd {
            steps: 1,
            step: Some(ball.epsilon),
            restarts: 1,
            random_start: false,
        };
        ascend(oracle, points, ball, &step, (Self::KIND, 0), |labels| {
            Raised::CrossEntropy(labels)
        })
    }
}
