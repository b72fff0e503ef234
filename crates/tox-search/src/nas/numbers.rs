//! The structures of a search: its numbers, a table in a config, and how a run of it went.

use super::{Course, NasSpace, Trace};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::marker::PhantomData;
use std::path::Path;
use tox_data::ranges::{self, OutOfRange};

/// Why a table cannot be read, and where in it.
pub type Unread = serde_path_to_error::Error<serde_json::Error>;

/// The numbers of a search, each with a default.
pub trait Numbers: Serialize + DeserializeOwned + JsonSchema + 'static {
    /// With the defaults of a space, where they depend on it.
    fn in_space(self, space: NasSpace) -> Self {
        let _ = space;
        self
    }

    /// Whether every number is in the range that an attribute of its field says. Numbers whose space or neighbours
    /// forbid more say that too.
    ///
    /// # Errors
    /// The first that is not.
    fn check_in(&self, space: NasSpace) -> Result<(), OutOfRange> {
        let _ = space;
        ranges::check(self)
    }

    /// With what the files that it names, relative to the recipe's `folder`, hold in their place, so that a trial depends on their content, and texts of
    /// one meaning as one.
    ///
    /// # Errors
    /// A file that cannot be used.
    fn with_files(self, folder: &Path) -> Result<Self, Refused> {
        let _ = folder;
        Ok(self)
    }
}

/// Why what numbers name, such as a file, cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The key that names it.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
}

/// [`Numbers`] and [`Course`], whatever their types.
pub trait Types: Sync {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// The table with its defaults written out.
    ///
    /// # Errors
    /// A key that it does not have, or a value of another type.
    fn read(&self, table: Value) -> Result<Value, Unread>;

    /// The table, null if there is none, as it runs in a space.
    fn in_space(&self, table: Value, space: NasSpace) -> Value;

    /// # Errors
    /// The first key out of its range.
    fn check(&self, table: &Value, space: NasSpace) -> Result<(), OutOfRange>;

    /// The table, see [`Numbers::with_files`].
    ///
    /// # Errors
    /// A file that cannot be used.
    fn with_files(&self, table: Value, folder: &Path) -> Result<Value, Refused>;

    /// Reads the keys of a [`Trace`] of it.
    fn course(&self, trace: &Trace) -> serde_json::Result<Box<dyn Course>>;
}

/// The [`Types`] of numbers and a course.
pub struct TypesOf<T, C>(PhantomData<fn() -> (T, C)>);

impl<T: 'static, C: 'static> TypesOf<T, C> {
    /// It has no state.
    pub const NEW: &'static Self = &Self(PhantomData);
}

impl<T: Numbers, C: Course + DeserializeOwned + 'static> Types for TypesOf<T, C> {
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Option<T>>()
    }

    fn read(&self, table: Value) -> Result<Value, Unread> {
        Ok(to_value(&serde_path_to_error::deserialize::<_, T>(table)?))
    }

    fn in_space(&self, table: Value, space: NasSpace) -> Value {
        let table = match table {
            Value::Null => Value::Object(Map::new()),
            table => table,
        };
        // What cannot be read is told by the check.
        T::deserialize(&table).map_or(table, |numbers| to_value(&numbers.in_space(space)))
    }

    fn check(&self, table: &Value, space: NasSpace) -> Result<(), OutOfRange> {
        read::<T>(table)?.in_space(space).check_in(space)
    }

    fn with_files(&self, table: Value, folder: &Path) -> Result<Value, Refused> {
        match T::deserialize(&table) {
            Ok(numbers) => Ok(to_value(&numbers.with_files(folder)?)),
            // What cannot be read is told by the check.
            Err(_) => Ok(table),
        }
    }

    fn course(&self, trace: &Trace) -> serde_json::Result<Box<dyn Course>> {
        Ok(Box::new(trace.read::<C>()?))
    }
}

/// Numbers of a table.
pub(super) fn read<T: DeserializeOwned>(table: &Value) -> Result<T, OutOfRange> {
    T::deserialize(table)
        .map_err(|e| OutOfRange::new("", table, format!("the numbers of the search: {e}")))
}

/// By way of text, so that an f32 keeps its few digits.
pub(super) fn to_value(of: &impl Serialize) -> Value {
    let text = serde_json::to_string(of).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
