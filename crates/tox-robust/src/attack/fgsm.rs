//! The fast gradient sign method (Goodfellow et al. 2015): one step of length epsilon.

use super::batch::Batch;
use super::{Found, losses, start};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};

/// Attacks points: one forward and one backward pass at the clean image, one forward pass at the end
/// of the step. Nothing is drawn.
pub fn run(oracle: &dyn Oracle, points: Points<'_>, ball: Ball) -> Found {
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
