//! The resolved spec of a trial: all that its outcome depends on, beside binary, device, threads.

use crate::part::{Part, walk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tox_data::spec::DataSpec;

/// Something that an adversary can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Surface {
    /// The search space.
    Space,
    /// Rows that a learner learns from.
    Data,
    /// What the finished model is shown.
    Inputs,
}

impl Surface {
    pub const ALL: [Self; 3] = [Self::Space, Self::Data, Self::Inputs];

    /// Its key in a recipe.
    pub fn key(self) -> &'static str {
        match self {
            Self::Space => "space",
            Self::Data => "data",
            Self::Inputs => "inputs",
        }
    }
}

/// What the adversary does: at most one threat on each surface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Threats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Part>,
}

impl Threats {
    /// The threat on a surface.
    pub fn get(&self, surface: Surface) -> Option<&Part> {
        match surface {
            Surface::Space => self.space.as_ref(),
            Surface::Data => self.data.as_ref(),
            Surface::Inputs => self.inputs.as_ref(),
        }
    }

    /// Puts a threat on a surface.
    pub fn set(&mut self, surface: Surface, threat: Part) {
        let place = match surface {
            Surface::Space => &mut self.space,
            Surface::Data => &mut self.data,
            Surface::Inputs => &mut self.inputs,
        };
        *place = Some(threat);
    }

    /// All threats with their surfaces.
    pub fn all(&self) -> impl Iterator<Item = (Surface, &Part)> {
        let one = |surface| Some((surface, self.get(surface)?));
        Surface::ALL.into_iter().filter_map(one)
    }

    /// Whether the adversary does nothing.
    pub fn is_none(&self) -> bool {
        self.all().next().is_none()
    }
}

/// What the defender does: a chain of defences before each surface, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Defences {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub space: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Part>,
}

impl Defences {
    /// The defences before a surface.
    pub fn get(&self, surface: Surface) -> &[Part] {
        match surface {
            Surface::Space => &self.space,
            Surface::Data => &self.data,
            Surface::Inputs => &self.inputs,
        }
    }

    /// Puts a defence behind those before a surface.
    pub fn push(&mut self, surface: Surface, defence: Part) {
        let chain = match surface {
            Surface::Space => &mut self.space,
            Surface::Data => &mut self.data,
            Surface::Inputs => &mut self.inputs,
        };
        chain.push(defence);
    }

    /// All defences, surface by surface.
    pub fn all(&self) -> impl Iterator<Item = &Part> {
        Surface::ALL.into_iter().flat_map(|s| self.get(s))
    }

    /// Whether the defender does nothing.
    pub fn is_none(&self) -> bool {
        self.all().next().is_none()
    }
}

/// How the result is measured beyond what the learner does itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Judge {
    /// Test images that the model is attacked on, the first ones, where a threat acts on `inputs`;
    /// default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub images: Option<usize>,
}

/// Version of [`TrialSpec`]. Version 1 named data sets by their paths alone, version 2 had one threat
/// and one defence.
pub const VERSION: u32 = 3;

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
    pub data: DataSpec,
    #[serde(default, skip_serializing_if = "Threats::is_none")]
    pub threat: Threats,
    /// The learner with every number resolved.
    pub learner: Part,
    #[serde(default, skip_serializing_if = "Defences::is_none")]
    pub defence: Defences,
    #[serde(default, skip_serializing_if = "tox_data::is_default")]
    pub judge: Judge,
    /// Seed of all random streams. Streams depend on it and on their purpose alone, so that cells
    /// are compared under the same random numbers and a threat of strength 0 changes nothing.
    pub seed: u64,
}

impl TrialSpec {
    /// The data sets that it reads, its own first; drawn ones are none.
    pub fn data_sets(&self) -> Vec<DataSpec> {
        let own = (!self.data.is_drawn()).then(|| self.data.clone());
        own.into_iter().chain(data_sets(&self.learner)).collect()
    }

    /// Files beside data sets that it reads, with the hashes of their bytes.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let text = |map: &Map<String, Value>, key| Some(map.get(key)?.as_str()?.to_owned());
        let mut note = |map: &Map<String, Value>| {
            found.extend(text(map, "path").zip(text(map, "hash")));
        };
        let parts = self.threat.all().map(|(_, part)| part);
        for part in parts.chain([&self.learner]).chain(self.defence.all()) {
            note(&part.keys);
            part.keys.values().for_each(|v| walk(v, &mut note));
        }
        found
    }
}

/// The data sets that a learner's keys name.
fn data_sets(learner: &Part) -> Vec<DataSpec> {
    let mut found = Vec::new();
    for value in learner.keys.values() {
        walk(value, &mut |map| {
            if map.contains_key("dataset") {
                let set = serde_json::from_value(Value::Object(map.clone()));
                found.extend(set.ok());
            }
        });
    }
    found
}
