//! TOML text as a recipe sees it: overrides merged in, and errors that name the key, the line and
//! the nearest key that exists.

use super::error::RecipeError;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_path_to_error::{Path, Segment};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};
use tox_data::text;

/// One `--set key=value`: a dotted TOML key, counted from the root of the recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// As the user wrote it.
    text: String,
    /// The key's parts.
    path: Vec<String>,
    /// The key and its value as nested tables.
    table: Table,
}

impl Setting {
    /// Reads `key=value`. The value is TOML; a bare word such as `cifar10` is taken as a string.
    ///
    /// # Errors
    /// When this is not a TOML key and value.
    pub fn parse(text: &str) -> Result<Self, RecipeError> {
        let refuse = || RecipeError::Invalid {
            place: format!("--set {text}"),
            message: "expected KEY=VALUE with a dotted key and a TOML value".into(),
            hint: Some("for example --set learner.child.epochs=20".into()),
        };
        let (key, value) = text.split_once('=').ok_or_else(refuse)?;
        if key.trim_start().starts_with("cell.") || key.trim_start().starts_with("cell[") {
            return Err(RecipeError::Invalid {
                place: format!("--set {text}"),
                message: "cells are a list and cannot be set by index or by key".into(),
                hint: Some(
                    "edit the [[cell]] in the recipe; keys outside of cells, such as \
                     learner.child.epochs, can be set"
                        .into(),
                ),
            });
        }
        let quoted = Value::String(value.trim().to_owned());
        let table: Table = [format!("{key}={value}"), format!("{key}={quoted}")]
            .iter()
            .find_map(|line| toml::from_str(line).ok())
            .ok_or_else(refuse)?;
        let mut path = Vec::new();
        let mut at = &table;
        loop {
            let mut entries = at.iter();
            let (Some((key, value)), None) = (entries.next(), entries.next()) else {
                break;
            };
            path.push(key.clone());
            match value {
                // A value that is a table itself is set as a whole from here on.
                Value::Table(next) => at = next,
                _ => break,
            }
        }
        Ok(Self {
            text: text.to_owned(),
            path,
            table,
        })
    }
}

/// Cells as the rows and columns of a table: one for each pair, with the keys of both. A key that
/// both have is the column's; tables such as `threat` are merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Parts of cells, such as `{ label = "rlf-10", threat = { kind = "rlf", budget = 0.1 } }`.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub rows: Vec<Table>,
    /// Parts of cells, such as `{ variant = "te-nas", learner.search = "te-nas" }`.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub columns: Vec<Table>,
}

/// A parsed recipe text with what was set on top of it.
pub(crate) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// From which relative paths are taken.
    pub folder: &'a std::path::Path,
    settings: &'a [Setting],
    /// The document with the settings merged in, and grids written out as cells.
    pub table: Table,
    /// Of cells that come from a grid, where they do: by index, the paths of row and column.
    from_grids: BTreeMap<usize, [Vec<String>; 2]>,
}

/// Where keys were written.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    /// In the recipe.
    File,
    /// As `--set`.
    CommandLine,
}

/// A key as its parts.
pub(super) fn path(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|p| (*p).to_owned()).collect()
}

/// Most cells of a study, those of grids among them.
pub(crate) const MOST_CELLS: usize = 4000;

impl<'a> Source<'a> {
    /// `prepare` is given the keys of the file and of every setting before they are put together.
    pub fn parse(
        name: &'a str,
        text: &'a str,
        set: &'a [Setting],
        mut prepare: impl FnMut(&mut Table, Origin),
    ) -> Result<Self, RecipeError> {
        let mut table: Table = toml::from_str(text).map_err(|e| RecipeError::Invalid {
            place: match e.span() {
                Some(span) => format!("{name}:{}", line_at(text, span.start)),
                None => name.to_owned(),
            },
            message: format!("this is not TOML: {}", e.message()),
            hint: None,
        })?;
        prepare(&mut table, Origin::File);
        for setting in set {
            let mut own = setting.table.clone();
            prepare(&mut own, Origin::CommandLine);
            merge(&mut table, &own);
        }
        let mut source = Self {
            name,
            text,
            folder: std::path::Path::new(""),
            settings: set,
            table,
            from_grids: BTreeMap::new(),
        };
        source.write_grids_out()?;
        Ok(source)
    }

