//! Kinds of attacks, as recipes, the command line and the schema know them.

use super::{Attack, Evasion, KINDS, Registered};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};
use tox_data::ranges::{self, OutOfRange};

/// A kind of attack; see [`Registered`].
#[derive(Debug)]
pub struct AttackKind {
    /// Its word.
    pub name: &'static str,
    /// Examples of its short name.
    pub names: &'static [&'static str],
    /// What may vary in the last of them.
    pub varies: Option<&'static str>,
    /// Reads a short name in lower case.
    pub(super) parse: fn(&str) -> Option<Attack>,
    /// Reads a table without its `kind`.
    pub(super) read: fn(Value) -> serde_json::Result<Attack>,
    /// Holds the numbers of an attack of this kind against their ranges; `None` of another kind.
    pub(super) check: fn(&dyn Evasion) -> Option<Result<(), OutOfRange>>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A name of no attack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` names no attack; expected one of {}", names())]
pub struct NameError {
    /// What was given.
    pub found: String,
}

/// The short names of all attacks, for help and errors.
pub fn names() -> String {
    let of = |kind: &AttackKind| {
        let names = kind.names.join(", ");
        match kind.varies {
            Some(varies) => format!("{names} ({varies})"),
            None => names,
        }
    };
    let kinds: Vec<String> = KINDS.iter().map(of).collect();
    kinds.join(", ")
}

impl AttackKind {
    /// That of a type.
    pub const fn of<E: Registered>() -> Self {
        Self {
            name: E::KIND,
            names: E::NAMES,
            varies: E::VARIES,
            parse: |name| E::parse(name).map(Attack::new),
            read: |keys| serde_json::from_value::<E>(keys).map(Attack::new),
            check: |attack| attack.downcast_ref::<E>().map(ranges::check),
            schema: |generator| E::json_schema(generator),
        }
    }

    /// The kind of this word.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The schema of its table.
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let mut schema = (self.schema)(generator);
        let table = schema.ensure_object();
        let kind = json!({ "type": "string", "const": self.name });
        if let Value::Object(properties) = table.entry("properties").or_insert(json!({})) {
            properties.insert("kind".to_owned(), kind);
        }
        if let Value::Array(required) = table.entry("required").or_insert(json!([])) {
            required.insert(0, "kind".into());
        }
        schema
    }
}

/// Reads `kind`, `kind20` or `kind-20`; the first stands for `usual`.
pub(super) fn numbered(name: &str, kind: &str, usual: usize) -> Option<usize> {
    let rest = name.strip_prefix(kind)?;
    let digits = rest.strip_prefix('-').unwrap_or(rest);
    match rest.is_empty() {
        true => Some(usual),
        false if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        false => None,
    }
}
