//! A table as the agent's environment.

use super::{Scores, Table, TableError, mean};
use crate::rcnas::environment::{Cost, Environment, Evaluated, Failure, Measured};
use crate::rcnas::task::Task;
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::rng::stream;
use tox_nn::nets::wrn::Shape;

/// Which of a network's trainings an evaluation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seeds {
    /// The mean over all that did not diverge: a search without noise.
    Mean,
    /// One of them, drawn for each network on each data set by this seed: what a search that trains each
    /// network once would meet.
    One(u64),
}

/// Looks evaluations up.
#[derive(Clone, Copy, Debug)]
pub struct TableEnvironment<'a> {
    table: &'a Table,
    seeds: Seeds,
}

impl<'a> TableEnvironment<'a> {
    /// On a table.
    pub fn new(table: &'a Table, seeds: Seeds) -> Self {
        Self { table, seeds }
    }

    fn scores(&self, task: &Task, shape: &Shape) -> Result<Option<Measured>, TableError> {
        let data = &task.data.name;
        let attack = self.table.attack(&task.attack.name)?;
        let rows = &self.table.entry(data, shape)?.scores;
        let drawn: Vec<&Scores> = match self.seeds {
            Seeds::Mean => rows.values().flatten().collect(),
            Seeds::One(seed) => {
                // The same training is attacked by every attack.
                let purpose = format!("rcnas/table {data:?} {shape:?}");
                let place = stream(seed, &purpose, &[]).random_range(0..rows.len());
                rows.values().nth(place).into_iter().flatten().collect()
            }
        };
        let of = |value: fn(&Scores, usize) -> f64| mean(drawn.iter().map(|s| value(s, attack)));
        let clean = of(|s, _| s.clean);
        let robust = of(|s, attack| s.robust[attack]);
        let lipschitz = of(|s, _| s.lipschitz);
        let all = clean.zip(robust).zip(lipschitz);
        Ok(all.map(|((clean, robust), lipschitz)| Measured {
            clean,
            robust,
            lipschitz,
        }))
    }
}

impl Environment for TableEnvironment<'_> {
    fn cost(&self, task: &Task, shape: &Shape) -> Result<Cost, Failure> {
        Ok(self.table.cost(&task.data.name, shape)?)
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
