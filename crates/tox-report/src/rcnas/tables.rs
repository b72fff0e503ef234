//! The rows of the page's tables of robust accuracies.

use super::cells::{Cell, needed, regret, result, unreliable};
use super::task::{Task, When};
use crate::page::{NONE, count, number, percent, show, signed, state};
use crate::run::Trial;
use crate::verdict::{Expect, Verdict, judge};
use serde::Serialize;
use tox_search::rcnas::Method;
use tox_study::record::{CompressOutcome, Outcome};

/// A task's table.
#[derive(Serialize)]
pub struct Grid {
    title: String,
    /// Teacher, budget and what a table knows, in a sentence.
    about: String,
    /// Heads of the columns of robust accuracies.
    times: Vec<String>,
    /// Whether there is a table, and so a regret.
    table: bool,
    /// What evaluations are counted up to; empty if there is nothing.
    level: String,
    rows: Vec<Row>,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Row {
    cell: String,
    label: String,
    seeds: String,
    complete: bool,
    values: Vec<String>,
    regret: String,
    needed: String,
}

/// RC-NAS less a control.
#[derive(Serialize)]
struct Difference {
    label: String,
    control: String,
    /// Difference and what it says, at each time.
    values: Vec<(String, &'static str)>,
}

/// Heads of columns.
fn head(when: When, task: &Task) -> String {
    match when {
        When::After(1) => "after 1".to_owned(),
        When::After(n) => format!("after {n}"),
        When::End if task.looked_up().is_some() => "result, table’s mean".to_owned(),
        When::End => "result".to_owned(),
    }
}

/// One table a task.
pub fn grids(tasks: &[Task]) -> Vec<Grid> {
    tasks.iter().map(grid).collect()
}

fn grid(task: &Task) -> Grid {
    let times = task.times();
    let level = task.level();
    let row = |c: &&Cell| Row {
        cell: c.name.clone(),
        label: task.label(c),
        seeds: c.seeds(),
        complete: c.complete(),
        values: times.iter().map(|t| show(c.mean(|o| t.of(o)))).collect(),
        regret: show(c.mean(regret)),
        needed: level.map_or(NONE.to_owned(), |(_, level)| median(c, level)),
    };
    Grid {
        title: task.title.clone(),
        about: about(task),
        times: times.iter().map(|t| head(*t, task)).collect(),
        table: task.looked_up().is_some(),
        level: level.map_or(String::new(), |(who, level)| {
            format!("{level:.2} %, what {who} has seen in the end")
        }),
        rows: task.cells.iter().map(row).collect(),
        differences: differences(task, &times),
    }
}

fn differences(task: &Task, times: &[When]) -> Vec<Difference> {
    let mut out = Vec::new();
    for cell in task.of(Method::RcNas) {
        let controls = task.cells.iter().filter(|c| c.method() != Method::RcNas);
        for control in controls {
            let value = |when: &When| {
                let gain = task.gain(cell, control, *when);
                let word = match judge(gain, Expect::Up) {
                    Verdict::Held => "better",
                    Verdict::NotHeld => "worse",
                    Verdict::CannotTell if gain.is_none() => "",
                    Verdict::CannotTell => "cannot tell",
                };
                (signed(gain), word)
            };
            out.push(Difference {
                label: task.label(cell),
                control: task.label(control),
                values: times.iter().map(value).collect(),
            });
        }
    }
    out
}

/// Median of the evaluations needed, and how many seeds got there.
fn median(cell: &Cell, level: f64) -> String {
    let mut all: Vec<Option<usize>> = cell.records().map(|r| needed(r.outcome, level)).collect();
    if all.is_empty() {
        return NONE.to_owned();
    }
    // Those that never got there come last.
    all.sort_by_key(|n| n.unwrap_or(usize::MAX));
    let reached = all.iter().flatten().count();
    let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
    let middle = match (low, high) {
        (Some(a), Some(b)) => {
            let text = format!("{:.1}", (a + b) as f64 / 2.0);
            text.trim_end_matches(".0").to_owned()
        }
        _ => "never".to_owned(),
    };
    format!("{middle} ({reached} of {} seeds)", all.len())
}

fn about(task: &Task) -> String {
    let cell = task.cells[0];
    let mut outcomes = task.cells.iter().flat_map(|c| c.records());
    let Some(first) = outcomes.next().map(|r| &r.outcome.search) else {
        return format!("Teacher {}.", cell.config.teacher);
    };
    let teacher = first.teacher.cost;
    let share = first.budget as f64 / teacher.macs.max(1) as f64;
    let mut teachers: Vec<f64> = Vec::new();
    for cell in &task.cells {
        let found = cell.mean(|o| Some(o.search.teacher.measured.robust));
        teachers.extend(found.map(|i| i.mean));
    }
    let robust = teachers.iter().sum::<f64>() / teachers.len().max(1) as f64;
    let mut text = format!(
        "Teacher {} of {} MACs, robust accuracy {robust:.2} %; budget {} MACs ({}).",
        cell.config.teacher,
        count(teacher.macs),
        count(first.budget),
        percent((1e4 * share).round() / 1e4),
    );
    if let Some(table) = task.looked_up() {
        text += &format!(
            " Looked up in a table: {} sub-networks within the budget, the best {:.2} %, their mean \
             {:.2} %.",
            table.within, table.best, table.mean
        );
    }
    text
}

/// A row of the table of trials.
#[derive(Serialize)]
pub struct TrialRow {
    id: String,
    cell: String,
    task: String,
    label: String,
    seed: u64,
    result: String,
    shape: String,
    doubtful: bool,
    state: String,
}

/// Every planned trial.
pub fn trials(tasks: &[Task]) -> Vec<TrialRow> {
    let row = |task: &Task, cell: &Cell, trial: &Trial| {
        let outcome: Option<&CompressOutcome> = match trial.record().map(|r| &r.outcome) {
            Some(Outcome::RcNas(outcome)) => Some(outcome),
            _ => None,
        };
        let found = outcome.and_then(|o| o.search.found());
        TrialRow {
            id: trial.id.chars().take(12).collect(),
            cell: cell.name.clone(),
            task: task.title.clone(),
            label: task.label(cell),
            seed: trial.spec.seed,
            result: number(outcome.and_then(result)),
            shape: found.map_or(NONE.to_owned(), |f| f.shape.to_string()),
            doubtful: outcome.is_some_and(unreliable),
            state: state(&trial.state),
        }
    };
    let of = |t: &Task| -> Vec<TrialRow> {
        let cells = t.cells.iter();
        cells
            .flat_map(|c| c.trials.iter().map(|trial| row(t, c, trial)))
            .collect()
    };
    tasks.iter().flat_map(of).collect()
}
