//! What a user sets of an executor, in a file of their own or on the command line.

use super::{EngineError, Executor};
use crate::recipe::suggest;
use std::collections::BTreeMap;
use std::str::FromStr;
use toml::{Table, Value};

/// A setting that an executor knows.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// What it says, and what is taken without it.
    pub about: &'static str,
}

/// What was set, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Reads `KEY=VALUE,KEY=VALUE`. What follows a comma without a `=` is of the value before it, as in
    /// `nodelist=a1,a2`; a key without a value is a flag.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        let mut last: Option<String> = None;
        for part in text.split(',') {
            match (part.split_once('='), &last) {
                (Some((key, value)), _) => {
                    let key = key.trim().to_owned();
                    found.set(&key, value.trim());
                    last = Some(key);
                }
                (None, Some(key)) if found.0.get(key).is_some_and(|v| !v.is_empty()) => {
                    if let Some(value) = found.0.get_mut(key) {
                        value.push(',');
                        value.push_str(part.trim());
                    }
                }
                (None, _) => found.set(part.trim(), ""),
            }
        }
        found
    }

    /// Of a table of a configuration file.
    ///
    /// # Errors
    /// A value that is neither text, a number nor a truth value.
    pub fn of_table(table: &Table) -> Result<Self, String> {
        let mut found = Self::default();
        for (key, value) in table {
            match value {
                Value::String(text) => found.set(key, text),
                Value::Integer(number) => found.set(key, &number.to_string()),
                Value::Float(number) => found.set(key, &number.to_string()),
                Value::Boolean(true) => found.set(key, ""),
                Value::Boolean(false) => {}
                Value::Array(_) | Value::Table(_) | Value::Datetime(_) => {
                    return Err(format!("`{key}` must be text, a number, true or false"));
                }
            }
        }
        Ok(found)
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    /// Sets all that `other` has.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What a key was set to.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A number.
    ///
    /// # Errors
    /// When it is none, or not in the range.
    pub fn number<T: FromStr + PartialOrd + std::fmt::Display + Copy>(
        &self,
        engine: &'static str,
        key: &str,
        (default, least, most): (T, T, T),
    ) -> Result<T, EngineError> {
        let Some(text) = self.get(key) else {
            return Ok(default);
        };
        let read = text.parse().ok().filter(|n| *n >= least && *n <= most);
        read.ok_or_else(|| EngineError::Setting {
            engine,
            what: format!("`{key}` is \"{text}\""),
            hint: format!("expected a number from {least} to {most}; without it, it is {default}"),
        })
    }

    /// Those that an executor does not know.
    pub fn others<'a>(
        &'a self,
        executor: &'a dyn Executor,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let known = |key: &str| executor.keys().iter().any(|k| k.name == key);
        let pairs = self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        pairs.filter(move |(key, _)| !known(key))
    }

    /// Refuses keys that an executor does not know.
    ///
    /// # Errors
    /// The first of them.
    pub fn known(&self, executor: &dyn Executor) -> Result<(), EngineError> {
        if executor.takes_more() {
            return Ok(());
        }
        match self.others(executor).next() {
            None => Ok(()),
            Some((key, _)) => {
                let keys: Vec<&str> = executor.keys().iter().map(|k| k.name).collect();
                Err(EngineError::Setting {
                    engine: executor.name(),
                    what: format!("it has no setting `{key}`"),
                    hint: suggest(key, &keys),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_is_a_part_of_a_value_where_no_key_follows() {
        let read = Settings::parse("partition=gpu, nodelist=a1,a2,exclusive=,time=4:00:00");
        assert_eq!(read.get("nodelist"), Some("a1,a2"));
        assert_eq!(read.get("exclusive"), Some(""));
        assert_eq!(read.get("partition"), Some("gpu"));
        assert_eq!(read.get("time"), Some("4:00:00"));
        let flag = Settings::parse("exclusive,partition=gpu");
        assert_eq!(flag.get("exclusive"), Some(""));
    }

    #[test]
    fn a_number_has_a_range() {
        let read = Settings::parse("pack=0,retries=x");
        assert!(read.number("slurm", "pack", (1, 1, 1000)).is_err());
        assert!(read.number("slurm", "retries", (3, 0, 100)).is_err());
        assert_eq!(read.number("slurm", "other", (3, 0, 100)).unwrap(), 3);
    }
}
