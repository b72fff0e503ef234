//! A recipe: a study as a person writes it, in TOML. [`Study`] is what it means.

mod check;
mod data;
mod error;
mod keys;
mod parts;
mod paths;
mod schema;
pub(crate) mod source;

pub use data::SourceError;
pub use error::RecipeError;
pub use keys::{Keys, OutOfRange};
pub use schema::schema;
pub use source::{Grid, Setting, suggest};

use crate::house::House;
use crate::plan::{Trial, cell_name, trial_id};
use crate::spec::{self, Judge, TrialSpec};
use parts::WrittenThreats;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use source::{Origin, Source, merge};
use std::path::Path;
use toml::{Table, Value};
use tox_data::spec::DataSpec;
use tox_data::text;
use wildmatch::WildMatch;

/// The quickstart that `toxscreen run` runs when it is given no recipe.
pub const QUICKSTART: &str = include_str!("../../../recipes/quickstart.toml");

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
    #[serde(default, skip_serializing_if = "Judge::is_default")]
    pub judge: Judge,
    /// The cells: what the adversary does in each.
    #[serde(rename = "cell", default)]
    pub cells: Vec<Cell>,
    /// More cells, as the rows and columns of tables. Written out as cells when a recipe is read.
    #[serde(rename = "grid", default, skip_serializing_if = "Vec::is_empty")]
    pub grids: Vec<Grid>,
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

/// Keys that depend on a `kind`; see [`schema()`].
type KeysOf = std::collections::BTreeMap<String, serde_json::Value>;

/// What the command line changes in a recipe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--set key=value`, in order.
    pub set: Vec<Setting>,
    /// `--seeds`: replaces the study's seeds and every cell's.
    pub seeds: Option<Vec<u64>>,
    /// `--cells`: keeps the cells whose label, variant or whole name fits one of these patterns, in
    /// which `*` is any text; none keeps all.
    pub cells: Vec<String>,
}

impl Overrides {
    /// Whether a cell is kept.
    fn keeps(&self, cell: &Cell) -> bool {
        let name = cell_name(&cell.label, cell.variant.as_deref());
        let names = [Some(&cell.label), cell.variant.as_ref(), Some(&name)];
        let fits = |pattern: &String| {
            let pattern = WildMatch::new(pattern);
            names
                .into_iter()
                .flatten()
                .any(|name| pattern.matches(name))
        };
        self.cells.is_empty() || self.cells.iter().any(fits)
    }
}

/// A recipe whose every name is resolved and every number in its range, with its trials.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// The recipe with overrides and defaults written out. It means the same trials.
    pub recipe: Recipe,
    /// The trials: cells in order, seeds within a cell in order.
    pub trials: Vec<Trial>,
    /// What was taken otherwise than it is written, for people.
    pub notes: Vec<String>,
}

