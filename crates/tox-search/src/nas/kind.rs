//! A search by its name.

use super::{SEARCHES, Search};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// One of [`SEARCHES`].
#[derive(Clone, Copy)]
pub struct SearchKind(pub &'static dyn Search);

impl SearchKind {
    /// The search of this name.
    pub fn named(kind: &str) -> Option<Self> {
        let found = SEARCHES.iter().find(|search| search.kind() == kind);
        found.map(|search| Self(*search))
    }
}

impl Deref for SearchKind {
    type Target = dyn Search;

    fn deref(&self) -> &Self::Target {
        self.0
    }
}

impl PartialEq for SearchKind {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

impl fmt::Debug for SearchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Serialize for SearchKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.kind())
    }
}

impl<'de> Deserialize<'de> for SearchKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = String::deserialize(deserializer)?;
        Self::named(&kind).ok_or_else(|| {
            let all: Vec<String> = SEARCHES.iter().map(|s| format!("`{}`", s.kind())).collect();
            let all = all.join(", ");
            D::Error::custom(format!("unknown variant `{kind}`, expected one of {all}"))
        })
    }
}

impl JsonSchema for SearchKind {
    fn schema_name() -> Cow<'static, str> {
        "SearchKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let each = |s: &&dyn Search| json_schema!({ "description": s.facts().about, "type": "string", "const": s.kind() });
        let all: Vec<Schema> = SEARCHES.iter().map(each).collect();
        json_schema!({ "description": "A search.", "oneOf": all })
    }
}
