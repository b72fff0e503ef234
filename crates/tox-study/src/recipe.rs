//! A recipe: a study as a person writes it, in TOML. [`Study`] is what it means.

use crate::plan::{Trial, trial_id};
use crate::source::{Source, dotted, merge, suggest};
use crate::spec::{Defence, Learner, Threat, TrialSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use tox_data::spec::DataSpec;
use tox_poison::space::{PoisonSet, SpacePoison};
use tox_search::enas::config::EnasConfig;
use tox_search::space::Space;

pub use crate::source::Setting;

/// The quickstart that `toxscreen run` runs when it is given no recipe.
pub const QUICKSTART: &str = include_str!("../../../recipes/quickstart.toml");

/// A study in TOML: one data set, one learner, and the cells of a table.
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
    /// The paper whose numbers the report puts beside ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Paper>,
    /// Seeds; each cell runs once with each.
    pub seeds: Vec<u64>,
    /// The data set and what is done to it.
    pub data: DataSpec,
    /// What is audited: `kind` and the learner's own keys.
    #[schemars(schema_with = "learner_schema")]
    pub learner: Table,
    /// The cells: what the adversary does in each.
    #[serde(rename = "cell")]
    pub cells: Vec<Cell>,
}

/// A paper whose numbers are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Paper {
    /// "A Recipe for Disaster: Neural Architecture Search with Search Space Poisoning".
    Ssp,
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
    /// The poison set put into the search space; none = the clean space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<PoisonSet>,
    /// How often the set is put in; 0 leaves the space clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<usize>,
    /// What the defender does.
    #[serde(default)]
    pub defence: Defence,
    /// Seeds of this cell, in place of the study's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Keys of `[learner]` that differ in this cell, such as `learner.child.nan_policy`.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    #[schemars(schema_with = "cell_learner_schema")]
    pub learner: Table,
}

fn learner_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = EnasConfig::json_schema(generator);
    if let Some(keys) = schema.get_mut("properties").and_then(|p| p.as_object_mut()) {
        keys.insert(
            "kind".into(),
            serde_json::json!({"const": "enas", "description": "The learner."}),
        );
    }
    schema.insert("required".into(), serde_json::json!(["kind"]));
    schema
}

fn cell_learner_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = EnasConfig::json_schema(generator);
    schema.insert(
        "description".into(),
        "Keys of [learner] that differ in this cell.".into(),
    );
    schema
}

/// The JSON schema of a recipe, as published in `recipes/schema.json`.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Recipe);
    // Serialising plain JSON into a string has no way to fail.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// What the command line changes in a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--set key=value`, in order.
    pub set: Vec<Setting>,
    /// `--seeds`: replaces the study's seeds and every cell's.
    pub seeds: Option<Vec<u64>>,
}

/// Why a recipe is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {}: {message}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
    /// Something in it does not hold.
    #[error("{place}: {message}")]
    Invalid {
        /// File and line, or the option of the command line.
        place: String,
        /// What was found and what was expected.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl RecipeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("`toxscreen init` writes a recipe to start from".into()),
            Self::Invalid { hint, .. } => hint.clone(),
        }
    }
}

/// A recipe whose every name is resolved and every number in its range, with its trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// The recipe with overrides and defaults written out. It means the same trials.
    pub recipe: Recipe,
    /// The trials: cells in order, seeds within a cell in order.
    pub trials: Vec<Trial>,
}

impl Study {
    /// Reads the recipe at `path`.
    ///
    /// # Errors
    /// The first thing in it that does not hold.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, RecipeError> {
        let text = std::fs::read_to_string(path).map_err(|e| RecipeError::Read {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        Self::parse(&path.display().to_string(), &text, overrides)
    }

    /// Reads a recipe's text; `name` stands for it in messages.
    ///
    /// # Errors
    /// The first thing in it that does not hold.
    pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Self, RecipeError> {
        let source = Source::parse(name, text, &overrides.set)?;
        let mut recipe: Recipe = source.read(&[], Value::Table(source.table.clone()))?;
        if let Some(seeds) = &overrides.seeds {
            recipe.seeds.clone_from(seeds);
            recipe.cells.iter_mut().for_each(|c| c.seeds = None);
        }
        let learner = read_learner(&source, &path(&["learner"]), &recipe.learner)?;
        check_names(&source, &recipe)?;
        check_data(&source, &recipe.data)?;
        check_seeds(&source, &path(&["seeds"]), &recipe.seeds)?;

        let mut trials = Vec::new();
        for (i, cell) in recipe.cells.iter().enumerate() {
            let at = |key: &str| path(&["cell", &i.to_string(), key]);
            let learner = if cell.learner.is_empty() {
                learner.clone()
            } else {
                let mut merged = recipe.learner.clone();
                merge(&mut merged, &cell.learner);
                // The study's own table was read without complaint: what is wrong is the cell's.
                read_learner(&source, &at("learner"), &merged)?
            };
            let threat = read_threat(&source, &at, cell)?;
            if let Some(seeds) = &cell.seeds {
                check_seeds(&source, &at("seeds"), seeds)?;
            }
            for &seed in cell.seeds.as_ref().unwrap_or(&recipe.seeds) {
                let spec = TrialSpec {
                    version: 1,
                    cell: cell.label.clone(),
                    variant: cell.variant.clone(),
                    data: recipe.data.clone(),
                    threat,
                    learner: learner.clone(),
                    defence: cell.defence,
                    seed,
                };
                let id = trial_id(&spec);
                trials.push(Trial { id, spec });
            }
        }
        if let Ok(Value::Table(resolved)) = Value::try_from(&learner) {
            recipe.learner = resolved;
        }
        Ok(Self { recipe, trials })
    }

    /// The resolved recipe as TOML.
    pub fn to_toml(&self) -> String {
        // A recipe came from TOML, and checked seeds fit its integers.
        toml::to_string_pretty(&self.recipe).unwrap_or_default()
    }
}

fn path(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|p| (*p).to_owned()).collect()
}

