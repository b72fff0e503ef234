//! Signs that a robust accuracy is wrong, as a record holds them.

use crate::attacks::Attack;
use serde::{Deserialize, Serialize};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningKind {
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
    /// A black box such as Square, which sees no gradient, does better than attacks that do.
    SquareBeatsGradients,
}

/// A sign that the result is not to be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// What is wrong.
    pub kind: WarningKind,
    /// Of which attack, if it is one's.
    pub attack: Option<String>,
    /// What was found, in numbers, what it means and what to do, in a sentence.
    pub reason: String,
}

impl Warning {
    pub(super) fn new(kind: WarningKind, attack: Option<&Attack>, reason: String) -> Self {
        Self {
            kind,
            attack: attack.map(Attack::name),
            reason,
        }
    }
}
