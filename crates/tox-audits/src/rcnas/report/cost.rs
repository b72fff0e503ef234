//! What searching cost: evaluations on the task, and before it those of meta-training.

use super::cells::Cell;
use super::task::Task;
use crate::rcnas::outcome::CompressOutcome;
use minijinja::Value;
use tox_rcnas::{Evaluation, MetaSummary};
use tox_report::columns::{Field, Table};

fn mean(cell: &Cell, of: impl Fn(&CompressOutcome) -> Option<usize>) -> Field {
    let mean = cell.mean(|o| Some(of(o)? as f64));
    Field::of(mean.map(|i| format!("{:.1}", i.mean).trim_end_matches(".0").to_owned()))
}

fn count(cell: &Cell, is: fn(&&Evaluation) -> bool) -> Field {
    mean(cell, |o| {
        Some(o.search.evaluations.iter().filter(is).count())
    })
}

fn meta(cell: &Cell, of: fn(&MetaSummary) -> usize) -> Field {
    mean(cell, |o| o.search.meta.as_ref().map(of))
}

fn unseen(cell: &Cell) -> Field {
    let trained = cell.records().any(|r| r.outcome.search.meta.is_some());
    match cell.unseen().join(", ") {
        _ if !trained => Field::text(""),
        none if none.is_empty() => Field::text("nothing"),
        unseen => Field::text(unseen),
    }
}

/// All cells with a record, means over their trials.
pub fn table(tasks: &[Task]) -> Value {
    const TASK: &str = "On the task";
    const META: &str = "Meta-training before";
    let mut rows: Vec<(&Task, &Cell)> = Vec::new();
    for task in tasks {
        let done = task.cells.iter().filter(|c| c.done() > 0);
        rows.extend(done.map(|c| (task, *c)));
    }
    Table::of("Costs", &rows)
        .column("Task", |(task, _)| Field::text(&task.title))
        .column("Method", |(task, c)| Field::text(task.label(c)))
        .column("Evaluated", |(_, c)| count(c, |_| true))
        .group(TASK)
        .column("Failed", |(_, c)| count(c, |e| e.failed.is_some()))
        .group(TASK)
        .column("Filled", |(_, c)| count(c, |e| e.filled))
        .group(TASK)
        .column("Repeats", |(_, c)| mean(c, |o| Some(o.search.repeats)))
        .group(TASK)
        .column("Skipped", |(_, c)| mean(c, |o| Some(o.search.skipped)))
        .group(TASK)
        .column("Evaluated", |(_, c)| meta(c, |m| m.evaluations))
        .group(META)
        .column("Repeats", |(_, c)| meta(c, |m| m.repeats))
        .group(META)
        .column("Failed", |(_, c)| meta(c, |m| m.failed))
        .group(META)
        .column("Never met", |(_, c)| unseen(c))
        .group(META)
        .table()
        .value()
}
