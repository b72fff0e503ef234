//! The resolved spec of a trial: all that its outcome depends on, beside binary, device, threads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, SyntheticConfig};
use tox_data::spec::DataSpec;
use tox_poison::space::SpacePoison;
use tox_search::enas::config::EnasConfig;

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
}

impl Threat {
    /// Its `kind`, as a spec names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SearchSpace(_) => "search-space",
            Self::Bilevel(_) => "bilevel",
        }
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
}

impl Learner {
    /// Its `kind`, as a recipe names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Enas(_) => "enas",
            Self::Bilevel(_) => "bilevel",
            Self::Synthetic(_) => "synthetic",
        }
    }

    /// Whether a trial can pit it against `threat`. The poison point of `synthetic` is its own.
    pub fn faces(&self, threat: &Threat) -> bool {
        matches!(
            (self, threat),
            (_, Threat::None)
                | (Self::Enas(_), Threat::SearchSpace(_))
                | (Self::Bilevel(_), Threat::Bilevel(_))
        )
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
        matches!(self, Self::Enas(_))
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
