//! Auto-PGD (Croce and Hein 2020, algorithm 1): projected gradient ascent with momentum that halves
//! its own step.
//!
//! Where the paper and its authors' program differ we follow the program, for the published numbers
//! are its: a step is halved when at most (not: less than) a share rho of the steps since the last
//! checkpoint raised the loss, and the rule that the best loss stood still holds from the second
//! checkpoint on. Checkpoints are the paper's, which for 100 steps are the program's. The last step
//! needs no gradient, so a run makes one backward pass fewer than the program.

use super::losses::Loss;
use super::{ApgdCe, Batch, start};
use crate::ball::Ball;

/// Steps from which APGD, as FAB, is as strong as in AutoAttack, which makes so many.
pub(crate) const APGD_STEPS: usize = 100;
/// Weight of the gradient step against the momentum.
const MOMENTUM: f64 = 0.75;

/// One example in a run.
struct Climb {
    example: usize,
    x: Vec<f32>,
    /// The iterate before `x`.
    old: Vec<f32>,
    gradient: Vec<f32>,
    loss: f64,
    best: Vec<f32>,
    best_gradient: Vec<f32>,
    pace: Pace,
}

/// A run from a random start for every example that is not fooled: at most `steps` + 1 forward and `steps`
/// backward passes.
pub(super) fn run(
    batch: &mut Batch<'_>,
    config: &ApgdCe,
    (name, seed, at): (&str, u64, &[u64]),
    loss: Loss<'_>,
) {
    let mut starts = Vec::new();
    for i in batch.open() {
        let rng = &mut batch.stream(seed, name, i, at);
        starts.push((i, start::surface(batch.ball, batch.clean(i), rng)));
    }
    climb(batch, config, starts, loss);
}

fn climb(batch: &mut Batch<'_>, config: &ApgdCe, starts: Vec<(usize, Vec<f32>)>, loss: Loss<'_>) {
    let ball = batch.ball;
    let images = starts.iter().map(|(i, x)| (*i, x.as_slice()));
    let (values, gradient) = batch.gradients(images, loss);
    let size = (gradient.len() / starts.len().max(1)).max(1);
    let rows = values.into_iter().zip(gradient.chunks(size));
    let mut climbs: Vec<Climb> = starts
        .into_iter()
        .zip(rows)
        .map(|((example, x), (loss, gradient))| Climb {
            example,
            old: x.clone(),
            best: x.clone(),
            x,
            gradient: gradient.to_vec(),
            loss,
            best_gradient: gradient.to_vec(),
            pace: Pace::new(2.0 * ball.epsilon, loss),
        })
        .collect();
    let checkpoints = checkpoints(config.steps);
    for step in 1..=config.steps {
        climbs.retain(|climb| batch.is_open(climb.example));
        for climb in &mut climbs {
            climb.step(ball, batch.clean(climb.example), step == 1);
        }
        let images = climbs
            .iter()
            .map(|climb| (climb.example, climb.x.as_slice()));
        if step == config.steps {
            batch.logits(images);
            return;
        }
        let (values, gradient) = batch.gradients(images, loss);
        let rows = values.into_iter().zip(gradient.chunks(size));
        for (climb, (loss, gradient)) in climbs.iter_mut().zip(rows) {
            climb.see(loss, gradient);
            if checkpoints.contains(&step) && climb.pace.check(config.rho) {
                climb.x.copy_from_slice(&climb.best);
                climb.gradient.copy_from_slice(&climb.best_gradient);
            }
        }
    }
}

impl Climb {
    /// The next iterate: a projected gradient step z, then x + 0.75 (z - x) + 0.25 (x - old),
    /// projected; the first is z itself.
    fn step(&mut self, ball: Ball, clean: &[f32], first: bool) {
        let mut next = start::along(ball.norm, &self.x, &self.gradient, self.pace.step);
        ball.project(&mut next, clean);
        if !first {
            for ((z, &x), &old) in next.iter_mut().zip(&self.x).zip(&self.old) {
                let (ahead, behind) = (f64::from(*z), f64::from(old));
                let x = f64::from(x);
                *z = (x + MOMENTUM * (ahead - x) + (1.0 - MOMENTUM) * (x - behind)) as f32;
            }
            ball.project(&mut next, clean);
        }
        self.old = std::mem::replace(&mut self.x, next);
    }

    /// Takes in the loss and the gradient at `x`.
    fn see(&mut self, loss: f64, gradient: &[f32]) {
        self.gradient.copy_from_slice(gradient);
        if self.pace.see(self.loss, loss) {
            self.best.copy_from_slice(&self.x);
            self.best_gradient.copy_from_slice(gradient);
        }
        self.loss = loss;
    }
}

/// The step size of one example and what decides when it is halved.
#[derive(Clone, Debug, PartialEq)]
struct Pace {
    step: f64,
    best: f64,
    /// The best loss at the last checkpoint, and whether the step was halved there.
    best_then: f64,
    halved_then: bool,
    /// Steps since then, and how many of them raised the loss.
    steps: usize,
    rises: usize,
}

impl Pace {
    fn new(step: f64, loss: f64) -> Self {
        Self {
            step,
            best: loss,
            best_then: loss,
            halved_then: true,
            steps: 0,
            rises: 0,
        }
    }

    /// A step from a point of loss `before` to one of `loss`; whether this is the best so far.
    fn see(&mut self, before: f64, loss: f64) -> bool {
        self.steps += 1;
        self.rises += usize::from(loss > before);
        let better = loss > self.best;
        if better {
            self.best = loss;
        }
        better
    }

    /// A checkpoint: whether the step is halved, and the run goes on from its best point.
    fn check(&mut self, rho: f64) -> bool {
        let few = self.rises as f64 <= rho * self.steps as f64;
        let stuck = !self.halved_then && self.best_then >= self.best;
        let halve = few || stuck;
        if halve {
            self.step /= 2.0;
        }
        (self.halved_then, self.best_then) = (halve, self.best);
        (self.steps, self.rises) = (0, 0);
        halve
    }
}

/// The steps w_j = ceil(p_j n) after which the step size is checked: p_0 = 0, p_1 = 0.22, p_(j+1) =
/// p_j + max(p_j - p_(j-1) - 0.03, 0.06), as whole hundredths.
fn checkpoints(steps: usize) -> Vec<usize> {
    let (mut before, mut at) = (0usize, 22usize);
    let mut found = Vec::new();
    while at <= 100 {
        found.push((at * steps).div_ceil(100));
        (before, at) = (at, at + (at - before).saturating_sub(3).max(6));
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests;
