//! An evasion attack as the threat of a trial.

use crate::attack::{Attack, AttackError};
use crate::ball::{Ball, Norm, fraction};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the adversary does to the inputs of a trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvasionThreat {
    /// The attack that a search measures its candidates under: a short name such as `"pgd20"`, or a
    /// table with its `kind` and settings.
    #[serde(deserialize_with = "Attack::written")]
    #[schemars(schema_with = "written")]
    pub attack: Attack,
    /// How the size of a perturbation is measured.
    #[serde(default = "linf")]
    pub norm: Norm,
    /// Its radius where pixels lie in 0..=1: a number, or a fraction such as `"8/255"`.
    #[serde(default = "eight_pixels", deserialize_with = "fraction::deserialize")]
    #[schemars(schema_with = "fraction::schema")]
    pub epsilon: f64,
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
