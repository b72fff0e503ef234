//! Whether an evaluation may call itself reliable: what it must have tested to.
//!
//! Signs that speak against a number ([`checks`](super::checks)) make it unreliable. Where there are none,
//! that only says something if the test could have failed: attacks as strong as AutoAttack, images of
//! several classes, a network that tells them apart.

use crate::attacks::{APGD_STEPS, Attack, CW_STEPS, Gradient, QUERIES};
use serde::{Deserialize, Serialize};
use tox_data::majority;

/// Distinct images, classified correctly, below which nothing can be said.
pub const IMAGES: usize = 10;

/// Whether to believe a robust accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reliable {
    /// It was attacked as strongly as AutoAttack does, and nothing speaks against it.
    Yes,
    /// There are signs that it is wrong.
    No,
    /// Nothing speaks against it, but what would have was not, or could not be, tested.
    NotTested,
}

impl Reliable {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Reliable::Yes => "yes",
            Reliable::No => "NO",
            Reliable::NotTested => "not tested",
        }
    }
}

/// What was not tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// No attack was run.
    NoAttack,
    /// Epsilon is 0: no pixel may be moved.
    NoRoom,
    /// All images are of one class.
    OneClass,
    /// No image is classified correctly, so that none was attacked.
    NoneCorrect,
    /// The network is hardly better than answering the most frequent class.
    Majority,
    /// Too few distinct images.
    FewImages,
    /// The attacks are weaker than AutoAttack: the accuracy is an upper bound.
    WeakAttacks,
}

/// Why an evaluation without signs against it is not called reliable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Untested {
    /// What is missing.
    pub gap: Gap,
    /// In numbers, and what to do, in a sentence.
    pub reason: String,
}

/// What the verdict goes by.
pub(super) struct Tested<'a> {
    pub attacks: &'a [Attack],
    pub epsilon: f64,
    pub classes: usize,
    /// Whether the model has gradients.
    pub gradient: bool,
    /// One entry an image.
    pub labels: &'a [u16],
    /// Images that are classified correctly.
    pub correct: usize,
    /// How many of them are distinct.
    pub distinct: usize,
}

impl Tested<'_> {
    /// Accuracy, in percent, of answering the most frequent class.
    pub fn majority(&self) -> f64 {
        100.0 - majority::error(self.labels)
    }

    pub fn untested(&self) -> Vec<Untested> {
        let mut found = Vec::new();
        let mut add = |gap, reason| found.push(Untested { gap, reason });
        let n = self.labels.len();
        let clean = 100.0 * self.correct as f64 / n as f64;
        if self
            .labels
            .iter()
            .all(|label| Some(label) == self.labels.first())
        {
            let reason = format!(
                "all {n} images are of one class, on which a constant answer is right and robust: \
                 take images of several classes"
            );
            add(Gap::OneClass, reason);
        } else if self.correct == 0 {
            let reason = format!(
                "none of the {n} images is classified correctly, so none was attacked: see whether \
                 the normalisation is that of the training, and the classes in its order"
            );
            add(Gap::NoneCorrect, reason);
        } else if let Some(found) = majority::no_better(100.0 - clean, self.labels) {
            let reason = format!(
                "{found}: the network's robustness says nothing; see whether the normalisation is that of \
                 the training, and the classes in its order"
            );
            add(Gap::Majority, reason);
        }
        if self.correct > 0 && self.distinct < IMAGES {
            let reason = format!(
                "of {n} images, {} are distinct and classified correctly, fewer than the {IMAGES} \
                 from which the checks can tell anything: take more images",
                self.distinct,
            );
            add(Gap::FewImages, reason);
        }
        if self.attacks.is_empty() {
            add(Gap::NoAttack, "no attack was run".to_owned());
        } else if self.epsilon == 0.0 {
            let reason = "epsilon is 0, so that no attack may move a pixel".to_owned();
            add(Gap::NoRoom, reason);
        } else if !self.gradient {
            let reason = "the model answers with logits alone, so that attacks along gradients, which find \
                          more, could not be run: robust accuracy is an upper bound";
            add(Gap::WeakAttacks, reason.to_owned());
        } else if let Some(reason) = weaker_than_autoattack(self.attacks, self.classes) {
            add(Gap::WeakAttacks, reason);
        }
        found
    }
}

