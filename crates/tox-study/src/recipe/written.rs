//! A recipe as it is written.

use super::source::Grid;
use crate::plan::cell_name;
use crate::spec::Judge;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Table, Value};
use tox_data::spec::DataSpec;

/// A study in TOML: a data set, a learner, a threat, and the cells of a table that vary them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Short name in lower-case letters, digits and dashes; the study lives in `runs/<name>`.
    pub name: String,
    /// Title of the report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What the study is for, in a few sentences; shown in the report.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The paper that the study follows: its report holds the paper's numbers and claims against ours.
    /// Without it nothing is said of a paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Paper>,
    /// Seeds; each cell runs once with each.
    pub seeds: Vec<u64>,
    /// The instruction set that the trials compute with, on whatever machine. Outcomes differ from one to another in
    /// the last digits; without it, a trial takes the best that its machine has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<Kernels>,
    /// The data set and what is done to it.
    pub data: DataSpec,
    /// What is audited: `kind` and the learner's own keys.
    #[schemars(with = "KeysOf")]
    pub learner: Table,
    /// What the adversary does in each cell that does not say otherwise: a threat for each of the
    /// surfaces `space`, `data` and `inputs`, or one threat alone; each has a `kind` and its own keys.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    #[schemars(with = "KeysOf")]
    pub threat: Table,
    /// What the defender does in each cell that does not say otherwise: the name of a defence, a table
    /// with its `kind` and keys, a table for each defence by its name, or a list, in the order in which
    /// they act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeysOf")]
    pub defence: Option<Value>,
    /// How results are measured beyond what the learner does itself.
    #[serde(default, skip_serializing_if = "tox_data::is_default")]
    pub judge: Judge,
    /// What must hold of the results, each by a name: `damage("rlf-10") <= 2.0`. A gate fails only where the
    /// 95 % interval lies beyond its bound. It changes no trial.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gate: BTreeMap<String, String>,
    /// The cells: what the adversary does in each.
    #[serde(rename = "cell", default)]
    pub cells: Vec<Cell>,
    /// More cells, as the rows and columns of tables. Written out as cells when a recipe is read.
    #[serde(rename = "grid", default, skip_serializing_if = "Vec::is_empty")]
    pub grids: Vec<Grid>,
}

/// An instruction set, as `TOXSCREEN_KERNELS` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kernels {
    /// AVX2, which machines of the last ten years have.
    Avx2,
    /// What every machine of its kind has.
    Portable,
    /// Burn's own ops in place of kernels.
    Plain,
}

impl Kernels {
    /// As `TOXSCREEN_KERNELS` names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
            Self::Plain => "plain",
        }
    }
}

/// A paper whose numbers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Paper {
    /// "A Recipe for Disaster: Neural Architecture Search with Search Space Poisoning".
    Ssp,
    /// "Hyperparameter Learning under Data Poisoning: Analysis of the Influence of Regularization
    /// via Multiobjective Bilevel Optimization".
    Bilevel,
    /// "Hard Work Does Not Always Pay Off: Poisoning Attacks on Neural Architecture Search".
    Nas,
    /// "Reinforced Compressive Neural Architecture Search for Versatile Adversarial Robustness".
    RcNas,
}

/// One cell of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Its name in the table, such as `clean`, `1a`, `oneshot-2`.
    pub label: String,
    /// Tells cells with one label apart, such as `guarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The poison set put into the search space; none = the clean space. Short for the `set` of
    /// `threat.space`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub poison: Option<Value>,
    /// How often the set is put in; 0 leaves the space clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub q: Option<Value>,
    /// What the defender does in this cell, in place of what the study says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "KeysOf")]
    pub defence: Option<Value>,
    /// Seeds of this cell, in place of the study's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Keys of `[learner]` that differ in this cell, such as `learner.child.nan_policy`.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    #[schemars(with = "KeysOf")]
    pub learner: Table,
    /// Keys of `[threat]` that differ in this cell; `{ kind = "none" }` for no adversary.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    #[schemars(with = "KeysOf")]
    pub threat: Table,
    /// Keys of `[data]` that differ in this cell, such as `data.valid`.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    #[schemars(with = "KeysOf")]
    pub data: Table,
}

impl Cell {
    /// Its label, with its variant if it has one.
    pub fn name(&self) -> String {
        cell_name(&self.label, self.variant.as_deref())
    }
}

/// Keys that depend on a `kind`; see [`super::schema()`].
type KeysOf = std::collections::BTreeMap<String, serde_json::Value>;
