//! Signs that a robust accuracy is too good to be true.
//!
//! They are those of Athalye et al. ("Obfuscated gradients give a false sense of security", ICML
//! 2018, section 3.1), Carlini et al. ("On evaluating adversarial robustness", 2019, section 4) and
//! AutoAttack's program (`checks.py`, `flags_doc.md`), and the arithmetic that every attack must obey.
//! AutoAttack's last flag, a network that computes gradients while it answers (optimisation at test
//! time), cannot be seen from outside of an oracle: it is not checked here, and nothing that this
//! crate builds does so.

use super::outcome::Attacked;
use super::warning::{Warning, WarningKind};
use crate::attacks::Attack;

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

/// Leaves out what another warning explains: of a randomised network the errors of single draws, of one
/// whose logits overflow the answers that rounding decides, of one without gradients the failure of
/// unbounded attacks along them, of a constant one all that follows from it.
pub(super) fn unexplained(mut warnings: Vec<Warning>) -> Vec<Warning> {
    let has = |kind| warnings.iter().any(|w: &Warning| w.kind == kind);
    let (randomised, overflow) = (has(WarningKind::Randomised), has(WarningKind::NotFinite));
    let (flat, constant) = (has(WarningKind::ZeroGradient), has(WarningKind::Constant));
    warnings.retain(|w| match w.kind {
        WarningKind::EpsilonZero | WarningKind::Unconfirmed => !randomised && !overflow,
        WarningKind::Unbounded => !flat && !constant,
        WarningKind::ZeroGradient | WarningKind::Quantised => !constant,
        WarningKind::Randomised
        | WarningKind::NotFinite
        | WarningKind::Probabilities
        | WarningKind::Constant
        | WarningKind::CrossEntropyUnderflow
        | WarningKind::CrossEntropyMisleads
        | WarningKind::OutsideBall
        | WarningKind::StrongerIsWeaker
        | WarningKind::SquareBeatsGradients => true,
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

/// Every pair of attacks of which one should be the stronger, on the images of `distinct`.
pub(super) fn order(attacks: &[Attacked], distinct: &[usize]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for strong in attacks {
        for weak in attacks {
            if !strong.attack.dominates(&*weak.attack) {
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
                let kind = WarningKind::StrongerIsWeaker;
                warnings.push(Warning::new(kind, Some(&strong.attack), reason));
            }
        }
    }
    warnings
}

/// The black box `blind` within an ensemble, where it only sees what attacks along gradients left: `only` of
/// `images`, distinct ones, it was the first to fool.
pub(super) fn black_box(
    (ensemble, blind): (&Attack, &Attack),
    only: usize,
    images: usize,
) -> Option<Warning> {
    let title = blind.facts().title();
    let ahead = 100.0 * only as f64 / images.max(1) as f64;
    (ahead > SQUARE && only >= TELLING).then(|| {
        let reason = format!(
            "{title}, which sees no gradient, lowers accuracy by {ahead:.2} points more than the attacks \
             before it, more than {SQUARE} points of {images} images: gradients do not show the way, so \
             robust accuracy is overestimated; give {title} more queries or adapt an attack to this \
             network"
        );
        Warning::new(WarningKind::SquareBeatsGradients, Some(ensemble), reason)
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
