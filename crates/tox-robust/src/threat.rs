//! An evasion attack as the threat of a trial.

use crate::attacks::{Attack, AttackError};
use crate::ball::{Ball, Norm, fraction};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tox_data::ranges::OutOfRange;

/// What the adversary does to the inputs of a trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
pub struct EvasionThreat {
    /// The attack that a search measures its candidates under.
    pub attack: Attack,
    /// How the size of a perturbation is measured.
    pub norm: Norm,
    /// Its radius where pixels lie in 0..=1.
    pub epsilon: f64,
}

/// What the adversary does to the inputs of a trained network.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The attack that a search measures its candidates under: a short name such as `"pgd20"`, or a
    /// table with its `kind` and settings.
    #[serde(deserialize_with = "Attack::written")]
    #[schemars(schema_with = "written")]
    attack: Attack,
    /// How the size of a perturbation is measured.
    #[serde(default = "linf")]
    norm: Norm,
    /// Its radius where pixels lie in 0..=1: a number, or a fraction such as `"8/255"`, which is the
    /// default of `norm = "linf"`; `"l2"` has none.
    #[serde(default, deserialize_with = "fraction::optional")]
    #[schemars(schema_with = "fraction::schema")]
    #[schemars(range(min = 0.0))]
    epsilon: Option<f64>,
}

impl TryFrom<Written> for EvasionThreat {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written {
            attack,
            norm,
            epsilon,
        } = written;
        let epsilon = match (epsilon, norm) {
            (Some(epsilon), _) => epsilon,
            (None, Norm::Linf) => eight_pixels(),
            (None, Norm::L2) => {
                return Err(
                    "norm = \"l2\" needs an `epsilon`, a length where pixels lie in 0..=1; 0.5 is usual \
                     for CIFAR-10 (8/255, the default of linf, is next to nothing in L2)",
                );
            }
        };
        Ok(Self {
            attack,
            norm,
            epsilon,
        })
    }
}

impl EvasionThreat {
    /// `attack` as the papers of adversarial training use it: L-inf, 8/255.
    pub fn new(attack: Attack) -> Self {
        Self {
            attack,
            norm: linf(),
            epsilon: eight_pixels(),
        }
    }

    /// Where the adversary may move an image.
    pub fn ball(&self) -> Ball {
        Ball {
            norm: self.norm,
            epsilon: self.epsilon,
        }
    }

    /// Whether every number is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn in_range(&self) -> Result<(), OutOfRange> {
        self.attack.in_range().map_err(|e| e.below("attack"))?;
        self.ball().check()
    }

    /// Whether it can be run on images of a classifier with `classes` classes.
    ///
    /// # Errors
    /// See [`Attack::check`].
    pub fn check(&self, classes: usize) -> Result<(), AttackError> {
        self.attack.check(self.ball(), classes)
    }
}

/// The schema of an attack that may be written by its short name.
pub fn written(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<Attack>();
    json_schema!({ "anyOf": [{ "type": "string" }, table] })
}

fn linf() -> Norm {
    Norm::Linf
}

fn eight_pixels() -> f64 {
    8.0 / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radius_of_linf_is_none_of_l2() {
        let read = |text: &str| serde_json::from_str::<EvasionThreat>(text);
        let linf = read(r#"{"attack": "pgd20"}"#).unwrap();
        assert_eq!((linf.norm, linf.epsilon), (Norm::Linf, 8.0 / 255.0));
        let refused = read(r#"{"attack": "pgd20", "norm": "l2"}"#).unwrap_err();
        assert!(refused.to_string().contains("0.5"), "{refused}");
        let l2 = read(r#"{"attack": "pgd20", "norm": "l2", "epsilon": "1/2"}"#).unwrap();
        assert_eq!(l2.epsilon, 0.5);
        let again = serde_json::to_string(&l2).unwrap();
        assert_eq!(read(&again).unwrap(), l2);
    }
}
