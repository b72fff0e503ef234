//! Settings that are refused, and the checks of ranges.

use super::{Attack, KINDS};
use tox_data::ranges::OutOfRange;

/// Settings that no attack can run with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttackError {
    /// A radius that is none, or that allows every image.
    #[error("attack: {0}")]
    Ball(#[from] OutOfRange),
    /// A number out of its range.
    #[error("attack {attack}: {source}")]
    Settings {
        /// Name of the attack.
        attack: String,
        /// Which setting.
        source: OutOfRange,
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
