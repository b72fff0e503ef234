//! `[learner]`, `[threat]` and `[defence]`: tables whose `kind` says which keys they have.

use super::error::RecipeError;
use super::keys::Keys;
use super::source::{Source, dotted, merge, path, suggest};
use super::written::{Cell, Recipe};
use crate::house::House;
use crate::part::{self, Part};
use crate::spec::{Defences, Surface, Threats};
use toml::{Table, Value};

/// Where something is written, and its keys.
type Written = (Vec<String>, Table);

/// The word for nothing.
const NONE: &str = "none";

/// Takes the `kind` out of the table at `at`. `what` is the word for such a table.
fn kind_of(
    source: &Source,
    at: &[String],
    table: &mut Table,
    what: &str,
    names: &[&str],
) -> Result<String, RecipeError> {
    let at = [at, &path(&["kind"])].concat();
    match table.remove("kind") {
        Some(Value::String(kind)) if names.contains(&kind.as_str()) => Ok(kind),
        Some(Value::String(kind)) => {
            let message = format!("unknown {what} \"{kind}\"");
            Err(source.refuse(&at, message, Some(suggest(&kind, names))))
        }
        found => {
            let message = match found {
                None => format!("the key `{}` is missing", dotted(&at)),
                Some(v) => format!("`{}` must be a string, found {v}", dotted(&at)),
            };
            let known: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
            let hint = format!("write kind = {}", known.join(" or "));
            Err(source.refuse(&at, message, Some(hint)))
        }
    }
}

/// Reads `[learner]`, or a cell's, merged, at `at`.
pub fn learner(
    house: &House,
    source: &Source,
    at: &[String],
    mut table: Table,
) -> Result<Part, RecipeError> {
    let names: Vec<&str> = house.learners.iter().map(|l| l.kind()).collect();
    let kind = kind_of(source, at, &mut table, "learner", &names)?;
    match house.learner(&kind) {
        Some(learner) => learner.read(&Keys::new(source, at.to_owned(), table)),
        None => unreachable!("the kind is one of the names"),
    }
}

/// Without the keys that have no effect.
pub fn resolved(house: &House, learner: Part, threat: &Threats) -> Part {
    match house.learner(&learner.kind) {
        Some(of) => of.resolved(learner, threat),
        None => learner,
    }
}

/// The learner of a cell: `study`'s, with the cell's own keys.
pub fn learner_of(
    house: &House,
    source: &Source,
    recipe: &Recipe,
    study: &Part,
    index: usize,
) -> Result<Part, RecipeError> {
    let own = &recipe.cells[index].learner;
    if own.is_empty() {
        return Ok(study.clone());
    }
    let at = path(&["cell", &index.to_string(), "learner"]);
    if let Some(kind) = own.get("kind").filter(|k| k.as_str() != Some(&study.kind)) {
        let at = [at, path(&["kind"])].concat();
        let message = format!(
            "`{}` = {kind}, but the study's learner is \"{}\"",
            dotted(&at),
            study.kind
        );
        let hint = "a study has one kind of learner: write a recipe for each".to_owned();
        return Err(source.refuse(&at, message, Some(hint)));
    }
    let mut merged = recipe.learner.clone();
    merge(&mut merged, own);
    // The study's own table was read without complaint: what is wrong is the cell's.
    learner(house, source, &at, merged)
}

/// Threats as they are written, by surface.
#[derive(Clone, Default)]
pub struct WrittenThreats([Option<Written>; 3]);

impl WrittenThreats {
    /// Reads `[threat]` or a cell's: tables by surface, or one threat, which knows its surface. Keys
    /// without a kind are those of the only threat of `study`.
    pub fn new(
        house: &House,
        source: &Source,
        at: Vec<String>,
        table: &Table,
        study: Option<&Self>,
    ) -> Result<Self, RecipeError> {
        let mut all = Self::default();
        if table.is_empty() {
            return Ok(all);
        }
        let surface = |key: &str| Surface::ALL.into_iter().find(|s| s.key() == key);
        if table.keys().all(|key| surface(key).is_some()) {
            for (key, value) in table {
                let Some(surface) = surface(key) else {
                    continue;
                };
                let at = [&at[..], &path(&[key])].concat();
                let own: Table = source.read(&at, value.clone())?;
                all.0[surface as usize] = Some((at, own));
            }
            return Ok(all);
        }
        let surface = match table.get("kind").and_then(Value::as_str) {
            Some(NONE) => {
                nothing(source, &at, table)?;
                let none = Some((at, table.clone()));
                return Ok(Self([none.clone(), none.clone(), none]));
            }
            Some(kind) => house.threat(kind).map(|threat| threat.surface()),
            None => study.and_then(Self::only),
        };
        match surface {
            Some(surface) => all.0[surface as usize] = Some((at, table.clone())),
            None => {
                kind_of(source, &at, &mut table.clone(), "threat", &names(house))?;
            }
        }
        Ok(all)
    }

