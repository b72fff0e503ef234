//! The data of a study, by content: what a trial reads is named by its hash, which is a part of the
//! trial's spec and so of its id.

use super::error::RecipeError;
use super::source;
use super::study::{Overrides, Study};
use super::written::Recipe;
use crate::house::{House, SourceFile};
use crate::spec::TrialSpec;
use crate::trial::Failure;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::{Table, Value};
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError};

/// A file that a study reads, and that cannot be named by its content.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A data set that is not there, cannot be read, or is not the one that a recipe names.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Another file of the data folder.
    #[error(transparent)]
    File(#[from] Failure),
    /// Another file than the one that a recipe names.
    #[error(
        "the table {path} changed: its hash is {found}, expected {expected}; put the old file back, or \
         give the new one a study of its own with --out"
    )]
    OtherFile {
        path: String,
        /// The recipe's hash.
        expected: String,
        /// The file's.
        found: String,
    },
}

impl SourceError {
    /// Whether the file is there, and another than the one that the study was made with.
    pub fn is_change(&self) -> bool {
        match self {
            Self::Data(error) => matches!(error, DataError::Changed { .. }),
            Self::OtherFile { .. } => true,
            Self::File(_) => false,
        }
    }
}

/// What decides what is read of a data set.
type Key = (String, Option<String>, Option<Vec<u16>>, Option<usize>);

fn key(data: &DataSpec) -> Key {
    let (label, classes) = (data.label.clone(), data.classes.clone());
    (data.dataset.clone(), label, classes, data.resize)
}

/// Hashes of files, each read once.
struct Sources<'a> {
    house: &'a House,
    dir: &'a DataDir,
    sets: BTreeMap<Key, Option<String>>,
    /// By key of the learner and path.
    files: BTreeMap<(&'static str, PathBuf), Option<String>>,
    faults: Vec<SourceError>,
}

impl Sources<'_> {
    /// Reads what `data` of a trial names, unless that was done.
    fn look(&mut self, trial: &TrialSpec, data: &DataSpec) {
        let key = key(data);
        if self.sets.contains_key(&key) {
            return;
        }
        let found = self.house.source_hash(trial, data, self.dir);
        let hash = match found {
            Ok(found) => match &data.hash {
                Some(expected) if *expected != found => {
                    let (name, expected) = (data.dataset.clone(), expected.clone());
                    let changed = DataError::Changed {
                        name,
                        expected,
                        found,
                    };
                    self.faults.push(changed.into());
                    data.hash.clone()
                }
                _ => Some(found),
            },
            Err(error) => {
                self.faults.push(error.into());
                data.hash.clone()
            }
        };
        self.sets.insert(key, hash);
    }

    fn look_up(&mut self, file: &SourceFile) {
        let key = (file.key, file.path.clone());
        if self.files.contains_key(&key) {
            return;
        }
        let hash = match ((file.read)(&file.path), &file.hash) {
            (Ok(found), Some(expected)) if *expected != found => {
                self.faults.push(SourceError::OtherFile {
                    path: file.path.display().to_string(),
                    expected: expected.clone(),
                    found,
                });
                file.hash.clone()
            }
            (Ok(found), _) => Some(found),
            (Err(error), expected) => {
                self.faults.push(error.into());
                expected.clone()
            }
        };
        self.files.insert(key, hash);
    }

    fn of(&self, data: &DataSpec) -> Option<&String> {
        self.sets.get(&key(data)).and_then(Option::as_ref)
    }

    /// Puts its hash into the table of a data set, whose keys that are not there are those of `base`.
    fn name(&self, own: &mut Table, base: Option<&Table>) {
        let mut whole = base.cloned().unwrap_or_default();
        source::merge(&mut whole, own);
        let Ok(data) = Value::Table(whole).try_into::<DataSpec>() else {
            return;
        };
        let is_another = ["dataset", "label", "classes", "resize"]
            .iter()
            .any(|key| own.contains_key(*key));
        if let Some(hash) = self.of(&data).filter(|_| is_another) {
            own.insert("hash".into(), Value::String(hash.clone()));
        }
    }

    /// Puts hashes into the data sets that a table names, whose keys that are not there are those of
    /// `base`.
    fn name_all(&self, table: &mut Table, base: Option<&Table>) {
        for (key, value) in table.iter_mut() {
            match value {
                Value::Table(own) => {
                    let base = base.and_then(|base| base.get(key)?.as_table());
                    self.name(own, base);
                    self.name_all(own, base);
                }
                Value::Array(items) => {
                    for item in items.iter_mut().filter_map(Value::as_table_mut) {
                        self.name(item, None);
                        self.name_all(item, None);
                    }
                }
                _ => {}
            }
        }
    }

    fn name_in(&self, recipe: &mut Recipe) {
        let data = Value::try_from(&recipe.data).ok();
        let base = data.as_ref().and_then(Value::as_table);
        for cell in &mut recipe.cells {
            self.name(&mut cell.data, base);
            self.name_all(&mut cell.learner, Some(&recipe.learner));
        }
        if let Some(hash) = self.of(&recipe.data) {
            recipe.data.hash = Some(hash.clone());
        }
        self.name_all(&mut recipe.learner, None);
        for ((key, _), hash) in &self.files {
            if let Some(hash) = hash {
                let hash = Value::String(hash.clone());
                recipe.learner.insert((*key).to_owned(), hash);
            }
        }
    }
}

impl Study {
    /// The study with all data named by content, and what could not be read. Trials whose data are among
    /// that have no final ids. A hash that the recipe names stays; other data are a fault.
    ///
    /// # Errors
    /// Those of [`Study::parse`], though what was read once is read again.
    pub fn resolved(
        mut self,
        house: &House,
        dir: &DataDir,
    ) -> Result<(Self, Vec<SourceError>), RecipeError> {
        let mut sources = Sources {
            house,
            dir,
            sets: BTreeMap::new(),
            files: BTreeMap::new(),
            faults: Vec::new(),
        };
        for trial in &self.trials {
            for data in &trial.spec.data_sets() {
                sources.look(&trial.spec, data);
            }
            let learner = house.learner(&trial.spec.learner.kind);
            let files = learner.map(|l| l.files(&trial.spec.learner, dir));
            files
                .iter()
                .flatten()
                .for_each(|file| sources.look_up(file));
        }
        sources.name_in(&mut self.recipe);
        // Thousands of trials are held once, not twice.
        self.trials = Vec::new();
        // What is written down is what is meant.
        let again = Self::parse(
            house,
            &self.recipe.name,
            &self.to_toml(),
            &Overrides::default(),
        )?;
        (self.recipe, self.trials) = (again.recipe, again.trials);
        Ok((self, sources.faults))
    }
}
