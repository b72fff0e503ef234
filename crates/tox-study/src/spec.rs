//! The resolved spec of a trial: all that its outcome depends on, beside binary, device, threads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, SyntheticConfig};
use tox_data::spec::DataSpec;
use tox_poison::data::threat::{ClfThreat, FileThreat, GcThreat, NoiseThreat, RlfThreat};
use tox_poison::space::SpacePoison;
use tox_search::enas::config::EnasConfig;
use tox_search::nas::NasConfig;

/// What the adversary does in a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Threat {
    /// Nothing.
    #[default]
    None,
    /// Bad ops in the search space.
    SearchSpace(SpacePoison),
    /// Poison in the training set, by projected hypergradient ascent.
    Bilevel(BilevelAttack),
    /// Labels flipped at random in what a search learns from.
    Rlf(RlfThreat),
    /// Labels flipped where a classifier is confident.
    Clf(ClfThreat),
    /// Noise on images.
    Noise(NoiseThreat),
    /// Images whose gradient cancels the clean ones'.
    Gc(GcThreat),
    /// A poison made before.
    File(FileThreat),
}

impl Threat {
    /// Its `kind`, as a spec names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SearchSpace(_) => "search-space",
            Self::Bilevel(_) => "bilevel",
            Self::Rlf(_) => "rlf",
            Self::Clf(_) => "clf",
            Self::Noise(_) => "noise",
            Self::Gc(_) => "gc",
            Self::File(_) => "file",
        }
    }

    /// Share of the rows that a search learns from which it poisons; `None` of other threats, and of
    /// a poison made before.
    pub fn budget(&self) -> Option<f64> {
        match self {
            Self::Rlf(threat) => Some(threat.budget),
            Self::Clf(threat) => Some(threat.budget),
            Self::Noise(threat) => Some(threat.budget),
            Self::Gc(threat) => Some(threat.budget),
            Self::None | Self::SearchSpace(_) | Self::Bilevel(_) | Self::File(_) => None,
        }
    }

    /// Whether it poisons the data that a search learns from.
    pub fn poisons_data(&self) -> bool {
        self.budget().is_some() || matches!(self, Self::File(_))
    }
}

/// What is audited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Learner {
    /// ENAS macro search, or random search over the same space (`strategy`).
    Enas(EnasConfig),
    /// A classifier that learns its regularisation.
    Bilevel(BilevelConfig),
    /// The paper's example of one poison point on two Gaussians.
    Synthetic(SyntheticConfig),
    /// A search over cells that learns from data which may be poisoned.
    Nas(NasConfig),
}

impl Learner {
    /// Its `kind`, as a recipe names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enas(_) => "enas",
            Self::Bilevel(_) => "bilevel",
            Self::Synthetic(_) => "synthetic",
            Self::Nas(_) => "nas",
        }
    }

    /// Whether a trial can pit it against `threat`. The poison point of `synthetic` is its own.
    pub fn faces(&self, threat: &Threat) -> bool {
        matches!(
            (self, threat),
            (_, Threat::None)
                | (Self::Enas(_), Threat::SearchSpace(_))
                | (Self::Bilevel(_), Threat::Bilevel(_))
        ) || matches!(self, Self::Nas(_)) && threat.poisons_data()
    }

    /// Without the numbers of what it does not run: what an outcome depends on.
    pub fn resolved(self) -> Self {
        match self {
            Self::Nas(config) => Self::Nas(config.resolved()),
            other => other,
        }
    }

    /// Whether a trial can defend it by `defence`. Only a search has a space to screen.
    pub fn defended_by(&self, defence: Defence) -> bool {
        defence == Defence::None || matches!(self, Self::Enas(_))
    }

    /// Whether its data come from files. `synthetic` draws its own.
    pub fn loads_data(&self) -> bool {
        !matches!(self, Self::Synthetic(_))
    }

    /// Whether it can run on another device than the CPU.
    pub fn on_device(&self) -> bool {
        matches!(self, Self::Enas(_) | Self::Nas(_))
    }
}

/// What the defender does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Defence {
    /// Nothing.
    #[default]
    None,
    /// The search space is screened and the ops found poisonous are dropped before the search.
    Screen,
}

impl Defence {
    /// Its name in a recipe.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Screen => "screen",
        }
    }
}

/// One point of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSpec {
    /// Version of this structure; part of the id.
    pub version: u32,
    /// Label of the cell, such as `clean`, `1a`, `oneshot-2`; several trials (seeds) share it.
    pub cell: String,
    /// Which of the cell's variants, such as `guarded`; `None` where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The data.
    pub data: DataSpec,
    /// The threat.
    pub threat: Threat,
    /// The learner with every number resolved.
    pub learner: Learner,
    /// The defence.
    pub defence: Defence,
    /// Seed of all random streams. Streams depend on it and on their purpose alone, so that cells
    /// are compared under the same random numbers and a threat of strength 0 changes nothing.
    pub seed: u64,
}
