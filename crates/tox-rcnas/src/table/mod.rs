//! Sub-networks looked up instead of trained: an exhaustive table of a small teacher's sub-networks on
//! real data, on which agent and controls are compared with many seeds, and in which the best sub-network
//! within a budget is known.
//!
//! A CSV file: `dataset,base,d1,d2,d3,w1,w2,w3,r1,r2,r3,seed,clean`, then a column for each attack by its
//! short name, then `macs,parameters,lipschitz`. Accuracies are in percent. A row is one training; one
//! that diverged has no accuracies and no Lipschitz estimate. All blocks are basic ones.

mod environment;
mod file;

pub use environment::TableEnvironment;
pub use file::TableError;

use super::environment::Cost;
use super::space::Space;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tox_nn::nets::wrn::Shape;

/// What one training gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Accuracy on images as they are, percent.
    pub clean: f64,
    /// Accuracy under each of the table's attacks, percent.
    pub robust: Vec<f64>,
    /// Lipschitz estimate.
    pub lipschitz: f64,
}

/// One training of one sub-network.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub data: String,
    pub shape: Shape,
    pub seed: u64,
    pub cost: Cost,
    /// What it can do; `None` of a training that diverged.
    pub scores: Option<Scores>,
}

/// A network's rows.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    cost: Cost,
    scores: BTreeMap<u64, Option<Scores>>,
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    path: PathBuf,
    hash: String,
    attacks: Vec<String>,
    entries: BTreeMap<String, BTreeMap<Shape, Entry>>,
}

impl Table {
    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// BLAKE3 (hexadecimal) of the file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The attacks, in the order of their columns.
    pub fn attacks(&self) -> &[String] {
        &self.attacks
    }

    /// The data sets.
    pub fn data(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The networks on a data set.
    pub fn shapes(&self, data: &str) -> impl Iterator<Item = &Shape> {
        self.entries.get(data).into_iter().flat_map(BTreeMap::keys)
    }

    /// The same table with those of its trainings whose seeds `keep` names.
    ///
    /// # Errors
    /// When none is left.
    pub fn trainings(&self, keep: impl Fn(u64) -> bool) -> Result<Self, TableError> {
        let mut left = self.clone();
        let mut known = BTreeSet::new();
        for shapes in left.entries.values_mut() {
            shapes.retain(|_, entry| {
                known.extend(entry.scores.keys().copied());
                entry.scores.retain(|seed, _| keep(*seed));
                !entry.scores.is_empty()
            });
        }
        left.entries.retain(|_, shapes| !shapes.is_empty());
        match left.entries.is_empty() {
            true => Err(TableError::NoTrainings {
                path: self.path.clone(),
                known: known
                    .iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
            false => Ok(left),
        }
    }

    /// Robust accuracies of every network with two trainings or more that did not diverge, of its first two by seed.
    ///
    /// # Errors
    /// A data set or attack that the table does not have.
    pub fn twice(&self, data: &str, attack: &str) -> Result<Vec<(&Shape, [f64; 2])>, TableError> {
        let attack = self.attack(attack)?;
        let entries = self.networks(data)?.iter();
        let pair = |(shape, entry)| {
            let entry: &Entry = entry;
            let mut scores = entry.scores.values().flatten().map(|s| s.robust[attack]);
            Some((shape, [scores.next()?, scores.next()?]))
        };
        Ok(entries.filter_map(pair).collect())
    }

    fn networks(&self, data: &str) -> Result<&BTreeMap<Shape, Entry>, TableError> {
        self.entries.get(data).ok_or_else(|| {
            let known: Vec<&str> = self.data().collect();
            TableError::NoData {
                path: self.path.clone(),
                found: data.to_owned(),
                known: known.join(", "),
            }
        })
    }

    fn entry(&self, data: &str, shape: &Shape) -> Result<&Entry, TableError> {
        self.networks(data)?
            .get(shape)
            .ok_or_else(|| TableError::NoShape {
                path: self.path.clone(),
                data: data.to_owned(),
                shape: Box::new(*shape),
            })
    }

    fn attack(&self, name: &str) -> Result<usize, TableError> {
        let place = self.attacks.iter().position(|a| a == name);
        place.ok_or_else(|| TableError::NoAttack {
            path: self.path.clone(),
            found: name.to_owned(),
            known: self.attacks.join(", "),
        })
    }

    /// What a network costs.
    ///
    /// # Errors
    /// A data set or network that the table does not have.
    pub fn cost(&self, data: &str, shape: &Shape) -> Result<Cost, TableError> {
        Ok(self.entry(data, shape)?.cost)
    }

    /// Robust accuracy in percent, the mean over seeds: what a result is judged by. `None` if every
    /// training diverged.
    ///
    /// # Errors
    /// A data set, attack or network that the table does not have.
    pub fn robust(
        &self,
        data: &str,
        attack: &str,
        shape: &Shape,
    ) -> Result<Option<f64>, TableError> {
        let attack = self.attack(attack)?;
        let entry = self.entry(data, shape)?;
        Ok(mean(
            entry.scores.values().flatten().map(|s| s.robust[attack]),
        ))
    }

    /// Whether every sub-network of a space is there on a data set: with some missing, the best would
    /// not be known.
    ///
    /// # Errors
    /// The first that is not.
    pub fn complete(&self, data: &str, space: &Space) -> Result<(), TableError> {
        space
            .iter()
            .try_for_each(|shape| self.entry(data, &shape).map(|_| ()))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v, n + 1));
    (count > 0).then(|| sum / count as f64)
}
