//! Something registered by its kind, with its own keys: a learner, a threat, a defence, an outcome.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A kind and its keys. The engine reads neither: who registered the kind does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The kind, as a recipe names it.
    pub kind: String,
    /// Every key resolved, in order of declaration.
    #[serde(flatten)]
    pub keys: Map<String, Value>,
}

/// Keys that are not those of their kind.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{kind}` is not what this toxscreen means by it: {message}")]
pub struct PartError {
    kind: String,
    message: String,
}

impl Part {
    /// A kind with the keys of `config`, a structure.
    pub fn new(kind: &str, config: &impl Serialize) -> Self {
        // By way of text, so that an f32 keeps its few digits.
        let text = serde_json::to_string(config).unwrap_or_default();
        let keys = serde_json::from_str(&text).unwrap_or_default();
        let kind = kind.to_owned();
        Self { kind, keys }
    }

    /// As [`Part::new`]; `None` if a number is not finite, which JSON cannot hold.
    pub fn finite<T>(kind: &str, config: &T) -> Option<Self>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let part = Self::new(kind, config);
        let again: T = part.read().ok()?;
        (again == *config).then_some(part)
    }

    /// The keys as the structure of the kind.
    ///
    /// # Errors
    /// Keys of another kind, or of another version of toxscreen.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, PartError> {
        serde_json::from_value(Value::Object(self.keys.clone())).map_err(|e| PartError {
            kind: self.kind.clone(),
            message: e.to_string(),
        })
    }

    /// What `words` make of the keys; the kind, where they are of another version.
    pub fn titled<T: DeserializeOwned>(&self, words: impl FnOnce(T) -> String) -> String {
        self.read().map_or_else(|_| self.kind.clone(), words)
    }

    /// A key's value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    /// Indented JSON, by which two runs of a trial are compared.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As TOML, which has no null: a key without a value is left out.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("kind".into(), toml::Value::String(self.kind.clone()));
        table.extend(self.keys.iter().filter_map(entry));
        table
    }
}

fn entry((key, value): (&String, &Value)) -> Option<(String, toml::Value)> {
    Some((key.clone(), to_toml(value)?))
}

/// `None` where there is no such value, as of null.
pub(crate) fn to_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Object(map) => toml::Value::Table(map.iter().filter_map(entry).collect()),
        Value::Array(items) => toml::Value::Array(items.iter().filter_map(to_toml).collect()),
        other => toml::Value::try_from(other).ok()?,
    })
}

/// Calls `visit` on every table in `value`, itself first.
pub(crate) fn walk<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values().for_each(|v| walk(v, visit));
        }
        Value::Array(items) => items.iter().for_each(|v| walk(v, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Calls `visit` on every table in `value`, itself first.
pub(crate) fn walk_mut(value: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            visit(map);
            map.values_mut().for_each(|v| walk_mut(v, visit));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| walk_mut(v, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
