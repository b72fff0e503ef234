//! What the configs of all searches refuse, and how they say so.

use tox_nn::fit::FitConfigError;

/// A number outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} = {found} is out of range: expected {expected}")]
pub struct ConfigError {
    /// Dotted key below `learner`, as in a recipe.
    pub key: String,
    pub found: String,
    pub expected: String,
}

impl ConfigError {
    /// The error of a key in the table `table`, of the table itself if it has no key.
    pub fn below(mut self, table: &str) -> Self {
        self.key = match self.key.as_str() {
            "" => table.to_owned(),
            key => format!("{table}.{key}"),
        };
        self
    }
}

impl From<FitConfigError> for ConfigError {
    fn from(e: FitConfigError) -> Self {
        Self {
            key: e.key.to_owned(),
            found: e.found.to_string(),
            expected: format!("{} to {}", e.low, e.high),
        }
    }
}

/// Refuses what was found.
///
/// # Errors
/// Always.
pub fn error<T>(
    key: impl Into<String>,
    found: impl ToString,
    expected: String,
) -> Result<T, ConfigError> {
    Err(ConfigError {
        key: key.into(),
        found: found.to_string(),
        expected,
    })
}

/// Whether a whole number is within `low..=high`.
///
/// # Errors
/// When it is not.
pub fn whole(
    key: impl Into<String>,
    value: usize,
    low: usize,
    high: usize,
) -> Result<(), ConfigError> {
    let ok = (low..=high).contains(&value);
    if ok {
        Ok(())
    } else {
        error(key, value, format!("{low} to {high}"))
    }
}

/// Whether a number is within `low..=high`; NaN is in no range.
///
/// # Errors
/// When it is not.
pub fn real(key: impl Into<String>, value: f64, low: f64, high: f64) -> Result<(), ConfigError> {
    let ok = (low..=high).contains(&value);
    if ok {
        Ok(())
    } else {
        error(key, value, format!("{low} to {high}"))
    }
}

/// Images of a step and the numbers of SGD along a cosine, which the keys of several tables are.
///
/// # Errors
/// The first that is out of its range.
pub fn sgd(batch: usize, (max, min): (f64, f64), momentum: f64) -> Result<(), ConfigError> {
    // Batch norm with the statistics of a single image would keep nothing of a 1x1 map.
    whole("batch", batch, 2, 65_536)?;
    real("lr_max", max, 1e-12, 1e6)?;
    real("lr_min", min, 0.0, max)?;
    real("momentum", momentum, 0.0, 0.9999)
}
