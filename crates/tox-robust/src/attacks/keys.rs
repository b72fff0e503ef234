//! A table whose keys keep the order of the type that it was written from; `serde_json` sorts its own.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Keys and their values, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys(Vec<(String, Written)>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Table(Keys),
    Value(serde_json::Value),
}

impl Keys {
    /// Those of a struct. A unit struct has none.
    ///
    /// # Errors
    /// What is no table of JSON.
    pub fn of(settings: &impl Serialize) -> Result<Self, serde_json::Error> {
        match serde_json::to_string(settings)?.as_str() {
            "null" => Ok(Self::default()),
            text => serde_json::from_str(text),
        }
    }

    /// Writes them behind the kind.
    pub(super) fn tagged<S: Serializer>(&self, kind: &str, to: S) -> Result<S::Ok, S::Error> {
        let kind = ("kind", &Written::Value(kind.into()));
        let keys = self.0.iter().map(|(key, value)| (key.as_str(), value));
        to.collect_map(std::iter::once(kind).chain(keys))
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of settings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys, M::Error> {
                let mut keys = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    keys.push(entry);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