impl Study {
    /// Reads the recipe at `path`. Relative paths in it are taken from its folder.
    ///
    /// # Errors
    /// The first thing in it that does not hold.
    pub fn load(house: &House, path: &Path, overrides: &Overrides) -> Result<Self, RecipeError> {
        let text = text::read(path).map_err(|e| RecipeError::Read {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        if text.starts_with(SEAL) && !is_sealed(&text) {
            return Err(RecipeError::Invalid {
                place: path.display().to_string(),
                message: "this is the resolved recipe of a study, and was changed after toxscreen wrote \
                          it"
                    .into(),
                hint: Some(
                    "edit your recipe, not this file; to make a recipe of it, take its first line off"
                        .into(),
                ),
            });
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse_in(house, folder, &path.display().to_string(), &text, overrides)
    }

    /// Reads a recipe's text; `name` stands for it in messages. Relative paths in it are taken from the
    /// current folder.
    ///
    /// # Errors
    /// The first thing in it that does not hold.
    pub fn parse(
        house: &House,
        name: &str,
        text: &str,
        overrides: &Overrides,
    ) -> Result<Self, RecipeError> {
        Self::parse_in(house, Path::new(""), name, text, overrides)
    }

    fn parse_in(
        house: &House,
        folder: &Path,
        name: &str,
        text: &str,
        overrides: &Overrides,
    ) -> Result<Self, RecipeError> {
        let mut notes = Vec::new();
        let source = Source::parse(name, text, &overrides.set, |table, from| match from {
            Origin::File => paths::resolve(table, folder, &mut notes),
            Origin::CommandLine => paths::resolve(table, Path::new(""), &mut notes),
        })?;
        let mut recipe: Recipe = source.read(&[], Value::Table(source.table.clone()))?;
        if let Some(seeds) = &overrides.seeds {
            recipe.seeds.clone_from(seeds);
            recipe.cells.iter_mut().for_each(|c| c.seeds = None);
        }
        let of_study = parts::learner(house, &source, &path(&["learner"]), recipe.learner.clone())?;
        let written = WrittenThreats::new(house, &source, path(&["threat"]), &recipe.threat, None)?;
        let threat_of_study = written.read(house, &source)?;
        let defence_of_study = match &recipe.defence {
            Some(own) => parts::defences(house, &source, &path(&["defence"]), own, "the study")?,
            None => spec::Defences::default(),
        };
        check::names(&source, &recipe)?;
        check::seeds(&source, &path(&["seeds"]), &recipe.seeds)?;

        if !recipe.cells.iter().any(|cell| overrides.keeps(cell)) {
            let names = recipe.cells.iter();
            let names = names.map(|c| cell_name(&c.label, c.variant.as_deref()));
            return Err(RecipeError::Invalid {
                place: "--cells".into(),
                message: format!(
                    "no cell of {} fits {}",
                    recipe.name,
                    overrides.cells.join(", ")
                ),
                hint: Some(format!(
                    "its cells are {}; `*` stands for any text",
                    names.collect::<Vec<_>>().join(", ")
                )),
            });
        }
        let kept = recipe.cells.iter().filter(|cell| overrides.keeps(cell));
        check::trials(&source, kept, &recipe.seeds)?;
        let mut trials = Vec::new();
        let mut hashes = Vec::new();
        for (i, cell) in recipe.cells.iter().enumerate() {
            if !overrides.keeps(cell) {
                continue;
            }
            let at = |key: &str| path(&["cell", &i.to_string(), key]);
            let learner = parts::learner_of(house, &source, &recipe, &of_study, i)?;
            let (threats, own) = parts::threats_of(house, &source, &recipe, &written, i)?;
            let threat = threats.read(house, &source)?;
            let defence = match &cell.defence {
                Some(own) => {
                    let of = format!("cell \"{}\"", cell.label);
                    parts::defences(house, &source, &at("defence"), own, &of)?
                }
                None => defence_of_study.clone(),
            };
            let (data_at, data) = data_of(&source, &recipe, at("data"), cell)?;
            hashes.push((i, own.to_table(), learner.clone(), threat.clone()));
            let spec = TrialSpec {
                version: spec::VERSION,
                cell: cell.label.clone(),
                variant: cell.variant.clone(),
                data,
                learner: parts::resolved(house, learner, &threat),
                threat,
                defence,
                judge: recipe.judge.clone(),
                seed: 0,
            };
            check::meaning(house, &source, &spec, &threats, &at("defence"))?;
            check::data(house, &source, &data_at, &spec)?;
            if let Some(seeds) = &cell.seeds {
                check::seeds(&source, &at("seeds"), seeds)?;
            }
            for &seed in cell.seeds.as_ref().unwrap_or(&recipe.seeds) {
                let spec = TrialSpec {
                    seed,
                    ..spec.clone()
                };
                let id = trial_id(&spec);
                trials.push(Trial { id, spec });
            }
        }
        for (i, mut own, learner, threat) in hashes {
            let cell = &mut recipe.cells[i];
            parts::keep_threat_hashes(&mut own, &threat);
            // What is written as `poison` and `q` stays so.
            if cell.poison.is_some() {
                own.remove(spec::Surface::Space.key());
            }
            cell.threat = own;
            parts::keep_hashes(&mut cell.learner, &learner.keys);
        }
        recipe.cells.retain(|cell| overrides.keeps(cell));
        recipe.learner = of_study.to_toml();
        let surfaces = threat_of_study.all();
        let surfaces = surfaces.map(|(s, part)| (s.key().to_owned(), Value::Table(part.to_toml())));
        recipe.threat = surfaces.collect();
        Ok(Self {
            recipe,
            trials,
            notes,
        })
    }

    /// The resolved recipe as TOML.
    pub fn to_toml(&self) -> String {
        // A recipe came from TOML, and checked seeds fit its integers.
        toml::to_string_pretty(&self.recipe).unwrap_or_default()
    }
}

/// Start of the first line of a study's resolved recipe.
const SEAL: &str = "# toxscreen: BLAKE3 of the lines below is ";

/// A study's resolved recipe with a first line that tells whether it was changed.
pub fn sealed(toml: &str) -> String {
    let hash = blake3::hash(toml.as_bytes()).to_hex();
    format!("{SEAL}{hash}; edit your recipe, not this file\n{toml}")
}

/// Whether `text` is what [`sealed`] wrote.
pub fn is_sealed(text: &str) -> bool {
    text.split_once('\n')
        .is_some_and(|(_, toml)| sealed(toml) == text)
}

fn path(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|p| (*p).to_owned()).collect()
}

/// The data of a cell, and where they are written.
fn data_of(
    source: &Source,
    recipe: &Recipe,
    at: Vec<String>,
    cell: &Cell,
) -> Result<(Vec<String>, DataSpec), RecipeError> {
    if cell.data.is_empty() {
        return Ok((path(&["data"]), recipe.data.clone()));
    }
    let mut merged = match source.table.get("data") {
        Some(Value::Table(data)) => data.clone(),
        _ => Table::new(),
    };
    merge(&mut merged, &cell.data);
    let data = source.read(&at, Value::Table(merged))?;
    Ok((at, data))
}
