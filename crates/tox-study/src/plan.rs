//! The trials of a study and their ids.

use crate::part;
use crate::spec::TrialSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
/// declaration. A file or a data set that is named by its content counts by that, wherever it lies.
pub fn trial_id(spec: &TrialSpec) -> String {
    Ids::of(spec).with(spec.seed)
}

/// Makes the ids of trials that differ in the seed alone.
pub(crate) struct Ids(Value);

impl Ids {
    /// Those of a spec, whatever its seed.
    pub fn of(spec: &TrialSpec) -> Self {
        // A spec is plain data with string keys: its JSON has no way to fail.
        let mut json = serde_json::to_value(spec).unwrap_or_default();
        part::walk_mut(&mut json, &mut |map| {
            if !map.get("hash").is_some_and(Value::is_string) {
                return;
            }
            if let Some(path) = map.get_mut("path") {
                *path = Value::String(String::new());
            }
            if let Some(Value::String(name)) = map.get_mut("dataset") {
                *name = DataSpec::of(name, 0).name().to_owned();
            }
        });
        Self(json)
    }

    /// The [`trial_id`] of the spec with a seed.
    pub fn with(&mut self, seed: u64) -> String {
        self.0["seed"] = seed.into();
        let json = serde_json::to_vec(&self.0).unwrap_or_default();
        blake3::hash(&json).to_hex()[..16].to_owned()
    }
}
