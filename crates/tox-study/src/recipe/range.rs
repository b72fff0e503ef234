//! Numbers of learners, threats and defences that are out of their range, in the words of a recipe.

use super::{RecipeError, path};
use crate::source::{Source, dotted};
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use tox_poison::cleanse::CleanseError;
use tox_poison::data::PoisonError;

/// A number out of its range, in whichever crate it was found.
pub struct OutOfRange {
    key: String,
    found: String,
    expected: String,
}

impl From<tox_search::enas::config::ConfigError> for OutOfRange {
    fn from(e: tox_search::enas::config::ConfigError) -> Self {
        let (key, found, expected) = (e.key, e.found, e.expected);
        Self {
            key,
            found,
            expected,
        }
    }
}

impl From<tox_bilevel::config::ConfigError> for OutOfRange {
    fn from(e: tox_bilevel::config::ConfigError) -> Self {
        let (key, found, expected) = (e.key.to_owned(), e.found, e.expected.to_owned());
        Self {
            key,
            found,
            expected,
        }
    }
}

impl From<CleanseError> for OutOfRange {
    fn from(e: CleanseError) -> Self {
        let (key, found, expected) = match e {
            CleanseError::Setting {
                key,
                found,
                expected,
            } => (key, found.to_string(), expected.to_owned()),
            CleanseError::Both(key, other) => (
                key,
                "set".to_owned(),
                format!("it alone, without `{other}`"),
            ),
            // A check of a defence's numbers finds nothing else.
            other => ("", String::new(), other.to_string()),
        };
        Self {
            key: key.to_owned(),
            found,
            expected,
        }
    }
}

impl From<PoisonError> for OutOfRange {
    fn from(e: PoisonError) -> Self {
        let (key, found, expected) = match &e {
            PoisonError::Budget { budget } => (
                "budget".to_owned(),
                *budget,
                "a share of the rows above 0 and at most 1, such as 0.1".to_owned(),
            ),
            PoisonError::Setting {
                key,
                found,
                expected,
            } => ((*key).to_owned(), *found, (*expected).to_owned()),
            PoisonError::Fit(e) => (
                format!("fit.{}", e.key),
                e.found,
                format!("{} to {}", e.low, e.high),
            ),
            // A check of a threat's numbers finds nothing else.
            other => (String::new(), f64::NAN, other.to_string()),
        };
        Self {
            key,
            found: found.to_string(),
            expected,
        }
    }
}

pub fn checked<T: DeserializeOwned, E: Into<OutOfRange>>(
    source: &Source,
    at: &[String],
    table: Table,
    check: fn(&T) -> Result<(), E>,
) -> Result<T, RecipeError> {
    let config: T = source.read(at, Value::Table(table))?;
    in_range(source, at, check(&config))?;
    Ok(config)
}

/// Says in which key of the table at `at` a number out of its range stands.
pub fn in_range<E: Into<OutOfRange>>(
    source: &Source,
    at: &[String],
    checked: Result<(), E>,
) -> Result<(), RecipeError> {
    checked.map_err(|e| {
        let e: OutOfRange = e.into();
        let key = [at, &path(&e.key.split('.').collect::<Vec<_>>())].concat();
        let message = format!(
            "`{}` = {} is out of range: expected {}",
            dotted(&key),
            e.found,
            e.expected
        );
        source.refuse(&key, message, None)
    })
}
