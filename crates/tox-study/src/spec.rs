//! The resolved spec of a trial: all that its outcome depends on, beside binary, device, threads.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::spec::DataSpec;
use tox_poison::space::SpacePoison;
use tox_search::enas::config::EnasConfig;

/// What the adversary does in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Threat {
    /// Nothing.
    #[default]
    None,
    /// Bad ops in the search space.
    SearchSpace(SpacePoison),
}

/// What is audited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Learner {
    /// ENAS macro search, or random search over the same space (`strategy`).
    Enas(EnasConfig),
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
