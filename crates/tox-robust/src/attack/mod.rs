//! Evasion attacks: what an adversary may do to an image at test time.
//!
//! FGSM (Goodfellow et al. 2015), PGD-k (Madry et al. 2018), CW-k (PGD on the margin loss of Carlini
//! and Wagner 2017), APGD with cross-entropy or the targeted DLR loss and AutoAttack (Croce and Hein
//! 2020), targeted FAB (Croce and Hein 2020), Square (Andriushchenko et al. 2020). A file an attack;
//! each runs on a batch of points and treats every one as if it were alone: an example that is fooled
//! leaves the batch, and what is drawn for it depends on the seed and its row only.
//!
//! One rule says what fooled means, [`predicted`]: the class of the largest logit, of several the
//! first, as `argmax` in PyTorch; logits with a NaN predict nothing, so they are an error.

pub mod apgd;
pub mod autoattack;
mod batch;
mod config;
pub mod fab;
pub mod fgsm;
pub mod losses;
mod name;
pub mod pgd;
pub mod square;
pub(crate) mod start;

pub use config::{
    ApgdConfig, ApgdDlrConfig, AttackError, AutoAttackConfig, FabConfig, PgdConfig, SquareConfig,
};
pub use name::NameError;

use crate::ball::Ball;
use crate::oracle::{Oracle, Points};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An attack with its settings. In a recipe it is a table such as `{ kind = "pgd", steps = 20 }` or,
/// where [`Attack::written`] reads it, a short name such as `"pgd20"` as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Attack {
    /// One step of length epsilon along the gradient (its sign in L-inf) of the cross-entropy, from
    /// the clean image.
    Fgsm {},
    /// Projected gradient ascent on the cross-entropy.
    Pgd(PgdConfig),
    /// Projected gradient ascent on the margin loss: what tables of robust accuracy call CW.
    Cw(PgdConfig),
    /// Auto-PGD on the cross-entropy.
    ApgdCe(ApgdConfig),
    /// Auto-PGD on the difference-of-logits-ratio loss, towards each of several target classes.
    ApgdDlr(ApgdDlrConfig),
    /// FAB, towards each of several target classes.
    Fab(FabConfig),
    /// Square: random search, no gradient.
    Square(SquareConfig),
    /// AutoAttack standard: APGD-CE, targeted APGD-DLR (on three classes the untargeted one, on two
    /// none), targeted FAB, Square, each on what the ones before it left correct.
    #[serde(rename = "autoattack")]
    AutoAttack(AutoAttackConfig),
}

impl Attack {
    /// The attacks that it is made of, on images of `classes` classes: AutoAttack's, or itself.
    pub fn parts(&self, classes: usize) -> Vec<Attack> {
        match self {
            Attack::AutoAttack(config) => config.parts(classes),
            Attack::Fgsm {}
            | Attack::Pgd(_)
            | Attack::Cw(_)
            | Attack::ApgdCe(_)
            | Attack::ApgdDlr(_)
            | Attack::Fab(_)
            | Attack::Square(_) => vec![self.clone()],
        }
    }

    /// What is run in place of what the attack is by its name, where `classes` classes are too few for
    /// that.
    pub fn note(&self, classes: usize) -> Option<&'static str> {
        let Attack::AutoAttack(config) = self else {
            return None;
        };
        match classes {
            2 => Some(
                "autoattack on two classes is without APGD-DLR, a loss that needs three: it is \
                 APGD-CE, FAB and Square",
            ),
            3 if config.apgd_dlr.targets > 0 => Some(
                "autoattack on three classes has the untargeted DLR loss in place of the targeted \
                 one, which needs four",
            ),
            _ => None,
        }
    }

    /// Whether these settings make sense on images of a classifier with `classes` classes.
    pub fn check(&self, ball: Ball, classes: usize) -> Result<(), AttackError> {
        config::ball(ball)?;
        config::classes(self.name(), classes, 2)?;
        match self {
            Attack::Fgsm {} => Ok(()),
            Attack::Pgd(config) | Attack::Cw(config) => config.check(),
            Attack::ApgdCe(config) => config.check(),
            Attack::ApgdDlr(config) => config.check(classes),
            Attack::Fab(config) => config.check(),
            Attack::Square(config) => config.check(),
            Attack::AutoAttack(config) => config.check(),
        }
    }

    /// Attacks points, of which the oracle should classify every one as labelled; one that it does
    /// not is fooled at its first pass. Expects settings that [`Attack::check`] accepts.
    pub fn run(&self, oracle: &dyn Oracle, points: Points<'_>, ball: Ball, seed: u64) -> Found {
        match self {
            Attack::Fgsm {} => fgsm::run(oracle, points, ball),
            Attack::Pgd(config) => pgd::run(oracle, points, ball, config, seed),
            Attack::Cw(config) => pgd::cw(oracle, points, ball, config, seed),
            Attack::ApgdCe(config) => apgd::cross_entropy(oracle, points, ball, config, seed),
            Attack::ApgdDlr(config) => apgd::dlr(oracle, points, ball, config, seed),
            Attack::Fab(config) => fab::run(oracle, points, ball, config, seed),
            Attack::Square(config) => square::run(oracle, points, ball, config, seed),
            Attack::AutoAttack(config) => autoattack::run(oracle, points, ball, config, seed).found,
        }
    }
}

/// What an attack found, an entry (a row of pixels) an example in the order of its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// An image that the network misclassifies where `fooled`, else the one of the largest margin
    /// among those tried; always allowed by the ball, to the last bit.
    pub pixels: Vec<f32>,
    /// Whether the attack found an error; the logits that show it were computed on the very pixels
    /// that are stored.
    pub fooled: Vec<bool>,
    /// Forward passes that the example took part in; those of a [`pullback`] count.
    ///
    /// [`pullback`]: crate::oracle::Oracle::pullback
    pub forward: Vec<u32>,
    /// Backward passes that it took part in.
    pub backward: Vec<u32>,
}

/// The class that logits predict: the largest, of equal ones the first; none where one is NaN.
pub fn predicted(logits: &[f32]) -> Option<usize> {
    let mut best = None;
    for (class, &z) in logits.iter().enumerate() {
        if z.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, most)| z > most) {
            best = Some((class, z));
        }
    }
    best.map(|(class, _)| class)
}
