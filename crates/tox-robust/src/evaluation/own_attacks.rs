//! The evaluation's own attacks, on a few of the images that all attacks asked for left correct: what they
//! fool there, others overlooked.

use super::checks;
use super::outcome::OwnAttacks;
use super::warning::{Warning, WarningKind};
use crate::attacks::{ApgdCe, Attack, Cw, Evasion, Facts, Pgd, Square};
use crate::ball::Ball;
use crate::oracle::{Oracle, Points};

/// Images.
pub const FEW: usize = 32;
/// Steps of the attacks on margin and cross-entropy.
pub const STEPS: usize = 10;
/// Queries of Square: as many as keep all this below [`SHARE`] of the passes that the attacks asked for
/// made, within these.
const QUERIES: std::ops::RangeInclusive<usize> = 50..=200;
/// See [`QUERIES`]. Where much is left, much was asked, so that there are many.
const SHARE: f64 = 0.08;
/// Steps of the attacks that Square is held against where it looks too good.
const LONG: usize = 100;

impl OwnAttacks {
    /// What the margin's attack found, behind a sentence.
    pub(super) fn said(&self) -> String {
        let Self { images, margin, .. } = self;
        format!("; on {images} images that they left correct, {STEPS} steps of CW fool {margin}")
    }

    /// In a sentence.
    pub fn sentence(&self) -> String {
        let Self { images, margin, .. } = self;
        let square = self.square.map_or(String::new(), |square| {
            format!(", Square with {} queries {square}", self.queries)
        });
        format!(
            "own probe, on {images} images that all attacks left correct: {STEPS} steps of CW fool \
             {margin}{square}"
        )
    }
}

/// Draws others than the attacks asked for do.
fn other(seed: u64) -> u64 {
    seed.wrapping_add(1)
}

fn count(fooled: &[bool]) -> usize {
    fooled.iter().filter(|f| **f).count()
}

/// Queries after attacks that made `spent` passes, on `images` images.
fn queries(spent: u64, images: usize) -> usize {
    // A step is a pass forward and one back, which costs two.
    let margin = (3 * STEPS * images) as f64;
    let left = (SHARE * spent as f64 - margin) / images.max(1) as f64;
    (left.max(0.0) as usize).clamp(*QUERIES.start(), *QUERIES.end())
}

/// Attacks images that were left by attacks that made `spent` passes. Each attack here is only made if what
/// the ones before it found leaves something to tell apart.
pub(super) fn left(
    oracle: &dyn Oracle,
    points: Points<'_>,
    (attacks, spent): (&[Attack], u64),
    ball: Ball,
    seed: u64,
) -> (Option<OwnAttacks>, Vec<Warning>) {
    let (n, classes, seed) = (points.len(), oracle.classes(), other(seed));
    let mut warnings = Vec::new();
    if n < checks::TELLING {
        return (None, warnings);
    }
    let run = |attack: &dyn Evasion| attack.run(oracle, points, ball, seed).fooled;
    let margin = run(&Cw::new(STEPS));
    let by_margin = count(&margin);
    if by_margin >= checks::TELLING {
        let entropy = run(&Pgd::new(STEPS));
        if let Some((lost, won)) = checks::weaker(&margin, &entropy) {
            let reason = format!(
                "of {n} images that the attacks left correct, {STEPS} steps on the margin fool {lost} \
                 that {STEPS} steps on the cross-entropy do not, the other way round {won}: its gradient \
                 misleads, as where logits are so small that it is a blend of all classes; use cw, \
                 apgd-dlr, fab or autoattack, or scale the logits up"
            );
            warnings.push(Warning::new(
                WarningKind::CrossEntropyMisleads,
                None,
                reason,
            ));
        }
    }
    let mut asked = attacks.iter().flat_map(|attack| attack.parts(classes));
    let enough = |facts: Facts| facts.black_box() && facts.steps >= *QUERIES.end();
    let asked = asked.any(|attack| enough(attack.facts()));
    let queries = queries(spent, n);
    let own_square = Square {
        queries,
        ..Default::default()
    };
    let square = (!asked).then(|| run(&own_square));
    if let Some(square) = square.as_ref().filter(|s| count(s) >= checks::TELLING) {
        let along = strongest(oracle, points, ball, seed);
        if let Some((lost, won)) = checks::weaker(square, &along) {
            let reason = format!(
                "of {n} images that the attacks left correct, Square, which sees no gradient, fools \
                 {lost} with {queries} queries that {LONG} steps of APGD-CE and of CW do not, the other \
                 way round {won}: gradients do not show the way, so robust accuracy is overestimated; \
                 add square or autoattack, and adapt an attack to this network"
            );
            warnings.push(Warning::new(
                WarningKind::SquareBeatsGradients,
                None,
                reason,
            ));
        }
    }
    let own = OwnAttacks {
        images: n,
        margin: by_margin,
        square: square.map(|s| count(&s)),
        queries,
    };
    (Some(own), warnings)
}

/// What a strong attack along gradients fools: APGD on the cross-entropy, or steps on the margin.
pub(super) fn strongest(
    oracle: &dyn Oracle,
    points: Points<'_>,
    ball: Ball,
    seed: u64,
) -> Vec<bool> {
    let apgd = ApgdCe {
        steps: LONG,
        ..Default::default()
    };
    let run = |attack: &dyn Evasion| attack.run(oracle, points, ball, other(seed)).fooled;
    let (mut entropy, margin) = (run(&apgd), run(&Cw::new(LONG)));
    entropy.iter_mut().zip(margin).for_each(|(e, m)| *e |= m);
    entropy
}

/// Whether Square is ahead of gradients. `only` of the images, distinct ones, it alone fooled, `won` only
/// an attack along gradients among those asked for did; `tried` of the first were attacked again by
/// [`strongest`], which fooled `found`. What it fools of all of them is taken to be that share.
pub(super) fn ahead(only: usize, won: usize, (tried, found): (usize, usize)) -> bool {
    let left = only as f64 * (tried - found.min(tried)) as f64 / tried.max(1) as f64;
    left - won as f64 > checks::DEVIATIONS * (left + won as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{ahead, queries};

    #[test]
    fn queries_are_a_share_of_what_was_asked() {
        assert_eq!(queries(0, 32), 50);
        assert_eq!(queries(40_000, 32), 70);
        assert_eq!(queries(1_000_000, 32), 200);
    }

    #[test]
    fn square_is_ahead_only_of_what_a_strong_attack_does_not_find() {
        assert!(ahead(20, 0, (20, 0)) && ahead(100, 10, (32, 4)));
        assert!(!ahead(4, 0, (4, 0)) && !ahead(20, 10, (20, 0)));
        assert!(!ahead(200, 10, (32, 32)) && !ahead(20, 0, (20, 16)));
    }
}
