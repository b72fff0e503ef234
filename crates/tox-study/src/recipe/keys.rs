//! The keys of one learner, threat or defence as they are written, with their place in the recipe.

use super::error::RecipeError;
use super::source::{Source, dotted, path};
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::path::Path;
use toml::{Table, Value};
use tox_data::hashed::hash_of;
use tox_data::ranges::OutOfRange;

/// Keys as they are written.
pub struct Keys<'a> {
    source: &'a Source<'a>,
    at: Vec<String>,
    table: Table,
}

impl<'a> Keys<'a> {
    pub(super) fn new(source: &'a Source<'a>, at: Vec<String>, table: Table) -> Self {
        Self { source, at, table }
    }

    /// The folder of the recipe, from which its relative paths are taken.
    pub fn folder(&self) -> &Path {
        self.source.folder
    }

    /// Reads them as a structure.
    ///
    /// # Errors
    /// A key that it does not have, or a value of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, RecipeError> {
        let table = Value::Table(self.table.clone());
        self.source.read(&self.at, table)
    }

    /// Reads the table `key`, if it is written, by `read`, which knows its type.
    ///
    /// # Errors
    /// As [`Keys::read`].
    pub fn table<T, E: Display>(
        &self,
        key: &str,
        read: impl FnOnce(serde_json::Value) -> Result<T, serde_path_to_error::Error<E>>,
    ) -> Result<Option<T>, RecipeError> {
        let at = [&self.at[..], &path(&[key])].concat();
        let Some(table) = self.table.get(key) else {
            return Ok(None);
        };
        let table = serde_json::to_value(table);
        let table = table.map_err(|e| self.refuse(key, e.to_string(), None))?;
        let read = read(table).map(Some);
        read.map_err(|e| self.source.unread(&at, e.path(), &e.inner().to_string()))
    }

    /// Reads them as a structure whose numbers `check` holds against their ranges.
    ///
    /// # Errors
    /// Those of [`Keys::read`], and the first number out of its range.
    pub fn checked<T: DeserializeOwned>(
        &self,
        check: impl FnOnce(&T) -> Result<(), OutOfRange>,
    ) -> Result<T, RecipeError> {
        let config: T = self.read()?;
        check(&config).map_err(|e| self.out_of_range(&e))?;
        Ok(config)
    }

    /// An error about a number out of its range.
    pub fn out_of_range(&self, wrong: &OutOfRange) -> RecipeError {
        let at = [
            &self.at[..],
            &path(&wrong.key.split('.').collect::<Vec<_>>()),
        ]
        .concat();
        let key = dotted(&at);
        let whole = OutOfRange {
            key,
            ..wrong.clone()
        };
        self.source.refuse(&at, whole.to_string(), None)
    }

    /// An error about the value of `key`, a dotted key; of all keys if it is empty.
    pub fn refuse(&self, key: &str, message: String, hint: Option<String>) -> RecipeError {
        let below = key.split('.').filter(|part| !part.is_empty());
        let below: Vec<String> = below.map(str::to_owned).collect();
        self.source
            .refuse(&[&self.at[..], &below].concat(), message, hint)
    }

    /// BLAKE3 of the file that the table `key` names by its `path`; `key` is what messages call it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn hash_of(&self, key: &str, file: &str) -> Result<String, RecipeError> {
        hash_of(Path::new(file)).map_err(|e| {
            // A recipe beside which the command runs, or a command that stands for one.
            let from = match self.source.folder == Path::new("") {
                true => "the current folder",
                false => "the folder of the recipe",
            };
            let hint = format!("a relative path is taken from {from}");
            let message = format!("cannot read the {key} {file}: {e}");
            self.refuse(&format!("{key}.path"), message, Some(hint))
        })
    }
}
