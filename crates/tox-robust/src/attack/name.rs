//! Short names of attacks, as on the command line and in tables.

use super::{ApgdDlrConfig, Attack, PgdConfig, SquareConfig};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::str::FromStr;

/// APGD on the targeted DLR loss.
pub(super) const TARGETED: &str = "apgd-dlr";
/// On the untargeted one.
pub(super) const UNTARGETED: &str = "apgd-dlr-untargeted";

/// A name of no attack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` names no attack; expected fgsm, pgd20 or cw40 (with any number of steps), apgd-ce, \
     apgd-dlr, apgd-dlr-untargeted, fab, square (or square500, with any number of queries) or autoattack"
)]
pub struct NameError {
    /// What was given.
    pub found: String,
}

impl Attack {
    /// The short name: the kind and, for PGD and CW, the steps, for Square the queries if they are not
    /// the usual 5000. Other settings do not show.
    pub fn name(&self) -> String {
        match self {
            Attack::Fgsm {} => "fgsm".to_owned(),
            Attack::Pgd(config) => format!("pgd{}", config.steps),
            Attack::Cw(config) => format!("cw{}", config.steps),
            Attack::ApgdCe(_) => "apgd-ce".to_owned(),
            Attack::ApgdDlr(config) if config.targets == 0 => UNTARGETED.to_owned(),
            Attack::ApgdDlr(_) => TARGETED.to_owned(),
            Attack::Fab(_) => "fab".to_owned(),
            Attack::Square(config) if *config == SquareConfig::default() => "square".to_owned(),
            Attack::Square(config) => format!("square{}", config.queries),
            Attack::AutoAttack(_) => "autoattack".to_owned(),
        }
    }

    /// Reads an attack from its short name or its table: for `#[serde(deserialize_with =
    /// "Attack::written")]`.
    pub fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

impl FromStr for Attack {
    type Err = NameError;

    /// Upper or lower case; `pgd-20`, `pgd20` and `pgd` are the same, so are `cw-40`, `cw40`, `cw`,
    /// and `apgd-t`, which others call the targeted form, and `apgd-dlr`.
    fn from_str(name: &str) -> Result<Self, NameError> {
        let lower = name.trim().to_ascii_lowercase();
        let unknown = || NameError {
            found: name.to_owned(),
        };
        let number = |rest: &str, usual: usize| {
            let digits = rest.strip_prefix('-').unwrap_or(rest);
            match rest.is_empty() {
                true => Ok(usual),
                false if digits.bytes().all(|b| b.is_ascii_digit()) => {
                    digits.parse().map_err(|_| unknown())
                }
                false => Err(unknown()),
            }
        };
        let steps = |rest, usual| number(rest, usual).map(PgdConfig::new);
        Ok(match lower.as_str() {
            "fgsm" => Attack::Fgsm {},
            "apgd-ce" => Attack::ApgdCe(Default::default()),
            TARGETED | "apgd-t" => Attack::ApgdDlr(Default::default()),
            UNTARGETED => Attack::ApgdDlr(ApgdDlrConfig {
                targets: 0,
                ..Default::default()
            }),
            "fab" | "fab-t" => Attack::Fab(Default::default()),
            "autoattack" | "aa" => Attack::AutoAttack(Default::default()),
            other => {
                if let Some(rest) = other.strip_prefix("pgd") {
                    Attack::Pgd(steps(rest, 20)?)
                } else if let Some(rest) = other.strip_prefix("cw") {
                    Attack::Cw(steps(rest, 40)?)
                } else if let Some(rest) = other.strip_prefix("square") {
                    let usual = SquareConfig::default();
                    let queries = number(rest, usual.queries)?;
                    Attack::Square(SquareConfig { queries, ..usual })
                } else {
                    return Err(unknown());
                }
            }
        })
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = Attack;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an attack, such as \"pgd20\", or a table with its `kind`")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Attack, E> {
        name.parse().map_err(E::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Attack, M::Error> {
        Attack::deserialize(MapAccessDeserializer::new(map))
    }
}