    /// Puts the cells of every `[[grid]]` behind those of `[[cell]]`: one for each row and column,
    /// row after row, with the keys of both.
    fn write_grids_out(&mut self) -> Result<(), RecipeError> {
        let Some(grids) = self.table.remove("grid") else {
            return Ok(());
        };
        let part = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        let grids: Vec<Grid> = self.read(&part(&["grid"]), grids)?;
        let cells = self.table.entry("cell");
        let cells = cells.or_insert_with(|| Value::Array(Vec::new()));
        // Cells that are no array are refused when the recipe is read.
        let Value::Array(cells) = cells else {
            return Ok(());
        };
        let more = grids.iter().map(|g| g.rows.len() * g.columns.len());
        let count = cells.len() + more.sum::<usize>();
        if count > MOST_CELLS {
            let message = format!("the grids make {count} cells: at most {MOST_CELLS}");
            let hint = "split the study into several recipes";
            return Err(self.refuse(&part(&["grid"]), message, Some(hint.into())));
        }
        for (i, grid) in grids.iter().enumerate() {
            for (r, row) in grid.rows.iter().enumerate() {
                for (c, column) in grid.columns.iter().enumerate() {
                    let mut cell = row.clone();
                    merge(&mut cell, column);
                    let at = |list, j: usize| part(&["grid", &i.to_string(), list, &j.to_string()]);
                    let from = [at("rows", r), at("columns", c)];
                    self.from_grids.insert(cells.len(), from);
                    cells.push(Value::Table(cell));
                }
            }
        }
        Ok(())
    }

    /// Where a value is written that the document has, or would have, at `path`.
    fn written(&self, path: &[String]) -> Vec<String> {
        let [cell, index, below @ ..] = path else {
            return path.to_vec();
        };
        let index = index.parse().ok().filter(|_| cell == "cell");
        let Some([row, column]) = index.and_then(|i: usize| self.from_grids.get(&i)) else {
            return path.to_vec();
        };
        // The column has the last word.
        let deepest = [column, row].map(|at| [&at[..], below].concat());
        let depth = |path: &Vec<String>| match DeTable::parse(self.text) {
            Ok(document) => found_in(document.get_ref(), path).1,
            Err(_) => 0,
        };
        let [column, row] = deepest;
        if depth(&row) > depth(&column) {
            row
        } else {
            column
        }
    }

    /// Reads `value`, which lies at `base` in the document.
    pub fn read<T: DeserializeOwned>(
        &self,
        base: &[String],
        value: Value,
    ) -> Result<T, RecipeError> {
        serde_path_to_error::deserialize(value)
            .map_err(|error| self.unread(base, error.path(), error.inner().message()))
    }

