//! Signs that a robust accuracy is too good to be true.
//!
//! They are those of Athalye et al. ("Obfuscated gradients give a false sense of security", ICML
//! 2018, section 3.1), Carlini et al. ("On evaluating adversarial robustness", 2019, section 4) and
//! AutoAttack's program (`checks.py`, `flags_doc.md`), and the arithmetic that every attack must obey.
//! AutoAttack's last flag, a network that computes gradients while it answers (optimisation at test
//! time), cannot be seen from outside of an oracle: it is not checked here, and nothing that this
//! crate builds does so.

use super::outcome::Attacked;
use crate::attack::Attack;
use serde::{Deserialize, Serialize};

/// Forward passes of the same images that are compared, and by how much normalised logits may differ
/// (both AutoAttack's `check_randomized`).
pub const FORWARDS: usize = 5;
/// See [`FORWARDS`].
pub const RANDOMISED: f64 = 1e-4;
/// How near to a probability distribution all rows must lie to pass for one (AutoAttack's
/// `check_range_output`).
pub const PROBABILITIES: f64 = 1e-5;
/// Share of logits that must be distinct numbers. Those of a network in f32 almost all are; one in
/// two is far from that and from what rounding to 8 bits would leave of 1280.
pub const DISTINCT: f64 = 0.5;
/// Accuracy in percent that may be left where every image is allowed (Carlini et al. expect 0; one
/// image in 32 may resist the few steps of the check).
pub const UNBOUNDED: f64 = 5.0;
/// Points of accuracy by which Square may be ahead of white-box attacks. AutoAttack flags 0.2 points,
/// on 10000 images; on the few hundred of a laptop that is one image, hence more here, and never fewer
/// than [`TELLING`] images.
pub const SQUARE: f64 = 0.5;
/// Share of the margin that the gradient at an image must be able to change, were it the same everywhere,
/// by painting the whole image: an ordinary network's changes a margin many times over, rounding errors a
/// thousandth of it.
pub const FLAT: f64 = 0.01;
/// Share of images at which it may change less; a single one may be saturated.
pub const FEW_FLAT: f64 = 0.05;
/// Largest less smallest logit of an image below which the cross-entropy's gradient is a blend of all
/// classes, each of which weighs in it as much as another (by less than a quarter); and the share of images
/// of which that must be so.
pub const SPREAD: f32 = 0.2;
/// See [`SPREAD`].
pub const MOSTLY: f64 = 0.9;
/// Images that only one of two attacks fools, from which that is no chance even where the other fools
/// none alone; see [`DEVIATIONS`].
pub const TELLING: usize = 5;
/// By how many standard deviations of chance the images that only the weaker attack fools may
/// outnumber those that only the stronger does (McNemar's statistic).
pub const DEVIATIONS: f64 = 2.0;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The same images get different logits: gradients are those of one draw, so that attacks need an
    /// expectation over many (EoT).
    Randomised,
    /// Logits that are NaN or infinite.
    NotFinite,
    /// The logits are probabilities: losses on logits saturate.
    Probabilities,
    /// The same logits for all images.
    Constant,
    /// Equal logits where there should be none: margins and DLR have steps, gradients are not those
    /// of the outputs.
    Quantised,
    /// The gradient of the margin by the pixels is zero, as small as rounding errors, or not finite.
    ZeroGradient,
    /// That of the cross-entropy is, that of the margin is not: logits too large for PGD and APGD-CE.
    CrossEntropyUnderflow,
    /// Steps on the cross-entropy fool fewer than steps on the margin: logits so small that its gradient
    /// is a blend of all classes.
    CrossEntropyMisleads,
    /// An attack that may not move a pixel fools.
    EpsilonZero,
    /// A stored perturbation leaves the ball or the image range.
    OutsideBall,
    /// A stored adversarial example is classified correctly when asked again.
    Unconfirmed,
    /// A stronger attack, one with more steps or one with a larger ball fools fewer.
    StrongerIsWeaker,
    /// A gradient attack that may paint any image fails.
    Unbounded,
    /// Square, which sees no gradient, does better than attacks that do.
    SquareBeatsGradients,
}

/// A sign that the result is not to be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// What is wrong.
    pub kind: Kind,
    /// Of which attack, if it is one's.
    pub attack: Option<String>,
    /// What was found, in numbers, what it means and what to do, in a sentence.
    pub reason: String,
}

impl Warning {
    pub(super) fn new(kind: Kind, attack: Option<&Attack>, reason: String) -> Self {
        Self {
            kind,
            attack: attack.map(Attack::name),
            reason,
        }
    }
}

