//! What a recipe means.

use super::error::RecipeError;
use super::parts::{self, WrittenThreats};
use super::source::{Origin, Setting, Source, merge, path};
use super::written::{Cell, Recipe};
use super::{check, paths};
use crate::gate::Rule;
use crate::house::House;
use crate::plan::{Ids, Trial};
use crate::spec::{self, TrialSpec};
use std::path::Path;
use toml::{Table, Value};
use tox_data::spec::DataSpec;
use tox_data::text;
use wildmatch::WildMatch;

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
        let name = cell.name();
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
    /// What every trial is, in their order.
    pub fn specs(&self) -> impl Iterator<Item = &TrialSpec> {
        self.trials.iter().map(|trial| &trial.spec)
    }

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
        let mut source = Source::parse(name, text, &overrides.set, |table, from| match from {
            Origin::File => paths::resolve(table, folder, &mut notes),
            Origin::CommandLine => paths::resolve(table, Path::new(""), &mut notes),
        })?;
        source.folder = folder;
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
        check::gates(&source, &recipe)?;
        check::judge(&source, &recipe.judge)?;

        if !recipe.cells.iter().any(|cell| overrides.keeps(cell)) {
            let names = recipe.cells.iter();
            let names = names.map(Cell::name);
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
            let mut ids = Ids::of(&spec);
            for &seed in cell.seeds.as_ref().unwrap_or(&recipe.seeds) {
                let id = ids.with(seed);
                let spec = TrialSpec {
                    seed,
                    ..spec.clone()
                };
                trials.push(Trial { id, spec });
            }
        }
        for (i, mut own, learner, threat) in hashes {
            let cell = &mut recipe.cells[i];
            parts::keep_threat_hashes(&mut own, &threat);
            // What is written as `poison` and `q` stays so, but for what a file said.
            let space = own.get(spec::Surface::Space.key());
            match space.and_then(|space| space.get("poison")).is_some() {
                true if cell.poison.is_some() => {
                    own.remove(spec::Surface::Space.key());
                }
                true | false => (cell.poison, cell.q) = (None, None),
            }
            cell.threat = own;
            parts::keep_hashes(&mut cell.learner, &learner.keys);
        }
        recipe.cells.retain(|cell| overrides.keeps(cell));
        let cells: Vec<String> = recipe.cells.iter().map(Cell::name).collect();
        recipe.gate.retain(|name, rule| {
            let kept = rule
                .parse::<Rule>()
                .is_ok_and(|rule| cells.contains(&rule.cell));
            if !kept {
                notes.push(format!(
                    "the gate `{name}` is left out with its cell: {rule}"
                ));
            }
            kept
        });
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
