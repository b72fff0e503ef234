//! Keys of a network that somebody brings.

use super::architectures::Arch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::hashed::HashedFile;
use tox_data::{Dataset, Split};
use tox_rcnas::learner::Normalisation;
use tox_robust::attacks::Attack;

/// A trained network, attacked as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// A PyTorch state dict, .safetensors, or the `found.safetensors` of a trial.
    pub weights: HashedFile,
    /// Which network; default: what the file says.
    #[serde(default)]
    pub arch: Option<Arch>,
    /// What its first layer sees: that with which it was trained; default: what the file says, else that of
    /// the data.
    #[serde(default)]
    pub normalise: Option<Normalisation>,
    /// Whose images are attacked, the first `judge.images` of them.
    #[serde(default)]
    pub split: Which,
    /// Attacks by their short names, each run alone in the ball of the threat; default: the threat's own.
    #[serde(default)]
    pub attacks: Vec<String>,
    /// Whether the trial leaves its adversarial examples in its folder, `adversarial.npz`.
    // The default is not written, so that trials keep the ids that they had before there was a choice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub examples: bool,
}

/// A part of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    #[default]
    Test,
    Valid,
    Train,
}

impl Which {
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Valid => "valid",
            Self::Train => "train",
        }
    }

    pub fn of(self, data: &Dataset) -> &Split {
        match self {
            Self::Test => &data.test,
            Self::Valid => &data.valid,
            Self::Train => &data.train,
        }
    }
}

impl NetworkConfig {
    /// The attacks that are named.
    ///
    /// # Errors
    /// A name that is none.
    pub fn attacks(&self) -> Result<Vec<Attack>, String> {
        let read = |name: &String| name.parse::<Attack>().map_err(|e| format!("`{name}`: {e}"));
        self.attacks.iter().map(read).collect()
    }
}