/// Leaves out what another warning explains: of a randomised network the errors of single draws, of one
/// whose logits overflow the answers that rounding decides, of one without gradients the failure of
/// unbounded attacks along them, of a constant one all that follows from it.
pub(super) fn unexplained(mut warnings: Vec<Warning>) -> Vec<Warning> {
    let has = |kind| warnings.iter().any(|w: &Warning| w.kind == kind);
    let (randomised, overflow) = (has(Kind::Randomised), has(Kind::NotFinite));
    let (flat, constant) = (has(Kind::ZeroGradient), has(Kind::Constant));
    warnings.retain(|w| match w.kind {
        Kind::EpsilonZero | Kind::Unconfirmed => !randomised && !overflow,
        Kind::Unbounded => !flat && !constant,
        Kind::ZeroGradient | Kind::Quantised => !constant,
        Kind::Randomised
        | Kind::NotFinite
        | Kind::Probabilities
        | Kind::Constant
        | Kind::CrossEntropyUnderflow
        | Kind::CrossEntropyMisleads
        | Kind::OutsideBall
        | Kind::StrongerIsWeaker
        | Kind::SquareBeatsGradients => true,
    });
    warnings
}

/// Whether `strong` fools so many fewer than `weak`, image by image, that chance does not explain it:
/// the images that only the weak one fools and those that only the strong one does.
pub(super) fn weaker(weak: &[bool], strong: &[bool]) -> Option<(usize, usize)> {
    let count = |yes: &[bool], no: &[bool]| {
        let pairs = yes.iter().zip(no);
        pairs.filter(|(yes, no)| **yes && !**no).count()
    };
    let (lost, won) = (count(weak, strong), count(strong, weak));
    let chance = DEVIATIONS * ((lost + won) as f64).sqrt();
    (lost as f64 - won as f64 > chance).then_some((lost, won))
}

/// Whether `strong` should fool at least as many as `weak`.
fn dominates(strong: &Attack, weak: &Attack) -> bool {
    use Attack::*;
    match (strong, weak) {
        (AutoAttack(_), AutoAttack(_)) => false,
        (AutoAttack(_), _) => true,
        (Pgd(strong) | Cw(strong), Fgsm {}) => strong.steps >= 10,
        (ApgdCe(strong), Fgsm {}) => strong.steps >= 10,
        (ApgdDlr(strong), Fgsm {}) => strong.steps >= 10,
        (Pgd(a), Pgd(b)) | (Cw(a), Cw(b)) => a.steps > b.steps && a.restarts >= b.restarts,
        (ApgdCe(a), ApgdCe(b)) => a.steps > b.steps && a.restarts >= b.restarts,
        (Square(a), Square(b)) => a.queries > b.queries && a.restarts >= b.restarts,
        // Of other pairs neither is known to be.
        _ => false,
    }
}

/// Every pair of attacks of which one should be the stronger, on the images of `distinct`.
pub(super) fn order(attacks: &[Attacked], distinct: &[usize]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for strong in attacks {
        for weak in attacks {
            if !dominates(&strong.attack, &weak.attack) {
                continue;
            }
            let [a, b] = [weak, strong].map(|a| {
                let fooled = distinct.iter().map(|&i| !a.robust[i]);
                fooled.collect::<Vec<_>>()
            });
            if let Some((lost, won)) = weaker(&a, &b) {
                let reason = format!(
                    "{} leaves {:.2} % correct, the weaker {} {:.2} %: {lost} images are fooled by \
                     the weaker one only, {won} by the stronger one only; its gradients mislead it, \
                     so robust accuracy is overestimated",
                    strong.attack.name(),
                    strong.accuracy,
                    weak.attack.name(),
                    weak.accuracy,
                );
                let kind = Kind::StrongerIsWeaker;
                warnings.push(Warning::new(kind, Some(&strong.attack), reason));
            }
        }
    }
    warnings
}

/// Square within AutoAttack, where it only sees what three attacks along gradients left: `only` of
/// `images`, distinct ones, it was the first to fool.
pub(super) fn square(attack: &Attack, only: usize, images: usize) -> Option<Warning> {
    let ahead = 100.0 * only as f64 / images.max(1) as f64;
    (ahead > SQUARE && only >= TELLING).then(|| {
        let reason = format!(
            "Square, which sees no gradient, lowers accuracy by {ahead:.2} points more than the attacks \
             before it, more than {SQUARE} points of {images} images: gradients do not show the way, so \
             robust accuracy is overestimated; give Square more queries or adapt an attack to this \
             network"
        );
        Warning::new(Kind::SquareBeatsGradients, Some(attack), reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_told_from_weakness() {
        let bits = |lost: usize, won: usize| {
            let weak = [vec![true; lost], vec![false; won], vec![true; 50]].concat();
            let strong = [vec![false; lost], vec![true; won], vec![true; 50]].concat();
            weaker(&weak, &strong)
        };
        assert_eq!(bits(4, 0), None);
        assert_eq!(bits(5, 0), Some((5, 0)));
        assert_eq!(bits(20, 10), None);
        assert_eq!(bits(30, 10), Some((30, 10)));
        assert_eq!(bits(0, 30), None);
    }
}