    /// The error of what lies at `base`, of which `at` cannot be read.
    pub fn unread(&self, base: &[String], at: &Path, message: &str) -> RecipeError {
        let mut path = base.to_vec();
        path.extend(at.iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        }));
        self.explain(path, message)
    }

    /// Turns serde's words about the value at `path` into ours.
    fn explain(&self, mut path: Vec<String>, message: &str) -> RecipeError {
        let mut quoted = message.split('`').skip(1).step_by(2);
        let unknown_key = message.starts_with("unknown field");
        if !unknown_key && !message.starts_with("unknown variant") {
            let message = match message.strip_prefix("missing field") {
                Some(_) => {
                    let key = quoted.next().unwrap_or_default();
                    format!("the key `{key}` is missing{}", within(&path))
                }
                None => {
                    let told = text::of_type(message);
                    let between = if told == message { ":" } else { "" };
                    format!("`{}`{between} {told}", dotted(&path))
                }
            };
            return self.refuse(&path, message, None);
        }
        let found = quoted.next().unwrap_or_default().to_owned();
        let known: Vec<&str> = quoted.collect();
        if unknown_key {
            let hint = Some(suggest(&found, &known));
            if path.last() == Some(&found) {
                path.pop();
            }
            let message = format!("unknown key `{found}`{}", within(&path));
            path.push(found);
            return self.refuse(&path, message, hint);
        }
        // serde_path_to_error may count the variant itself as a part of the path.
        if path.last() == Some(&found) {
            path.pop();
        }
        let message = format!("`{}` cannot be \"{found}\"", dotted(&path));
        let hint = format!("expected one of: {}", known.join(", "));
        self.refuse(&path, message, Some(hint))
    }

    /// An error about the value at `path`.
    pub fn refuse(&self, path: &[String], message: String, hint: Option<String>) -> RecipeError {
        RecipeError::Invalid {
            place: self.place(path),
            message,
            hint,
        }
    }

    /// Where the value at `path` comes from: a `--set`, or a line of the file.
    fn place(&self, path: &[String]) -> String {
        let set_here = |s: &&Setting| path.starts_with(&s.path) || s.path.starts_with(path);
        if !path.is_empty()
            && let Some(setting) = self.settings.iter().rev().find(set_here)
        {
            return format!("--set {}", setting.text);
        }
        match DeTable::parse(self.text) {
            Ok(document) => {
                let (offset, _) = found_in(document.get_ref(), &self.written(path));
                format!("{}:{}", self.name, line_at(self.text, offset))
            }
            Err(_) => self.name.to_owned(),
        }
    }
}

/// Keys that say which file, or which part of it, a table names.
const NAMES_A_FILE: [&str; 2] = ["path", "dataset"];
const NAMES_ROWS: [&str; 3] = ["label", "classes", "resize"];

/// Puts `over` on top of `base`: tables are merged, everything else is replaced. The hash of a file goes
/// with the file.
pub(crate) fn merge(base: &mut Table, over: &Table) {
    let has = |keys: &[&str]| keys.iter().any(|key| over.contains_key(*key));
    if has(&NAMES_A_FILE) || base.contains_key("dataset") && has(&NAMES_ROWS) {
        base.remove("hash");
    }
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Byte offset of the deepest part of `path` that the document has, and how deep it is.
fn found_in(document: &DeTable<'_>, path: &[String]) -> (usize, usize) {
    let (mut offset, mut depth) = (0, 0);
    let mut table = Some(document);
    let mut array = None;
    for part in path {
        let value = if let Some(t) = table {
            let Some((key, value)) = t.iter().find(|(k, _)| k.get_ref() == part) else {
                break;
            };
            offset = key.span().start;
            value
        } else {
            let items: Option<&toml::de::DeArray<'_>> = array;
            let item = items.and_then(|a| a.get(part.parse::<usize>().ok()?));
            let Some(value) = item else { break };
            offset = value.span().start;
            value
        };
        depth += 1;
        (table, array) = match value.get_ref() {
            DeValue::Table(t) => (Some(t), None),
            DeValue::Array(a) => (None, Some(a)),
            _ => break,
        };
    }
    (offset, depth)
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&b| b == b'\n').count()
}

/// A path as a recipe writes it: `learner.child.layers`, `cell[2].q`.
pub(crate) fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

fn within(path: &[String]) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!(" in `{}`", dotted(path))
    }
}

/// Names the nearest of `known`, or all of them, if there are any.
pub fn suggest(found: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "no key may stand here".to_owned();
    }
    let nearest = known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(found, k), k))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 1 + found.len() / 3 => {
            format!("did you mean `{name}`?")
        }
        _ => format!("known here: {}", known.join(", ")),
    }
}