    /// The surface of the only threat.
    fn only(&self) -> Option<Surface> {
        let mut there = Surface::ALL.into_iter();
        let here = |s: &Surface| self.0[*s as usize].is_some();
        let first = there.find(here)?;
        there.find(here).is_none().then_some(first)
    }

    /// As a recipe writes them by surface.
    pub fn to_table(&self) -> Table {
        let one = |s: Surface| Some((s.key().to_owned(), self.0[s as usize].as_ref()?));
        let all = Surface::ALL.into_iter().filter_map(one);
        all.map(|(key, (_, own))| (key, Value::Table(own.clone())))
            .collect()
    }

    /// Those of a cell: keys that it does not have are `study`'s, unless its kind is another.
    fn over(&self, study: &Self) -> Self {
        let both = self.0.iter().zip(&study.0);
        let merged = both.map(|(own, study)| match (own, study) {
            (Some((at, own)), Some((_, below))) => {
                let other = |kind| below.get("kind") != Some(kind);
                let mut merged = Table::new();
                if !own.get("kind").is_some_and(other) {
                    merged.clone_from(below);
                }
                merge(&mut merged, own);
                Some((at.clone(), merged))
            }
            (own, study) => own.as_ref().or(study.as_ref()).cloned(),
        });
        let mut all = Self::default();
        all.0
            .iter_mut()
            .zip(merged)
            .for_each(|(to, from)| *to = from);
        all
    }

    /// Reads them.
    pub fn read(&self, house: &House, source: &Source) -> Result<Threats, RecipeError> {
        let mut threats = Threats::default();
        for surface in Surface::ALL {
            let Some((at, own)) = &self.0[surface as usize] else {
                continue;
            };
            let mut own = own.clone();
            let kind = kind_of(source, at, &mut own, "threat", &names(house))?;
            let Some(threat) = house.threat(&kind) else {
                nothing(source, at, &own)?;
                continue;
            };
            if threat.surface() != surface {
                let right = threat.surface().key();
                let message = format!(
                    "the threat \"{kind}\" acts on {right}, not on {}",
                    surface.key()
                );
                let hint = format!("write it as threat.{right}");
                return Err(source.refuse(at, message, Some(hint)));
            }
            threats.set(surface, threat.read(&Keys::new(source, at.clone(), own))?);
        }
        Ok(threats)
    }

    /// Where the threat on a surface is written.
    pub fn place(&self, surface: Surface) -> Option<&[String]> {
        self.0[surface as usize].as_ref().map(|(at, _)| &at[..])
    }
}

/// Refuses keys beside the kind `none`.
fn nothing(source: &Source, at: &[String], table: &Table) -> Result<(), RecipeError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoKeys {}
    let mut table = table.clone();
    table.remove("kind");
    source.read(at, Value::Table(table)).map(|NoKeys {}| ())
}

fn names(house: &House) -> Vec<&'static str> {
    let kinds = house.threats.iter().map(|t| t.kind());
    kinds.chain([NONE]).collect()
}

/// The threats of a cell as they are written: its own and the study's. `poison` and `q` stand for the
/// keys of a threat to the space.
pub fn threats_of(
    house: &House,
    source: &Source,
    recipe: &Recipe,
    study: &WrittenThreats,
    index: usize,
) -> Result<(WrittenThreats, WrittenThreats), RecipeError> {
    let cell = &recipe.cells[index];
    let at = |key: &str| path(&["cell", &index.to_string(), key]);
    let mut own = WrittenThreats::new(house, source, at("threat"), &cell.threat, Some(study))?;
    if let Some(poison) = poison_set(house, source, &at, cell)? {
        let space = &mut own.0[Surface::Space as usize];
        let nothing = |(_, own): &Written| own.get("kind").and_then(Value::as_str) == Some(NONE);
        if space.as_ref().is_some_and(|own| !nothing(own)) {
            let message = format!(
                "cell \"{}\" has both `poison` and a `threat.space`",
                cell.label
            );
            let hint = "leave one out: `poison` and `q` are a threat to the search space too";
            return Err(source.refuse(&at("poison"), message, Some(hint.into())));
        }
        *space = Some((path(&["cell", &index.to_string()]), poison));
    }
    Ok((own.over(study), own))
}

fn poison_set(
    house: &House,
    source: &Source,
    at: &dyn Fn(&str) -> Vec<String>,
    cell: &Cell,
) -> Result<Option<Table>, RecipeError> {
    let of = format!("cell \"{}\"", cell.label);
    match (&cell.poison, &cell.q) {
        (None, None) => Ok(None),
        (Some(set), Some(q)) => {
            let kind = Value::String(house.poison_set.to_owned());
            let keys = [("kind", &kind), ("poison", set), ("q", q)];
            Ok(Some(
                keys.map(|(k, v)| (k.to_owned(), v.clone()))
                    .into_iter()
                    .collect(),
            ))
        }
        (Some(Value::String(set)), None) => Err(source.refuse(
            &at("poison"),
            format!("{of} has the poison set {set} but no `q`"),
            Some("write how often the set is put in, such as q = 6".into()),
        )),
        (Some(_), None) => Err(source.refuse(&at("poison"), format!("{of} has no `q`"), None)),
        (None, Some(_)) => Err(source.refuse(
            &at("q"),
            format!("{of} has a `q` but no `poison`"),
            Some("name the set: poison = \"P1\" to \"P5\" or \"P3+\"".into()),
        )),
    }
}