fn read_learner(source: &Source, at: &[String], table: &Table) -> Result<Learner, RecipeError> {
    let mut table = table.clone();
    let kind_at = [at, &path(&["kind"])].concat();
    match table.remove("kind") {
        Some(Value::String(kind)) if kind == "enas" => {}
        Some(Value::String(kind)) => {
            let message = format!("unknown learner \"{kind}\"");
            return Err(source.refuse(&kind_at, message, Some(suggest(&kind, &["enas"]))));
        }
        found => {
            let message = match found {
                None => format!("the key `{}` is missing", dotted(&kind_at)),
                Some(v) => format!("`{}` must be a string, found {v}", dotted(&kind_at)),
            };
            let hint = Some("write kind = \"enas\"".into());
            return Err(source.refuse(&kind_at, message, hint));
        }
    }
    let config: EnasConfig = source.read(at, Value::Table(table))?;
    config.check().map_err(|e| {
        let key = [at, &path(&e.key.split('.').collect::<Vec<_>>())].concat();
        let message = format!(
            "`{}` = {} is out of range: expected {}",
            dotted(&key),
            e.found,
            e.expected
        );
        source.refuse(&key, message, None)
    })?;
    Ok(Learner::Enas(config))
}

fn read_threat(
    source: &Source,
    at: &dyn Fn(&str) -> Vec<String>,
    cell: &Cell,
) -> Result<Threat, RecipeError> {
    let of = format!("cell \"{}\"", cell.label);
    match (cell.poison, cell.q) {
        (None, None) => Ok(Threat::None),
        (Some(set), Some(q)) => match set.poison(&Space::enas(), q) {
            Ok(_) => Ok(Threat::SearchSpace(SpacePoison { set, q })),
            Err(e) => Err(source.refuse(&at("q"), format!("{of}: {e}"), None)),
        },
        (Some(set), None) => Err(source.refuse(
            &at("poison"),
            format!("{of} has the poison set {set} but no `q`"),
            Some("write how often the set is put in, such as q = 6".into()),
        )),
        (None, Some(_)) => Err(source.refuse(
            &at("q"),
            format!("{of} has a `q` but no `poison`"),
            Some("name the set: poison = \"P1\" to \"P5\" or \"P3+\"".into()),
        )),
    }
}

fn check_names(source: &Source, recipe: &Recipe) -> Result<(), RecipeError> {
    let fits = |s: &str, more: &str| {
        !s.is_empty()
            && s.len() <= 64
            && s.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
    };
    if !fits(&recipe.name, "-") {
        let message = format!(
            "`name` = \"{}\" must be 1 to 64 lower-case letters, digits and dashes: it names a folder",
            recipe.name
        );
        return Err(source.refuse(&path(&["name"]), message, None));
    }
    if recipe.cells.is_empty() {
        let hint = Some("add [[cell]] with label = \"clean\"".into());
        return Err(source.refuse(&path(&["cell"]), "the recipe has no cell".into(), hint));
    }
    let mut seen = BTreeSet::new();
    for (i, cell) in recipe.cells.iter().enumerate() {
        for (key, value) in [
            ("label", Some(&cell.label)),
            ("variant", cell.variant.as_ref()),
        ] {
            let at = path(&["cell", &i.to_string(), key]);
            if value.is_some_and(|v| !fits(v, "-_.+")) {
                let message = format!(
                    "`{}` must be 1 to 64 lower-case letters, digits and any of - _ . +",
                    dotted(&at)
                );
                return Err(source.refuse(&at, message, None));
            }
        }
        if !seen.insert((&cell.label, &cell.variant)) {
            let at = path(&["cell", &i.to_string(), "label"]);
            let twin = match &cell.variant {
                Some(v) => format!("label \"{}\" and variant \"{v}\"", cell.label),
                None => format!("label \"{}\"", cell.label),
            };
            let hint = "give one of them another label, or tell them apart by `variant`";
            let message = format!("two cells have the {twin}");
            return Err(source.refuse(&at, message, Some(hint.into())));
        }
    }
    Ok(())
}

fn check_seeds(source: &Source, at: &[String], seeds: &[u64]) -> Result<(), RecipeError> {
    let unique: BTreeSet<_> = seeds.iter().collect();
    let problem = if seeds.is_empty() {
        "is empty: expected at least one seed"
    } else if unique.len() < seeds.len() {
        "names a seed twice: it would be the same trial"
    } else if seeds.iter().any(|&s| i64::try_from(s).is_err()) {
        "has a seed above 9223372036854775807"
    } else {
        return Ok(());
    };
    Err(source.refuse(at, format!("`{}` {problem}", dotted(at)), None))
}

fn check_data(source: &Source, data: &DataSpec) -> Result<(), RecipeError> {
    let problems = [
        ("dataset", data.dataset.is_empty(), "is empty"),
        ("train", data.train == Some(0), "= 0: expected at least 1"),
        ("valid", data.valid == 0, "= 0: expected at least 1"),
        ("test", data.test == Some(0), "= 0: expected at least 1"),
        (
            "resize",
            data.resize.is_some_and(|r| !(4..=1024).contains(&r)),
            "is out of range: expected 4 to 1024 pixels",
        ),
    ];
    match problems.iter().find(|(_, wrong, _)| *wrong) {
        Some((key, _, problem)) => {
            let message = format!("`data.{key}` {problem}");
            Err(source.refuse(&path(&["data", key]), message, None))
        }
        None => Ok(()),
    }
}
