//! Any attack, with its settings, as recipes and records hold it.

use super::error;
use super::kind::AttackKind;
use super::{AttackError, Evasion, KINDS, NameError};
use crate::ball::Ball;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use tox_data::ranges::OutOfRange;

/// An attack with its settings. In a recipe it is a table such as `{ kind = "pgd", steps = 20 }` or,
/// where [`Attack::written`] reads it, a short name such as `"pgd20"` as well. Any [`Evasion`] is one
/// by `into()`; those of [`KINDS`] can be read as well.
#[derive(Debug)]
pub struct Attack(Box<dyn Evasion>);

impl Attack {
    /// This one.
    pub fn new(attack: impl Evasion) -> Self {
        Self(Box::new(attack))
    }

    /// The short name, see [`Evasion::name`].
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// The attacks that it is made of, on images of `classes` classes: those of an ensemble, or itself.
    pub fn parts(&self, classes: usize) -> Vec<Attack> {
        let members = self.members(classes);
        if members.is_empty() {
            return vec![self.clone()];
        }
        members
    }

    /// The same with about `tries` passes.
    pub fn shortened(&self, tries: usize) -> Self {
        let mut short = self.0.boxed();
        short.shorten(tries);
        Self(short)
    }

    /// Whether these settings make sense on images of a classifier with `classes` classes.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, ball: Ball, classes: usize) -> Result<(), AttackError> {
        ball.check()?;
        error::classes(self.name(), classes, self.facts().least_classes)?;
        let attack = self.name();
        let checked = self.in_range();
        checked.map_err(|source| AttackError::Settings { attack, source })
    }

    /// Whether every setting is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn in_range(&self) -> Result<(), OutOfRange> {
        let registered = KINDS.iter().find_map(|kind| (kind.check)(&*self.0));
        registered.unwrap_or_else(|| self.check_settings())
    }

    /// Reads an attack from its short name or its table: for `#[serde(deserialize_with =
    /// "Attack::written")]`.
    pub fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

impl Deref for Attack {
    type Target = dyn Evasion;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl<E: Evasion> From<E> for Attack {
    fn from(attack: E) -> Self {
        Self::new(attack)
    }
}

impl Clone for Attack {
    fn clone(&self) -> Self {
        Self(self.0.boxed())
    }
}

impl PartialEq for Attack {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}

impl FromStr for Attack {
    type Err = NameError;

    /// Upper or lower case; `pgd-20`, `pgd20` and `pgd` are the same, so are `cw-40`, `cw40`, `cw`,
    /// and `apgd-t`, which others call the targeted form, and `apgd-dlr`.
    fn from_str(name: &str) -> Result<Self, NameError> {
        let lower = name.trim().to_ascii_lowercase();
        let read = KINDS.iter().find_map(|kind| (kind.parse)(&lower));
        read.ok_or_else(|| NameError {
            found: name.to_owned(),
        })
    }
}

impl Serialize for Attack {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let keys = self.0.keys().map_err(serde::ser::Error::custom)?;
        keys.tagged(self.facts().kind, serializer)
    }
}

impl<'de> Deserialize<'de> for Attack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Map::deserialize(deserializer)?;
        let found = keys.remove("kind");
        let found = found.ok_or_else(|| D::Error::missing_field("kind"))?;
        let found = String::deserialize(found).map_err(D::Error::custom)?;
        let kind = AttackKind::named(&found).ok_or_else(|| {
            let known: Vec<String> = KINDS.iter().map(|k| format!("`{}`", k.name)).collect();
            let known = known.join(", ");
            D::Error::custom(format!(
                "unknown variant `{found}`, expected one of {known}"
            ))
        })?;
        (kind.read)(Value::Object(keys)).map_err(D::Error::custom)
    }
}

impl JsonSchema for Attack {
    fn schema_name() -> Cow<'static, str> {
        "Attack".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = KINDS.iter().map(|kind| kind.schema(generator));
        let kinds: Vec<Schema> = kinds.collect();
        json_schema!({
            "description": "An attack with its settings: a table with its `kind`, such as \
                            `{ kind = \"pgd\", steps = 20 }`.",
            "oneOf": kinds,
        })
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = Attack;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an attack, such as \"pgd20\", or a table with its `kind`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Attack, E> {
        name.parse().map_err(E::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Attack, M::Error> {
        Attack::deserialize(MapAccessDeserializer::new(map))
    }
}
