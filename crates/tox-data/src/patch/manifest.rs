//! What is known of a patch beside its numbers.

use serde::{Deserialize, Serialize};

use crate::features::sets::Features;
use crate::format::array::Values;

/// Name and version of the format.
pub(super) const FORMAT: &str = "toxscreen poison patch 1";

/// What the values of a patch mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    /// Pixel / 255, each in 0..=1: the training set is 8-bit.
    Unit,
    /// Those of the training set, which is floats.
    Own,
}

impl Units {
    pub(super) fn of(train: &Features) -> Self {
        match train.values {
            Values::Bytes(_) => Self::Unit,
            Values::Floats(_) => Self::Own,
        }
    }
}

/// What a patch replaces beside labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Nothing: rows keep their values.
    None,
    /// Rows by 8-bit values.
    Uint8,
    /// Rows by floats.
    #[default]
    Float32,
}

impl Kind {
    pub(super) fn of(values: Option<&Values>) -> Self {
        match values {
            None => Self::None,
            Some(Values::Bytes(_)) => Self::Uint8,
            Some(Values::Floats(_)) => Self::Float32,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Uint8 => "uint8",
            Self::Float32 => "float32",
        })
    }
}

/// What is known of a patch beside its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `toxscreen poison patch 1`.
    pub format: String,
    /// Name of the attack.
    pub attack: String,
    /// Its settings.
    pub settings: serde_json::Value,
    /// Version of toxscreen that made the patch.
    pub version: String,
    /// Rows replaced.
    pub points: usize,
    /// Of these, rows whose label differs from the clean one.
    pub flipped: usize,
    /// Rows of the training set.
    pub train_rows: usize,
    /// Features of a row.
    pub columns: usize,
    /// Channels, height and width of a row, if rows are images.
    pub shape: Option<[usize; 3]>,
    /// Classes of the training set.
    pub classes: usize,
    /// What the values mean.
    pub units: Units,
    /// What kind of values there are; patches made before there was a choice do not say it.
    #[serde(default)]
    pub values: Kind,
    /// [`Features::hash`] of the clean training set.
    pub train_hash: String,
    /// BLAKE3 (hexadecimal) of the patch file; empty until it is saved.
    pub patch_hash: String,
}
