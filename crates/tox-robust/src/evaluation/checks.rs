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
/// on 10000 images; on the few hundred of a laptop that is one image, hence more here, and never a
/// single one.
pub const SQUARE: f64 = 0.5;
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
    /// Equal logits where there should be none: margins and DLR have steps, gradients are not those
    /// of the outputs.
    Quantised,
    /// The gradient of the margin by the pixels is zero or not finite.
    ZeroGradient,
    /// That of the cross-entropy is, that of the margin is not: logits too large for PGD and APGD-CE.
    CrossEntropyUnderflow,
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

/// Leaves out what another warning explains: of a randomised network the errors of single draws, of
/// one without gradients the failure of unbounded attacks along them.
pub(super) fn unexplained(mut warnings: Vec<Warning>) -> Vec<Warning> {
    let has = |kind| warnings.iter().any(|w: &Warning| w.kind == kind);
    let (randomised, flat) = (has(Kind::Randomised), has(Kind::ZeroGradient));
    warnings.retain(|w| match w.kind {
        Kind::EpsilonZero | Kind::Unconfirmed => !randomised,
        Kind::Unbounded => !flat,
        _ => true,
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
        _ => false,
    }
}

/// Every pair of attacks of which one should be the stronger.
pub(super) fn order(attacks: &[Attacked]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for strong in attacks {
        for weak in attacks {
            if !dominates(&strong.attack, &weak.attack) {
                continue;
            }
            let [a, b] = [weak, strong].map(|a| a.robust.iter().map(|r| !r).collect::<Vec<_>>());
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

/// Square against white-box attacks: within AutoAttack, and alone against the best of those with
/// several steps.
pub(super) fn square(attacks: &[Attacked]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut compare = |ahead: f64, images: usize, of: &Attack, than: &str| {
        let single = 100.0 / images.max(1) as f64;
        if ahead > SQUARE && ahead > 1.5 * single {
            let reason = format!(
                "Square, which sees no gradient, lowers accuracy by {ahead:.2} points more than \
                 {than}, more than {SQUARE} points of {images} images: gradients do not show the way, \
                 so robust accuracy is overestimated; give Square more queries or adapt an attack to \
                 this network"
            );
            warnings.push(Warning::new(Kind::SquareBeatsGradients, Some(of), reason));
        }
    };
    let gradient = |a: &&Attacked| {
        use Attack::*;
        matches!(a.attack, Pgd(_) | Cw(_) | ApgdCe(_) | ApgdDlr(_) | Fab(_))
    };
    let white_box = attacks.iter().filter(gradient);
    let best = white_box.min_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
    for attacked in attacks {
        let images = attacked.robust.len();
        match (&attacked.attack, best, attacked.parts.last()) {
            (Attack::AutoAttack(_), _, Some(last)) => {
                compare(
                    last.fooled,
                    images,
                    &attacked.attack,
                    "the attacks before it",
                );
            }
            (Attack::Square(_), Some(best), _) => {
                let ahead = best.accuracy - attacked.accuracy;
                compare(ahead, images, &attacked.attack, &best.attack.name());
            }
            _ => {}
        }
    }
    warnings
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
