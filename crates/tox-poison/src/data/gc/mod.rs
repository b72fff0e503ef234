//! GC, gradient cancelling (Lu et al. 2023), with the target parameters of GradPC (Sun et al. 2020):
//! images whose gradient cancels that of the clean rows at a model that the adversary has chosen, so
//! that training has no reason to leave it.
//!
//! From a [`Victim`] trained on the clean rows: [`Ascent`] (GradPC) moves its target parameters
//! uphill, to w; g_c is the mean gradient of the clean rows at w; then the poison's images are moved,
//! within a bound, to make `|(1 - p) g_c + p g_p|^2` small ([`Objective`]), batch by batch, by Adam.
//! The targets are what a search learns: the architecture parameters of P-DARTS, the weights of a
//! discretised network for RoBoT and TE-NAS, all weights of a subnet for NSGANetV2.
//!
//! It follows the published code: everything in normalised units; every poison batch alone against
//! the whole g_c; one plain Adam; a snapshot every few iterations, judged by the loss before
//! the step that made it. Where it differs: images are rounded to 8 bits, not truncated, so that the
//! bound holds; batches have equal sizes up to one, so that no small last batch has batch statistics
//! of its own; clean batches are shuffled once, and both passes over the clean rows see the same
//! ones. No second derivatives are needed: see [`Objective::gradient`].
//!
//! It holds, and writes to its checkpoint, four f32 numbers for every pixel of the poison: delta,
//! Adam's moments, the best snapshot. For half of CIFAR-10 that is 1.2 GB.
//!
//! Unlike the other attacks' budgets, those of GC are not nested: the rows of a smaller one are the
//! first of a larger one's, but what happens to them depends on p.

mod alphas;
mod ascent;
mod delta;
mod machine;
mod objective;
mod victim;

pub use alphas::WithAlphas;
pub use ascent::Ascent;
pub use objective::{Alignment, Objective};
pub use victim::{Gradient, Victim};

use super::{Check, Crafted, PoisonError, random_rows};
use machine::Cancelling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tox_data::checkpoint::{Hooks, drive};
use tox_data::features::{Features, Values};
use tox_data::patch::Patch;
use tox_data::ranges;
use tox_data::{Normalise, Split};
use tox_nn::layers::Network;

/// Every number of the attack.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gc {
    /// Largest change of a pixel (L-inf), in 1/255.
    #[schemars(range(min = 1, max = 255))]
    pub bound: u8,
    /// How far the ascent may take the target parameters, in L2. The paper has 1.0 for
    /// architecture parameters and NSGANetV2's subnets, 0.5 for discretised networks. On a smaller
    /// network the same radius goes further, and a model that is too bad cannot be defended by
    /// images: see [`Cancelled::clean_loss`]. 0: no ascent, the victim already is the model that the
    /// adversary has chosen.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub radius: f64,
    /// Length of a step of the ascent.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub ascent_lr: f64,
    /// Most images of a clean batch, in the ascent and for g_c.
    #[schemars(range(min = 2, max = 65_536))]
    pub clean_batch: usize,
    /// Adam's learning rate, in normalised units: 0.1 is 6 of 255 steps a pixel on CIFAR-10.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr: f64,
    /// Passes over the poison.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub iterations: usize,
    /// Most images of a poison batch. The published code has 32, its published run 64.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: usize,
    /// Iterations from one snapshot to the next; the first and the last make one too.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub snapshot_every: usize,
    /// How far from the targets, in L2, the central difference takes its two gradients. Not in the paper, which differentiates twice. In float32, 0.01 comes within 5e-5 of the
    /// exact gradient of small networks, and 0.003 within 6e-5, 0.01 within 5e-4 when the targets
    /// are the alphas of a small supernet. On networks and supernets of the DARTS space with 16
    /// channels and 5 cells, 0.003, 0.01 and 0.03 give the same within 3e-3; longer ones bend, and
    /// shorter ones drown in rounding.
    #[schemars(range(min = 1e-9, max = 1e3))]
    pub difference: f64,
}

/// What is taken uphill, and whose gradient is cancelled there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Targets {
    /// The alphas of a searched supernet.
    Alphas,
    /// The weights that a found subnet inherits from its supernet.
    Inherited,
    /// All weights of a found network that is trained for it.
    Found,
    /// All weights of a small network that no search found, trained in minutes.
    Small,
}

impl Targets {
    /// How far uphill they are taken unless a number is given, in L2. The paper has 1 for alphas, and 0.5
    /// or 1 for networks. On networks a tenth of the size, from about 0.2 on, images that may move by 16
    /// steps no longer turn the poison's gradient against the clean one (measured on the digits, see the
    /// guide).
    pub fn radius(self) -> f64 {
        match self {
            Self::Alphas | Self::Inherited => 1.0,
            Self::Found => 0.5,
            Self::Small => 0.1,
        }
    }
}

impl Default for Gc {
    fn default() -> Self {
        Self {
            bound: 16,
            radius: Targets::Alphas.radius(),
            ascent_lr: 1.0,
            clean_batch: 64,
            lr: 0.1,
            iterations: 100,
            batch: 64,
            snapshot_every: 10,
            difference: 0.01,
        }
    }
}

/// What is poisoned, and how.
pub struct Attack<'a> {
    /// The clean rows, 8-bit images: those that the victim was trained on.
    pub clean: &'a Features,
    /// The victim's normalisation.
    pub normalise: &'a Normalise,
    pub gc: Gc,
    /// Seed of the rows that are poisoned, and of the clean batches.
    pub seed: u64,
    /// How the victim was made, for the patch's manifest.
    pub source: Value,
}

