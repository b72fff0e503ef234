//! The fast gradient sign method (Goodfellow et al. 2015): one step of length epsilon.

use super::{Batch, Evasion, Facts, Found, Gradient, Registered, losses, start};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        step(oracle, points, ball)
    }
}

/// One forward and one backward pass at the clean image, one forward pass at the end of the step.
/// Nothing is drawn.
fn step(oracle: &dyn Oracle, points: Points<'_>, ball: Ball) -> Found {
    let mut batch = Batch::new(oracle, points, ball);
    let open = batch.open();
    let images: Vec<_> = open.iter().map(|&i| (i, batch.clean(i))).collect();
    let labels = points.labels;
    let (_, gradient) = batch.gradients(images.into_iter(), &|i, logits, d| {
        losses::cross_entropy(logits, labels[i].into(), d)
    });
    let mut stepped = Vec::new();
    for (&i, gradient) in open.iter().zip(gradient.chunks(oracle.size())) {
        if batch.is_open(i) {
            let clean = batch.clean(i);
            let mut x = start::along(ball.norm, clean, gradient, ball.epsilon);
            ball.project(&mut x, clean);
            stepped.push((i, x));
        }
    }
    batch.logits(stepped.iter().map(|(i, x)| (*i, x.as_slice())));
    batch.finish()
}