/// What attacks lack to be as strong as AutoAttack; `None` if nothing.
pub(super) fn weaker_than_autoattack(attacks: &[Attack], classes: usize) -> Option<String> {
    let single = attacks.iter().flat_map(|attack| attack.parts(classes));
    let (mut entropy, mut margin, mut blind) = (false, false, false);
    let facts = single.map(|attack| attack.facts());
    for facts in facts.filter(|facts| facts.thorough) {
        match facts.gradient {
            Some(Gradient::CrossEntropy) => entropy = true,
            Some(Gradient::Margin) => margin = true,
            Some(Gradient::Other) => {}
            None => blind = true,
        }
    }
    let needed = [
        (entropy, format!("apgd-ce with {APGD_STEPS} steps")),
        (
            margin,
            format!(
                "an attack on the margin (apgd-dlr or fab with {APGD_STEPS} steps, cw{CW_STEPS})"
            ),
        ),
        (blind, format!("square{QUERIES}, which sees no gradient")),
    ];
    let missing: Vec<String> = needed
        .into_iter()
        .filter_map(|(there, what)| (!there).then_some(what))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the attacks are weaker than AutoAttack, so robust accuracy is an upper bound; missing are {}; \
             add autoattack",
            missing.join(", and "),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::Fgsm;

    fn gaps(attacks: &str, labels: &[u16], correct: usize, distinct: usize) -> Vec<Gap> {
        let attacks: Vec<Attack> = attacks
            .split_whitespace()
            .map(|a| a.parse().unwrap())
            .collect();
        let seen = Tested {
            attacks: &attacks,
            epsilon: 0.1,
            classes: 10,
            gradient: true,
            labels,
            correct,
            distinct,
        };
        seen.untested().iter().map(|u| u.gap).collect()
    }

    #[test]
    fn only_an_ensemble_like_autoattack_on_a_network_that_knows_something_is_tested() {
        let labels: Vec<u16> = (0..100).map(|i| i % 10).collect();
        for strong in [
            "autoattack",
            "fgsm apgd-ce cw40 square1000",
            "apgd-ce fab square",
        ] {
            assert_eq!(gaps(strong, &labels, 90, 90), []);
        }
        for weak in [
            "fgsm",
            "pgd1000 cw1000",
            "apgd-ce apgd-dlr fab",
            "apgd-ce cw40 square200",
        ] {
            assert_eq!(gaps(weak, &labels, 90, 90), [Gap::WeakAttacks], "{weak}");
        }
        assert_eq!(gaps("", &labels, 90, 90), [Gap::NoAttack]);
        assert_eq!(gaps("autoattack", &labels, 0, 0), [Gap::NoneCorrect]);
        assert_eq!(gaps("autoattack", &labels, 14, 14), [Gap::Majority]);
        assert_eq!(gaps("autoattack", &labels, 17, 17), []);
        assert_eq!(gaps("autoattack", &labels, 90, 9), [Gap::FewImages]);
        assert_eq!(gaps("autoattack", &[3; 100], 100, 100), [Gap::OneClass]);
    }

    #[test]
    fn a_reason_names_what_is_missing() {
        let reason = |attacks: &[Attack]| weaker_than_autoattack(attacks, 10);
        let fgsm = reason(&[Fgsm {}.into()]).unwrap();
        for part in ["upper bound", "apgd-ce", "cw40", "square1000"] {
            assert!(fgsm.contains(part), "{fgsm}");
        }
        let two = ["apgd-ce".parse().unwrap(), "square".parse().unwrap()];
        let margin = reason(&two).unwrap();
        assert!(
            margin.contains("apgd-dlr") && !margin.contains("no square"),
            "{margin}"
        );
        // On two classes AutoAttack is without DLR and attacks the margin by FAB.
        assert_eq!(
            weaker_than_autoattack(&["autoattack".parse().unwrap()], 2),
            None
        );
    }
}