/// How the cancelling went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// How far the ascent took the targets, in L2.
    pub ascent: f64,
    /// The values of the targets there, for whoever can say what they stand for; no record has them.
    #[serde(skip)]
    pub aim: Vec<f32>,
    /// Mean cross-entropy of the clean rows there.
    pub clean_loss: f64,
    /// L2 norm of g_c.
    pub clean_gradient: f64,
    /// Before the step of each iteration, mean over poison batches; the first is that of the clean
    /// images.
    pub curve: Vec<Alignment>,
    /// The iteration, from 0, behind whose step the images were taken.
    pub snapshot: usize,
    /// Of the images in 8 bits, mean over batches.
    pub after: Alignment,
}

impl Cancelled {
    /// Of the same images before they were poisoned.
    pub fn before(&self) -> Alignment {
        self.curve.first().copied().unwrap_or(self.after)
    }

    /// Why the attack did not do what it is for.
    fn unreliable(&self) -> Option<String> {
        let (before, after) = (self.before(), self.after);
        if after.loss >= before.loss {
            Some(format!(
                "gradient cancelling did not lower its loss: {:.4e} before, {:.4e} after",
                before.loss, after.loss
            ))
        } else if after.cosine >= before.cosine {
            Some(format!(
                "the poison's gradient did not turn against the clean one: cosine {:.4} before, \
                 {:.4} after",
                before.cosine, after.cosine
            ))
        } else {
            None
        }
    }
}

/// Poisons a share of `budget` of the images (see [`super::points`]), drawn as [`super::flip::random`] draws its rows, with a
/// share of `budget`. It goes on from its checkpoint if there is one; `None` means that it was
/// asked to stop and has saved itself.
///
/// # Errors
/// A budget that is no share or less than a row, and as [`craft_rows`].
pub fn craft<N: Network>(
    victim: Victim<N>,
    attack: &Attack<'_>,
    budget: f64,
    hooks: Hooks<'_>,
) -> Result<Option<Crafted>, PoisonError> {
    let rows = random_rows(budget, attack.clean.rows, attack.seed)?;
    craft_rows(victim, attack, rows, budget, hooks)
}

/// Poisons the images at `rows`, with a `share` p of its own: that of the poison in the batches that
/// the victim's training will see. As [`craft`] beside that.
///
/// # Errors
/// A share that is not above 0 and at most 1, rows that the clean set does not have or that are no
/// 8-bit images, settings out of range, a checkpoint that cannot be used, a victim without targets
/// or with gradients of no use.
pub fn craft_rows<N: Network>(
    victim: Victim<N>,
    attack: &Attack<'_>,
    rows: Vec<u64>,
    share: f64,
    mut hooks: Hooks<'_>,
) -> Result<Option<Crafted>, PoisonError> {
    let (clean, gc) = (attack.clean, attack.gc);
    ranges::check(&gc)?;
    // NaN is no share.
    if !(share > 0.0 && share <= 1.0) {
        return Err(PoisonError::Budget { budget: share });
    }
    if victim.values().is_empty() {
        let what = "it has no target parameters; name those that the search learns".into();
        return Err(PoisonError::Victim { what });
    }
    let all = images(clean)?;
    // A black patch knows what is wrong with the rows.
    let black = vec![0; rows.len() * clean.columns];
    Patch::of_images(clean, rows.clone(), black, "gc", Value::Null)?;
    let chosen: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
    let images = [all, images(&clean.rows(&chosen))?];
    let mut machine = Cancelling::new(victim, attack, images, share);
    if !drive(&mut machine, &mut hooks)? {
        return Ok(None);
    }
    let (rounded, cancelled) = machine.finish()?;
    let settings = json!({
        "gc": gc, "share": share, "seed": attack.seed, "victim": attack.source
    });
    let patch = Patch::of_images(clean, rows, rounded.images.pixels, "gc", settings)?;
    let mut check = Check::images(&patch, clean, gc.bound)?;
    check.unreliable = check.unreliable.or_else(|| cancelled.unreliable());
    check.cancelled = Some(cancelled);
    Ok(Some(Crafted { patch, check }))
}

/// The rows as images.
///
/// # Errors
/// Rows that are no 8-bit images.
pub fn images(clean: &Features) -> Result<Split, PoisonError> {
    let found = match clean.values {
        Values::Bytes(_) => "rows without the shape of an image",
        Values::Floats(_) => "floats",
    };
    clean.images().ok_or(PoisonError::NotImages {
        attack: "gradient cancelling",
        found,
    })
}

/// L2 norm, added up in order.
fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|v| f64::from(*v) * f64::from(*v));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_cancel_is_unreliable() {
        let alignment = |loss, cosine| Alignment { loss, cosine };
        let reason = |after| {
            let cancelled = Cancelled {
                ascent: 1.0,
                aim: Vec::new(),
                clean_loss: 1.0,
                clean_gradient: 1.0,
                curve: vec![alignment(2.0, 0.5), alignment(9.0, 0.9)],
                snapshot: 0,
                after,
            };
            assert_eq!(cancelled.before(), alignment(2.0, 0.5));
            cancelled.unreliable()
        };
        assert_eq!(reason(alignment(1.9, 0.4)), None);
        let loss = reason(alignment(2.0, -0.9)).unwrap();
        assert!(loss.contains("2.0000e0 before, 2.0000e0 after"), "{loss}");
        let cosine = reason(alignment(1.0, 0.5)).unwrap();
        assert!(
            cosine.contains("cosine 0.5000 before, 0.5000 after"),
            "{cosine}"
        );
    }
}
