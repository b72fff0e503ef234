//! What gradient cancelling minimises, and its gradient by the poison's images.

use super::{Victim, norm};
use serde::{Deserialize, Serialize};
use tox_data::Batch;
use tox_nn::layers::Network;

/// How well a poison's gradient cancels the clean one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// `|(1 - p) g_c + p g_p|^2`.
    pub loss: f64,
    /// Cosine of the angle between g_c and g_p, in -1..=1; 0 if one of them is 0.
    pub cosine: f64,
}

/// `|(1 - p) g_c + p g_p|^2` with g_c the clean gradient, p the poison's share and g_p the
/// gradient of a poison batch's mean cross-entropy, all by the victim's targets.
#[derive(Clone, Copy, Debug)]
pub struct Objective<'a> {
    /// g_c.
    pub clean: &'a [f32],
    /// p, above 0 and at most 1.
    pub share: f64,
    /// How far from the targets, in L2, both ends of the central difference lie.
    pub difference: f64,
}

impl Objective<'_> {
    /// Of a batch whose gradient is `poison`.
    pub fn at(&self, poison: &[f32]) -> Alignment {
        let lengths = norm(self.clean) * norm(poison);
        let pairs = || self.clean.iter().zip(poison);
        let product: f64 = pairs().map(|(c, p)| f64::from(*c) * f64::from(*p)).sum();
        Alignment {
            loss: pairs().map(|(c, p)| self.rest(*c, *p).powi(2)).sum(),
            cosine: if lengths == 0.0 {
                0.0
            } else {
                (product / lengths).clamp(-1.0, 1.0)
            },
        }
    }

    fn rest(&self, clean: f32, poison: f32) -> f64 {
        (1.0 - self.share) * f64::from(clean) + self.share * f64::from(poison)
    }

    /// Of `batch`, and the gradient of the loss by its images.
    ///
    /// That is `grad_x (r . g_p)` with `r = 2 p ((1 - p) g_c + p g_p)` held constant: the derivative,
    /// along r in the targets, of the gradient of the batch's cross-entropy by its images. It is taken
    /// as the central difference of that gradient at the targets plus and minus h r, all choices of
    /// ReLUs and max pools as they are in between (see [`tox_nn::layers::Choices`]).
    pub fn gradient<N: Network>(
        &self,
        victim: &mut Victim<N>,
        batch: &Batch,
    ) -> (Alignment, Vec<f32>) {
        let (poison, choices) = victim.gradient_and_choices(batch);
        let alignment = self.at(&poison.values);
        let pairs = self.clean.iter().zip(&poison.values);
        let r: Vec<f32> = pairs
            .map(|(c, p)| (2.0 * self.share * self.rest(*c, *p)) as f32)
            .collect();
        let length = norm(&r);
        if length == 0.0 {
            return (alignment, vec![0.0; batch.pixels.len()]);
        }
        let h = self.difference / length;
        let here = victim.values();
        let [above, below] = [h, -h].map(|h| {
            let moved = here.iter().zip(&r);
            let moved = moved.map(|(w, r)| (f64::from(*w) + h * f64::from(*r)) as f32);
            victim.set(&moved.collect::<Vec<f32>>());
            victim.image_gradient(batch, &choices)
        });
        victim.set(&here);
        let ends = above.iter().zip(&below);
        let slope = ends.map(|(a, b)| ((f64::from(*a) - f64::from(*b)) / (2.0 * h)) as f32);
        (alignment, slope.collect())
    }
}
