//! The trials of a study and their ids.

use crate::spec::TrialSpec;
use serde::{Deserialize, Serialize};

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
/// declaration.
pub fn trial_id(spec: &TrialSpec) -> String {
    // A spec is plain data with string keys: its JSON has no way to fail.
    let json = serde_json::to_vec(spec).unwrap_or_default();
    blake3::hash(&json).to_hex()[..16].to_owned()
}
