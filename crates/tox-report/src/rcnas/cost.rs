//! What searching cost: evaluations on the task, and before it those of meta-training.

use super::cells::Cell;
use super::task::Task;
use crate::page::NONE;
use serde::Serialize;
use tox_search::rcnas::MetaSummary;
use tox_study::record::CompressOutcome;

/// A cell's costs, means over its trials.
#[derive(Serialize)]
pub struct Row {
    task: String,
    label: String,
    evaluations: String,
    failed: String,
    filled: String,
    repeats: String,
    skipped: String,
    meta: String,
    meta_repeats: String,
    meta_failed: String,
    unseen: String,
}

fn mean(cell: &Cell, of: impl Fn(&CompressOutcome) -> Option<usize>) -> String {
    let values: Vec<f64> = cell
        .records()
        .filter_map(|r| Some(of(r.outcome)? as f64))
        .collect();
    match values.len() {
        0 => NONE.to_owned(),
        n => {
            let text = format!("{:.1}", values.iter().sum::<f64>() / n as f64);
            text.trim_end_matches(".0").to_owned()
        }
    }
}

/// All cells with a record.
pub fn all(tasks: &[Task]) -> Vec<Row> {
    let row = |task: &Task, c: &Cell| {
        let meta = |of: fn(&MetaSummary) -> usize| mean(c, |o| o.search.meta.as_ref().map(of));
        let count = |is: fn(&tox_search::rcnas::Evaluation) -> bool| {
            mean(c, |o| {
                Some(o.search.evaluations.iter().filter(|e| is(e)).count())
            })
        };
        Row {
            task: task.title.clone(),
            label: task.label(c),
            evaluations: count(|_| true),
            failed: count(|e| e.failed.is_some()),
            filled: count(|e| e.filled),
            repeats: mean(c, |o| Some(o.search.repeats)),
            skipped: mean(c, |o| Some(o.search.skipped)),
            meta: meta(|m| m.evaluations),
            meta_repeats: meta(|m| m.repeats),
            meta_failed: meta(|m| m.failed),
            unseen: match c.records().any(|r| r.outcome.search.meta.is_some()) {
                false => NONE.to_owned(),
                true if c.unseen().is_empty() => "nothing".to_owned(),
                true => c.unseen().join(", "),
            },
        }
    };
    let rows = tasks.iter().flat_map(|t| {
        let done = t.cells.iter().filter(|c| c.done() > 0);
        done.map(|c| row(t, c)).collect::<Vec<Row>>()
    });
    rows.collect()
}
