//! Which way a search goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which way a search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Towards its objective.
    #[default]
    Search,
    /// Away from it, by the same steps: what the search minimises is maximised. What it finds is the yardstick of an
    /// attack, which can at best turn the search round.
    AntiSearch,
}

impl Direction {
    pub fn is_search(&self) -> bool {
        *self == Self::Search
    }

    /// What an objective of which more is better is multiplied by.
    pub fn sign(self) -> f64 {
        match self {
            Self::Search => 1.0,
            Self::AntiSearch => -1.0,
        }
    }
}
