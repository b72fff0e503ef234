//! The numbers of every attack, with their published defaults.

use super::Attack;
use crate::ball::{Ball, Norm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Classes that the DLR loss needs; its targeted form needs one more.
const UNTARGETED_CLASSES: usize = 3;

/// Settings that no attack can run with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttackError {
    /// A radius that is no radius.
    #[error(
        "attack: epsilon is {found}; expected a number from 0 on, in units of pixels in 0..=1 \
         (8/255 is 0.03137)"
    )]
    Epsilon {
        /// What was given.
        found: f64,
    },
    /// An L-inf radius that allows every image.
    #[error(
        "attack: epsilon is {found}, which in L-inf allows every image; pixels lie in 0..=1, so \
         8 of 255 is written 0.03137"
    )]
    EveryImage {
        /// What was given.
        found: f64,
    },
    /// A number out of its range.
    #[error("attack {attack}: `{key}` is {found}; expected {expected}")]
    Range {
        /// Name of the attack.
        attack: &'static str,
        /// Which setting.
        key: &'static str,
        /// What was given.
        found: f64,
        /// What is accepted.
        expected: &'static str,
    },
    /// A loss that needs more classes than there are.
    #[error(
        "attack {attack} needs at least {needed} classes, the data have {found}; {}",
        instead(*found)
    )]
    Classes {
        /// Name of the attack.
        attack: String,
        /// How many it needs.
        needed: usize,
        /// How many there are.
        found: usize,
    },
}

/// Projected gradient ascent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgdConfig {
    /// Steps of a restart, the `k` of PGD-k; at least 1.
    pub steps: usize,
    /// Length of a step, above 0, in units of pixels in 0..=1. Absent: epsilon / min(steps, 10),
    /// which is RC-NAS's 0.8/255 for PGD-20 and CW-40 at epsilon 8/255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Runs from fresh starts, at least 1.
    #[serde(default = "one")]
    pub restarts: usize,
    /// Whether a run starts at a uniform point of the ball (all but the first of several runs do
    /// anyway), not at the clean image.
    #[serde(default = "yes")]
    pub random_start: bool,
}

/// Auto-PGD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdConfig {
    /// Steps of a restart, at least 1.
    pub steps: usize,
    /// Runs from random starts, at least 1.
    pub restarts: usize,
    /// Share of steps since the last checkpoint that must have raised the loss if the step size is
    /// to stay, in 0..=1.
    pub rho: f64,
}

/// Auto-PGD on the DLR loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApgdDlrConfig {
    /// Steps of a restart, at least 1.
    pub steps: usize,
    /// Runs from random starts a target, at least 1.
    pub restarts: usize,
    /// Target classes, those of the largest logits on the clean image first; more than there are
    /// wrong classes means all of these. 0: the untargeted DLR loss.
    pub targets: usize,
    /// As in APGD-CE.
    pub rho: f64,
}

/// Targeted FAB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FabConfig {
    /// Steps of a restart, at least 1.
    pub steps: usize,
    /// Runs a target, at least 1; the first starts at the clean image, the others at random.
    pub restarts: usize,
    /// Target classes, at least 1, those of the largest logits on the clean image first; more than
    /// there are wrong classes means all of these.
    pub targets: usize,
    /// Largest weight of the clean image in the biased step, in 0..=1.
    pub alpha_max: f64,
    /// Overshoot of a step, at least 1.
    pub eta: f64,
    /// How far a step back goes towards the clean image, in 0..=1.
    pub beta: f64,
}

/// Square.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SquareConfig {
    /// Forward passes of a restart, at least 1.
    pub queries: usize,
    /// Runs, at least 1.
    pub restarts: usize,
    /// Share of the pixels that the first squares cover, above 0 and at most 1.
    pub p_init: f64,
    /// Whether squares shrink along `queries`, as in the paper's program, or as if there were 10000,
    /// as in AutoAttack's.
    pub rescale: bool,
}

/// AutoAttack: the settings of its four parts, run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AutoAttackConfig {
    /// APGD-CE: 100 steps, 1 restart.
    pub apgd_ce: ApgdConfig,
    /// Targeted APGD-DLR: 100 steps, 9 targets. On three classes it is the untargeted one, on two it
    /// is left out.
    pub apgd_dlr: ApgdDlrConfig,
    /// Targeted FAB: 100 steps, 9 targets.
    pub fab: FabConfig,
    /// Square: 5000 queries, not rescaled.
    pub square: SquareConfig,
}

impl PgdConfig {
    /// `steps` steps of the default length from one random start.
    pub fn new(steps: usize) -> Self {
        Self {
            steps,
            step: None,
            restarts: 1,
            random_start: true,
        }
    }

    /// The length of a step in a ball of radius `epsilon`.
    pub fn step(&self, epsilon: f64) -> f64 {
        self.step
            .unwrap_or_else(|| epsilon / self.steps.clamp(1, 10) as f64)
    }

    pub(super) fn check(&self) -> Result<(), AttackError> {
        count("pgd", "steps", self.steps)?;
        count("pgd", "restarts", self.restarts)?;
        match self.step {
            Some(step) => range("pgd", "step", step, step > 0.0, "a number above 0"),
            None => Ok(()),
        }
    }
}

impl Default for ApgdConfig {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            rho: 0.75,
        }
    }
}