/// The defences at `at`: a word, a table with a `kind`, tables by kind, or a list of those, in the
/// order in which they act. `of` names who has them.
pub fn defences(
    house: &House,
    source: &Source,
    at: &[String],
    written: &Value,
    of: &str,
) -> Result<Defences, RecipeError> {
    let mut all = Defences::default();
    let kinds: Vec<&str> = house.defences.iter().map(|d| d.kind()).collect();
    for (at, mut table) in chain(source, at, written, of, &kinds)? {
        let kind = kind_of(source, &at, &mut table, "defence", &kinds)?;
        if let Some(defence) = house.defence(&kind) {
            all.push(
                defence.surface(),
                defence.read(&Keys::new(source, at, table))?,
            );
        }
    }
    Ok(all)
}

fn chain(
    source: &Source,
    at: &[String],
    written: &Value,
    of: &str,
    kinds: &[&str],
) -> Result<Vec<Written>, RecipeError> {
    let word = |kind: &str| Table::from_iter([("kind".to_owned(), Value::String(kind.into()))]);
    match written {
        Value::String(kind) if kind == NONE => Ok(Vec::new()),
        Value::String(kind) if kinds.contains(&kind.as_str()) => {
            Ok(vec![(at.to_owned(), word(kind))])
        }
        Value::Table(table) if by_kind(table, kinds) => {
            let one = |(kind, keys): (&String, &Value)| {
                let mut table = word(kind);
                merge(&mut table, keys.as_table().unwrap_or(&Table::new()));
                ([at, &path(&[kind])].concat(), table)
            };
            Ok(table.iter().map(one).collect())
        }
        Value::Table(table) => Ok(vec![(at.to_owned(), table.clone())]),
        Value::Array(items) => {
            let mut all = Vec::new();
            for (i, item) in items.iter().enumerate() {
                let at = [at, &path(&[&i.to_string()])].concat();
                all.extend(chain(source, &at, item, of, kinds)?);
            }
            Ok(all)
        }
        other => {
            let message = format!("{of}: the defence cannot be {other}");
            let known: Vec<String> = kinds.iter().map(|k| format!("\"{k}\"")).collect();
            let hint = format!(
                "expected \"none\", one of {}, a table with such a `kind` and its keys, or a list of those",
                known.join(", ")
            );
            Err(source.refuse(at, message, Some(hint)))
        }
    }
}

/// Whether a table has a table for each of several defences.
fn by_kind(table: &Table, kinds: &[&str]) -> bool {
    let mut entries = table.iter();
    !table.is_empty()
        && entries.all(|(key, value)| value.is_table() && kinds.contains(&key.as_str()))
}

/// Writes into a table as it is written what was read from the files that it names itself, their hashes or
/// the list that stood in one, so that a study that is read again means the same trials, whatever lies there
/// now.
pub fn keep_hashes(written: &mut Table, resolved: &serde_json::Map<String, serde_json::Value>) {
    if let (true, Some(hash)) = (
        written.contains_key("path"),
        resolved.get("hash").and_then(serde_json::Value::as_str),
    ) {
        written.insert("hash".into(), Value::String(hash.to_owned()));
    }
    for (key, value) in written.iter_mut() {
        match (value, resolved.get(key)) {
            (Value::Table(own), Some(serde_json::Value::Object(resolved))) => {
                keep_hashes(own, resolved);
            }
            // The text of a file, in the place of its name.
            (Value::String(written), Some(serde_json::Value::String(text))) => {
                written.clone_from(text);
            }
            (written @ Value::String(_), Some(list @ serde_json::Value::Array(_))) => {
                if let Some(list) = part::to_toml(list) {
                    *written = list;
                }
            }
            _ => {}
        }
    }
}

/// As [`keep_hashes`], for threats by surface.
pub fn keep_threat_hashes(written: &mut Table, threats: &Threats) {
    for (surface, part) in threats.all() {
        if let Some(Value::Table(own)) = written.get_mut(surface.key()) {
            keep_hashes(own, &part.keys);
            // A list may stand under another name than the file did.
            let unwritten = |(key, value): (&String, &serde_json::Value)| {
                let first = value.as_array().and_then(|list| list.first());
                first.is_some_and(serde_json::Value::is_object) && !own.contains_key(key)
            };
            if part.keys.iter().any(unwritten) {
                *own = part.to_toml();
            }
        }
    }
}
