//! What the configs of all searches refuse, and how they say so.

/// A number outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{key} = {found} is out of range: expected {expected}")]
pub struct ConfigError {
    /// Dotted key below `learner`, as in a recipe.
    pub key: String,
    /// What was found.
    pub found: String,
    /// What would do.
    pub expected: String,
}

pub(crate) fn error<T>(
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

pub(crate) fn whole(
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

/// NaN is in no range.
pub(crate) fn real(
    key: impl Into<String>,
    value: f64,
    low: f64,
    high: f64,
) -> Result<(), ConfigError> {
    let ok = (low..=high).contains(&value);
    if ok {
        Ok(())
    } else {
        error(key, value, format!("{low} to {high}"))
    }
}
