//! The trials of a study and their ids.

use crate::spec::{Learner, Threat, TrialSpec};
use serde::{Deserialize, Serialize};
use tox_data::spec::DataSpec;

/// A trial of a plan; one line of `plan.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// [`trial_id`] of the spec.
    #[serde(rename = "trial")]
    pub id: String,
    /// The resolved spec.
    pub spec: TrialSpec,
}

impl Trial {
    /// `1a`, or `oneshot-2 (guarded)` where the cell has variants.
    pub fn cell(&self) -> String {
        cell_name(&self.spec.cell, self.spec.variant.as_deref())
    }

    /// Its `spec.json`.
    pub fn spec_json(&self) -> String {
        serde_json::to_string_pretty(&self.spec).unwrap_or_default() + "\n"
    }
}

/// `1a`, or `oneshot-2 (guarded)` where the cell has variants.
pub fn cell_name(label: &str, variant: Option<&str>) -> String {
    match variant {
        Some(variant) => format!("{label} ({variant})"),
        None => label.to_owned(),
    }
}

/// The first 16 hex digits of the blake3 of the spec's compact JSON, fields in their order of
/// declaration. A file that is named by its content too counts by that, wherever it lies.
pub fn trial_id(spec: &TrialSpec) -> String {
    let mut spec = spec.clone();
    let file = |path: &mut String, hash: &Option<String>| {
        if hash.is_some() {
            path.clear();
        }
    };
    let set = |data: &mut DataSpec| {
        if data.hash.is_some() {
            data.dataset = data.name().to_owned();
        }
    };
    set(&mut spec.data);
    if let Threat::File(threat) = &mut spec.threat {
        file(&mut threat.path, &threat.hash);
    }
    match &mut spec.learner {
        Learner::Nas(config) => {
            if let Some(supernet) = &mut config.supernet {
                file(&mut supernet.path, &supernet.hash);
            }
            config.target.iter_mut().for_each(set);
        }
        Learner::RcNas(config) => {
            for named in [&mut config.weights, &mut config.table]
                .into_iter()
                .flatten()
            {
                file(&mut named.path, &named.hash);
            }
            config.meta.data.iter_mut().for_each(set);
        }
        Learner::Enas(_)
        | Learner::Bilevel(_)
        | Learner::Synthetic(_)
        | Learner::SubNetworks(_) => {}
    }
    // A spec is plain data with string keys: its JSON has no way to fail.
    let json = serde_json::to_vec(&spec).unwrap_or_default();
    blake3::hash(&json).to_hex()[..16].to_owned()
}
