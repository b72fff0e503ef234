//! Settings that are refused, and the checks of ranges.

use super::{Attack, KINDS};
use crate::ball::{Ball, Norm};

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

/// What attacks as few classes.
fn instead(found: usize) -> String {
    if found < 2 {
        return "with one class there is no error to find".to_owned();
    }
    let names = KINDS.iter().flat_map(|kind| kind.names);
    let able = |name: &&&str| {
        let attack = name.parse::<Attack>();
        attack.is_ok_and(|attack| attack.facts().least_classes <= found)
    };
    let able: Vec<&str> = names.filter(able).copied().collect();
    format!("use one of {} there", able.join(", "))
}

/// That a ball is one, and not all of the image range.
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

/// That there are as many classes as `attack` needs.
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

/// That a number is at least 1.
pub(super) fn count(
    attack: &'static str,
    key: &'static str,
    found: usize,
) -> Result<(), AttackError> {
    range(attack, key, found as f64, found > 0, "at least 1")
}

/// That it is a share.
pub(super) fn share(
    attack: &'static str,
    key: &'static str,
    found: f64,
) -> Result<(), AttackError> {
    let fine = (0.0..=1.0).contains(&found);
    range(attack, key, found, fine, "a number in 0..=1")
}

/// That it is `fine`.
pub(super) fn range(
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
