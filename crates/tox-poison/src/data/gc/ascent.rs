//! GradPC: towards the parameters that the poison is to make look like a minimum.

use super::Victim;
use super::norm;
use tox_data::Batch;
use tox_nn::layers::Network;

/// Ascent of the clean loss by the victim's targets, within a ball around where they began. For
/// every batch: g = gradient of its mean cross-entropy, divided by its L2 norm over all targets; a
/// += lr g; if |a| > radius, a is scaled back to the sphere; the targets are where they began plus
/// a.
#[derive(Clone, Debug, PartialEq)]
pub struct Ascent {
    start: Vec<f32>,
    /// a, how far the targets have moved.
    pub moved: Vec<f32>,
    radius: f64,
    lr: f64,
}

impl Ascent {
    /// From where the victim's targets are.
    pub fn new<N: Network>(victim: &Victim<N>, radius: f64, lr: f64) -> Self {
        let start = victim.values();
        Self {
            moved: vec![0.0; start.len()],
            start,
            radius,
            lr,
        }
    }

    /// One step on `batch`; gives |a| after it.
    ///
    /// # Errors
    /// The norm of the gradient, if it has no direction: 0 or not finite. Nothing has moved then.
    pub fn step<N: Network>(&mut self, victim: &mut Victim<N>, batch: &Batch) -> Result<f64, f64> {
        let gradient = victim.gradient(batch).values;
        let length = norm(&gradient);
        if length == 0.0 || !length.is_finite() {
            return Err(length);
        }
        for (a, g) in self.moved.iter_mut().zip(&gradient) {
            *a = (f64::from(*a) + self.lr * f64::from(*g) / length) as f32;
        }
        let mut reached = norm(&self.moved);
        if reached > self.radius {
            let scale = self.radius / reached;
            for a in &mut self.moved {
                *a = (f64::from(*a) * scale) as f32;
            }
            reached = self.radius;
        }
        self.place(victim);
        Ok(reached)
    }

    /// Puts the victim's targets where the ascent has come to.
    pub fn place<N: Network>(&self, victim: &mut Victim<N>) {
        let values = self.start.iter().zip(&self.moved).map(|(w, a)| w + a);
        victim.set(&values.collect::<Vec<f32>>());
    }
}
