//! Evasion attacks: what an adversary may do to an image at test time.
//!
//! FGSM (Goodfellow et al. 2015), PGD-k (Madry et al. 2018), CW-k (PGD on the margin loss of Carlini
//! and Wagner 2017), APGD with cross-entropy or the targeted DLR loss and AutoAttack (Croce and Hein
//! 2020), targeted FAB (Croce and Hein 2020), Square (Andriushchenko et al. 2020). Each runs on a batch of
//! points and treats every one as if it were alone: an example that is fooled leaves the batch, and what is
//! drawn for it depends on the seed and its row only.
//!
//! An attack is a file: its settings, its facts ([`Evasion`]), how it is written ([`Registered`]) and its
//! steps. Its line in the registry below gives it its name in recipes, in `--attack` and in the schema. An
//! attack of one's own needs no line: [`Evasion`] is enough for [`evaluate`](crate::evaluation::evaluate).
//!
//! One rule says what fooled means, [`predicted`]: the class of the largest logit, of several the
//! first, as `argmax` in PyTorch; logits with a NaN predict nothing, so they are an error.

mod apgd;
mod attack;
mod batch;
mod error;
mod evasion;
mod found;
mod keys;
mod kind;
pub mod losses;
pub(crate) mod start;

pub use attack::Attack;
pub use batch::Batch;
pub use error::AttackError;
pub use evasion::{Evasion, Facts, Gradient, Registered, Settings};
pub use found::{Found, predicted};
pub use keys::Keys;
pub use kind::{AttackKind, NameError, names};

mod apgd_ce;
mod apgd_dlr;
mod autoattack;
mod cw;
mod fab;
mod fgsm;
mod pgd;
mod square;

pub(crate) use apgd::APGD_STEPS;
pub(crate) use cw::CW_STEPS;
pub(crate) use square::QUERIES;

/// Exports the types and lists them, in the order in which they are told.
macro_rules! registry {
    ($($file:ident::$attack:ident,)*) => {
        $(pub use $file::$attack;)*

        /// Every attack that recipes and the command line know.
        pub const KINDS: &[AttackKind] = &[$(AttackKind::of::<$attack>()),*];
    };
}

registry! {
    fgsm::Fgsm,
    pgd::Pgd,
    cw::Cw,
    apgd_ce::ApgdCe,
    apgd_dlr::ApgdDlr,
    fab::Fab,
    square::Square,
    autoattack::AutoAttack,
}
