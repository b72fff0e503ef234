//! Robust accuracies of what was found, where they were looked up.

use super::cells::Cell;
use super::search::Search;
use super::tables::condition;
use crate::nas::outcome::{NasOutcome, RobustColumn};
use minijinja::Value;
use tox_report::columns::{Field, Table, values};

/// A table a search and column, of searches whose cells were looked up.
pub fn tables(searches: &[Search]) -> Vec<Value> {
    let of = |search: &Search| {
        let names = search.cells.iter().find_map(|cell| columns(cell));
        let names = names.unwrap_or_default();
        let tables: Vec<Table> = names.iter().map(|name| table(search, name)).collect();
        tables
    };
    values(searches.iter().flat_map(of))
}

/// The columns that were asked for.
fn columns(cell: &Cell) -> Option<Vec<String>> {
    let record = cell.records().next()?;
    let found = &record
        .outcome
        .evaluation
        .as_ref()?
        .robustness
        .as_ref()?
        .columns;
    Some(found.iter().map(|found| found.column.clone()).collect())
}

fn found<'a>(outcome: &'a NasOutcome, column: &str) -> Option<&'a RobustColumn> {
    let robustness = outcome.evaluation.as_ref()?.robustness.as_ref()?;
    robustness
        .columns
        .iter()
        .find(|found| found.column == column)
}

fn table(search: &Search, name: &str) -> Table {
    let accuracy = |outcome: &NasOutcome| Some(found(outcome, name)?.accuracy);
    let gain = |outcome: &NasOutcome| {
        let found = found(outcome, name)?;
        Some(found.accuracy - found.random.mean)
    };
    Table::of(format!("{}: {name}", search.title), &search.cells)
        .column("Data", |cell| condition(search, cell))
        .column("Seeds", |cell| Field::seeds(cell))
        .column("Accuracy, %", |cell| Field::mean(cell.mean(accuracy)))
        .column("Drop from\nclean, points", |cell| {
            Field::difference(search.lost(cell, accuracy))
        })
        .column("Over a random\narchitecture", |cell| {
            Field::difference(cell.mean(gain))
        })
        .table()
}
