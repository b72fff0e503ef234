//! What an evaluation measured, as a record holds it.

use super::verdict::{Reliable, Untested};
use super::warning::Warning;
use crate::attacks::Attack;
use crate::ball::Ball;
use serde::{Deserialize, Serialize};

/// Robust accuracy under some attacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Number of images.
    pub images: usize,
    /// Where the attacks moved in.
    pub ball: Ball,
    /// Accuracy on the images as they are, in percent.
    pub clean: f64,
    /// Accuracy, in percent, of answering the most frequent class of these images.
    pub majority: f64,
    /// Share of images, in percent, that are classified correctly whatever attack is run.
    pub worst_case: f64,
    /// Whether stronger attacks are expected to lower accuracies under these: they are weaker than
    /// AutoAttack, or there are warnings.
    pub upper_bound: bool,
    /// One entry an attack, in the order in which they were asked for.
    pub attacks: Vec<Attacked>,
    /// What the evaluation's own attacks found on images that all of these left correct; `None` if these
    /// were too few, or nothing was attacked.
    pub own: Option<OwnAttacks>,
    /// What a reader must know of the attacks, a sentence each.
    pub notes: Vec<String>,
    /// What speaks against these numbers.
    pub warnings: Vec<Warning>,
    /// What was not tested.
    pub untested: Vec<Untested>,
    /// Whether to believe them: not if there are warnings, and only if nothing is untested. Otherwise
    /// robust accuracy is an upper bound that may be loose.
    pub reliable: Reliable,
}

/// What the evaluation's own attacks found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnAttacks {
    /// Images that were left, distinct ones, at most 32.
    pub images: usize,
    /// How many of them 10 steps of CW fool.
    pub margin: usize,
    /// How many Square does; `None` where it, or another black box, was among the attacks.
    pub square: Option<usize>,
    /// Queries of Square for each image.
    pub queries: usize,
}

/// What one attack did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attacked {
    /// The attack.
    pub attack: Attack,
    /// Accuracy under it, in percent of all images.
    pub accuracy: f64,
    /// Of the images that it fooled, the share in percent that still are misclassified when the
    /// perturbed pixels are rounded to 8 bits, towards the clean ones so that they stay in the ball;
    /// `None` if it fooled none, or the clean pixels are no bytes over 255.
    pub eight_bit: Option<f64>,
    /// What it asked the network.
    pub queries: Queries,
    /// The attacks of an ensemble such as AutoAttack; empty for others.
    pub parts: Vec<Part>,
    /// For every image whether it is classified correctly as it is and under this attack. In memory
    /// only.
    #[serde(skip)]
    pub robust: Vec<bool>,
}

/// Passes of an attack, over the images that it was run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queries {
    /// All forward passes, an image each.
    pub forward: u64,
    /// All backward passes, an image each.
    pub backward: u64,
    /// Mean forward passes of an image.
    pub mean_forward: f64,
    /// Their median.
    pub median_forward: f64,
    /// Mean backward passes of an image.
    pub mean_backward: f64,
    /// Their median.
    pub median_backward: f64,
}

/// A part of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Short name of the attack.
    pub attack: String,
    /// Share of all images, in percent, that this part was the first to fool.
    pub fooled: f64,
}

impl Queries {
    /// Over one entry an image.
    pub(super) fn of(forward: &[u32], backward: &[u32]) -> Self {
        let total = |passes: &[u32]| passes.iter().map(|&p| u64::from(p)).sum::<u64>();
        let mean = |passes: &[u32]| total(passes) as f64 / passes.len().max(1) as f64;
        Self {
            forward: total(forward),
            backward: total(backward),
            mean_forward: mean(forward),
            median_forward: median(forward),
            mean_backward: mean(backward),
            median_backward: median(backward),
        }
    }
}

/// The middle one, or the mean of the two; 0 of none.
fn median(values: &[u32]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(&high), 1) => high.into(),
        (Some(&high), _) => (f64::from(sorted[middle - 1]) + f64::from(high)) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_by_hand() {
        let found = Queries::of(&[1, 9, 2, 4], &[0, 3, 3]);
        assert_eq!((found.forward, found.backward), (16, 6));
        assert_eq!((found.mean_forward, found.median_forward), (4.0, 3.0));
        assert_eq!((found.mean_backward, found.median_backward), (2.0, 3.0));
        assert_eq!(Queries::of(&[], &[]), Queries::default());
    }
}
