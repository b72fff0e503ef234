//! The data of a study, by content: what a trial reads is named by its hash, which is a part of the
//! trial's spec and so of its id.

use super::{Overrides, Recipe, RecipeError, Study};
use std::collections::BTreeMap;
use toml::{Table, Value};
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError, source_hash};
use tox_search::table::{FILE, Table as Benchmark, TableError};

/// A file that a study reads, and that cannot be named by its content.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A data set that is not there, cannot be read, or is not the one that a recipe names.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The table of NAS-Bench-201.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Another table than the one that a recipe names.
    #[error(
        "the table {path} changed: its hash is {found}, expected {expected}; put the old file back, or \
         give the new one a study of its own with --out"
    )]
    OtherTable {
        /// The file.
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
            Self::OtherTable { .. } => true,
            Self::Table(_) => false,
        }
    }
}

/// What decides what is read of a data set.
type Key = (String, Option<Vec<u16>>, Option<usize>);

fn key(data: &DataSpec) -> Key {
    (data.dataset.clone(), data.classes.clone(), data.resize)
}

/// Hashes of files, each read once.
struct Sources<'a> {
    dir: &'a DataDir,
    sets: BTreeMap<Key, Option<String>>,
    table: Option<String>,
    faults: Vec<SourceError>,
}

impl Sources<'_> {
    /// Reads what `data` names, unless that was done.
    fn look(&mut self, data: &DataSpec) {
        let key = key(data);
        if self.sets.contains_key(&key) {
            return;
        }
        let found = source_hash(data, self.dir);
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

    fn look_up(&mut self, expected: Option<&String>) {
        if self.table.is_some() {
            return;
        }
        let path = self.dir.path().join(FILE);
        match Benchmark::read(&path) {
            Ok(table) => {
                let found = table.hash().to_owned();
                if let Some(expected) = expected.filter(|expected| **expected != found) {
                    self.faults.push(SourceError::OtherTable {
                        path: path.display().to_string(),
                        expected: expected.clone(),
                        found,
                    });
                    self.table = Some(expected.clone());
                } else {
                    self.table = Some(found);
                }
            }
            Err(error) => {
                self.faults.push(error.into());
                self.table = expected.cloned();
            }
        }
    }

    fn of(&self, data: &DataSpec) -> Option<&String> {
        self.sets.get(&key(data)).and_then(Option::as_ref)
    }

    /// Puts its hash into the table of a data set, whose keys that are not there are those of `base`.
    fn name(&self, own: &mut Table, base: Option<&Table>) {
        let mut whole = base.cloned().unwrap_or_default();
        crate::source::merge(&mut whole, own);
        let Ok(data) = Value::Table(whole).try_into::<DataSpec>() else {
            return;
        };
        let is_another = ["dataset", "classes", "resize"]
            .iter()
            .any(|key| own.contains_key(*key));
        if let Some(hash) = self.of(&data).filter(|_| is_another) {
            own.insert("hash".into(), Value::String(hash.clone()));
        }
    }

    /// Puts hashes into the data sets of the table of a learner.
    fn name_all(&self, learner: &mut Table, base: Option<&Table>) {
        if let Some(Value::Table(target)) = learner.get_mut("target") {
            let base = base.and_then(|base| base.get("target"));
            self.name(target, base.and_then(Value::as_table));
        }
        if let Some(Value::Table(meta)) = learner.get_mut("meta")
            && let Some(Value::Array(sets)) = meta.get_mut("data")
        {
            for set in sets.iter_mut().filter_map(Value::as_table_mut) {
                self.name(set, None);
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
        if let Some(hash) = &self.table {
            let hash = Value::String(hash.clone());
            recipe.learner.insert("table_hash".into(), hash);
        }
    }
}

impl Study {
    /// The study with all data named by content, and what could not be read. Trials whose data are among
    /// that have no final ids. A hash that the recipe names stays; other data are a fault.
    ///
    /// # Errors
    /// Those of [`Study::parse`], though what was read once is read again.
    pub fn resolved(mut self, dir: &DataDir) -> Result<(Self, Vec<SourceError>), RecipeError> {
        let mut sources = Sources {
            dir,
            sets: BTreeMap::new(),
            table: None,
            faults: Vec::new(),
        };
        for trial in &self.trials {
            for data in trial.spec.data_sets() {
                sources.look(data);
            }
            if let (true, hash) = trial.spec.learner.benchmark() {
                sources.look_up(hash);
            }
        }
        sources.name_in(&mut self.recipe);
        // What is written down is what is meant.
        let again = Self::parse(&self.recipe.name, &self.to_toml(), &Overrides::default())?;
        (self.recipe, self.trials) = (again.recipe, again.trials);
        Ok((self, sources.faults))
    }
}