impl ApgdConfig {
    pub(super) fn check(&self) -> Result<(), AttackError> {
        count("apgd", "steps", self.steps)?;
        count("apgd", "restarts", self.restarts)?;
        share("apgd", "rho", self.rho)
    }
}

impl Default for ApgdDlrConfig {
    fn default() -> Self {
        let ApgdConfig {
            steps,
            restarts,
            rho,
        } = ApgdConfig::default();
        Self {
            steps,
            restarts,
            targets: 9,
            rho,
        }
    }
}

impl ApgdDlrConfig {
    /// The settings of one target's runs.
    pub fn runs(&self) -> ApgdConfig {
        ApgdConfig {
            steps: self.steps,
            restarts: self.restarts,
            rho: self.rho,
        }
    }

    pub(super) fn check(&self, found: usize) -> Result<(), AttackError> {
        let (name, needed) = match self.targets {
            0 => (super::name::UNTARGETED, UNTARGETED_CLASSES),
            _ => (super::name::TARGETED, UNTARGETED_CLASSES + 1),
        };
        classes(name.to_owned(), found, needed)?;
        self.runs().check()
    }
}

impl Default for FabConfig {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            targets: 9,
            alpha_max: 0.1,
            eta: 1.05,
            beta: 0.9,
        }
    }
}

impl FabConfig {
    pub(super) fn check(&self) -> Result<(), AttackError> {
        count("fab", "steps", self.steps)?;
        count("fab", "restarts", self.restarts)?;
        count("fab", "targets", self.targets)?;
        share("fab", "alpha_max", self.alpha_max)?;
        share("fab", "beta", self.beta)?;
        let fine = self.eta >= 1.0 && self.eta.is_finite();
        range("fab", "eta", self.eta, fine, "a number from 1 on")
    }
}

impl Default for SquareConfig {
    fn default() -> Self {
        Self {
            queries: 5000,
            restarts: 1,
            p_init: 0.8,
            rescale: true,
        }
    }
}

impl SquareConfig {
    pub(super) fn check(&self) -> Result<(), AttackError> {
        count("square", "queries", self.queries)?;
        count("square", "restarts", self.restarts)?;
        let fine = self.p_init > 0.0 && self.p_init <= 1.0;
        let expected = "a number above 0 and at most 1";
        range("square", "p_init", self.p_init, fine, expected)
    }
}

impl Default for AutoAttackConfig {
    fn default() -> Self {
        let square = SquareConfig {
            rescale: false,
            ..SquareConfig::default()
        };
        Self {
            apgd_ce: ApgdConfig::default(),
            apgd_dlr: ApgdDlrConfig::default(),
            fab: FabConfig::default(),
            square,
        }
    }
}

impl AutoAttackConfig {
    /// The attacks in their order, on images of `classes` classes. The targeted DLR loss needs four
    /// classes: with three the untargeted one is in its place, with two there is none, and what is
    /// left to attack the margin is FAB.
    pub fn parts(&self, classes: usize) -> Vec<Attack> {
        let dlr = match classes {
            0..UNTARGETED_CLASSES => None,
            UNTARGETED_CLASSES => Some(ApgdDlrConfig {
                targets: 0,
                ..self.apgd_dlr
            }),
            _ => Some(self.apgd_dlr),
        };
        let mut parts = vec![Attack::ApgdCe(self.apgd_ce)];
        parts.extend(dlr.map(Attack::ApgdDlr));
        parts.extend([Attack::Fab(self.fab), Attack::Square(self.square)]);
        parts
    }

    pub(super) fn check(&self) -> Result<(), AttackError> {
        self.apgd_ce.check()?;
        self.apgd_dlr.runs().check()?;
        self.fab.check()?;
        self.square.check()
    }
}

/// What attacks as few classes.
fn instead(found: usize) -> &'static str {
    match found {
        0 | 1 => "with one class there is no error to find",
        2 => "use fab, square, cw, pgd or apgd-ce there, or autoattack, which leaves it out",
        _ => {
            "use apgd-dlr-untargeted, fab, square, cw, pgd or apgd-ce there, or autoattack, which \
             has the untargeted one in its place"
        }
    }
}

pub(super) fn ball(ball: Ball) -> Result<(), AttackError> {
    let found = ball.epsilon;
    if !(found >= 0.0 && found.is_finite()) {
        Err(AttackError::Epsilon { found })
    } else if ball.norm == Norm::Linf && found > 1.0 {
        Err(AttackError::EveryImage { found })
    } else {
        Ok(())
    }
}

pub(super) fn classes(attack: String, found: usize, needed: usize) -> Result<(), AttackError> {
    match found >= needed {
        true => Ok(()),
        false => Err(AttackError::Classes {
            attack,
            needed,
            found,
        }),
    }
}

fn count(attack: &'static str, key: &'static str, found: usize) -> Result<(), AttackError> {
    range(attack, key, found as f64, found > 0, "at least 1")
}

fn share(attack: &'static str, key: &'static str, found: f64) -> Result<(), AttackError> {
    let fine = (0.0..=1.0).contains(&found);
    range(attack, key, found, fine, "a number in 0..=1")
}

fn range(
    attack: &'static str,
    key: &'static str,
    found: f64,
    fine: bool,
    expected: &'static str,
) -> Result<(), AttackError> {
    match fine && found.is_finite() {
        true => Ok(()),
        false => Err(AttackError::Range {
            attack,
            key,
            found,
            expected,
        }),
    }
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}
