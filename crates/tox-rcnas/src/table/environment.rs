//! A table as the agent's environment.

use super::{Table, TableError};
use crate::environment::{Cost, Environment, Evaluated, Failure, Measured};
use crate::task::Task;
use rand::RngExt;
use tox_data::rng::stream;
use tox_nn::nets::wrn::Shape;

/// Looks evaluations up: one of a network's trainings, drawn for each network on each data set by `seed`,
/// which is what a search that trains each network once would meet.
#[derive(Clone, Copy, Debug)]
pub struct TableEnvironment<'a> {
    table: &'a Table,
    /// What every task but this one is looked up in.
    meta: Option<(&'a Table, &'a Task)>,
    seed: u64,
}

impl<'a> TableEnvironment<'a> {
    /// On a table.
    pub fn new(table: &'a Table, seed: u64) -> Self {
        Self {
            table,
            meta: None,
            seed,
        }
    }

    /// Tasks other than `target` are looked up in `table`.
    pub fn apart(self, table: &'a Table, target: &'a Task) -> Self {
        Self {
            meta: Some((table, target)),
            ..self
        }
    }

    fn table(&self, task: &Task) -> &'a Table {
        match self.meta {
            Some((table, target)) if task != target => table,
            _ => self.table,
        }
    }

    fn scores(&self, task: &Task, shape: &Shape) -> Result<Option<Measured>, TableError> {
        let data = &task.data.name;
        let table = self.table(task);
        let attack = table.attack(&task.attack.name)?;
        let rows = &table.entry(data, shape)?.scores;
        // The same training is attacked by every attack.
        let purpose = format!("rcnas/table {data:?} {shape:?}");
        let place = stream(self.seed, &purpose, &[]).random_range(0..rows.len());
        let scores = rows.values().nth(place).and_then(Option::as_ref);
        Ok(scores.map(|scores| Measured {
            clean: scores.clean,
            robust: scores.robust[attack],
            lipschitz: scores.lipschitz,
        }))
    }
}

impl Environment for TableEnvironment<'_> {
    fn cost(&self, task: &Task, shape: &Shape) -> Result<Cost, Failure> {
        Ok(self.table(task).cost(&task.data.name, shape)?)
    }

    fn evaluate(&mut self, task: &Task, shape: &Shape) -> Result<Option<Evaluated>, Failure> {
        Ok(Some(match self.scores(task, shape)? {
            Some(measured) => Evaluated::Measured(measured),
            None => Evaluated::Failed {
                reason: "its training diverged, by the table".to_owned(),
            },
        }))
    }
}
