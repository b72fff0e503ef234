//! The rows of the page's tables of robust accuracies.

use super::cells::{Cell, needed, regret, result, unreliable};
use super::task::{Task, When};
use crate::rcnas::outcome::CompressOutcome;
use minijinja::Value;
use tox_rcnas::Method;
use tox_report::columns::{Field, Table};
use tox_report::context;
use tox_report::numbers::{count, percent};
use tox_report::run::Trial;
use tox_report::verdict::{Expect, Verdict, judge};

/// Heads of columns.
fn head(when: When, task: &Task) -> String {
    match when {
        When::After(n) => format!("after {n}"),
        When::End if task.looked_up().is_some() => "result,\ntable’s mean".to_owned(),
        When::End => "result".to_owned(),
    }
}

/// Title, what it is about, robust accuracies, differences and the level that evaluations are counted to:
/// for each task.
pub fn grids(tasks: &[Task]) -> Vec<Value> {
    tasks.iter().map(grid).collect()
}

fn grid(task: &Task) -> Value {
    let level = task.level();
    let regret = |c: &Cell| match task.looked_up() {
        Some(_) => Field::mean(c.mean(regret)),
        None => Field::number(""),
    };
    let mut table = Table::of("", &task.cells)
        .column("Method", |c| Field::text(task.label(c)))
        .column("Seeds", |c| Field::seeds(c));
    for when in task.times() {
        table = table.column(head(when, task), |c| Field::mean(c.mean(|o| when.of(o))));
    }
    let table = table
        .column("Below the\nbest of all", |c| regret(c))
        .column("Evaluations\nneeded", |c| {
            Field::of(level.and_then(|l| median(c, l.1)))
        })
        .column("Cell", |c| Field::text(&c.name).faint())
        .table();
    context! {
        title => task.title,
        about => about(task),
        table => table.value(),
        differences => differences(task).value(),
        level => level.map(|(who, level)| {
            format!("{level:.2} %, what {who} has seen in the end")
        }),
    }
}

/// RC-NAS less each control, and what that says.
fn differences(task: &Task) -> Table {
    let mut rows: Vec<(&Cell, &Cell)> = Vec::new();
    for cell in task.of(Method::RcNas) {
        let controls = task.cells.iter().filter(|c| c.method() != Method::RcNas);
        rows.extend(controls.map(|control| (cell, *control)));
    }
    let mut table = Table::of("Points by which RC-NAS is above a control, by seed", &rows)
        .column("Of", |(cell, _)| Field::text(task.label(cell)))
        .column("Over", |(_, control)| Field::text(task.label(control)));
    for when in task.times() {
        table = table.column(head(when, task), |(cell, control)| {
            let gain = task.gain(cell, control, when);
            let (word, class) = match judge(gain, Expect::Up) {
                Verdict::Held => ("better", "good"),
                Verdict::NotHeld => ("worse", "bad"),
                Verdict::CannotTell if gain.is_none() => ("", "paper"),
                Verdict::CannotTell => ("cannot tell", "paper"),
            };
            Field::difference(gain).small(word).class(class)
        });
    }
    table.table()
}

/// Median of the evaluations needed, and how many seeds got there.
fn median(cell: &Cell, level: f64) -> Option<String> {
    let mut all: Vec<Option<usize>> = cell.records().map(|r| needed(r.outcome, level)).collect();
    if all.is_empty() {
        return None;
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
    Some(format!("{middle} ({reached} of {} seeds)", all.len()))
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
        if let Some(retest) = table.retest {
            text += &format!(
                " Their ranks in one training and in another correlate by {retest:.2}: so much does one training tell \
                 of another."
            );
        }
    }
    text
}

/// Every planned trial.
pub fn trials(tasks: &[Task]) -> Value {
    let mut rows: Vec<(&Task, &Cell, &Trial, Option<&CompressOutcome>)> = Vec::new();
    for task in tasks {
        for cell in &task.cells {
            rows.extend(cell.trials.iter().map(|t| (task, *cell, *t, t.outcome())));
        }
    }
    let doubtful = |o: Option<&CompressOutcome>| match o.is_some_and(unreliable) {
        true => "the evaluation in the end failed its own checks",
        false => "",
    };
    Table::of("Every trial", &rows)
        .column("Cell", |(_, c, _, o)| {
            Field::text(&c.name).doubt(doubtful(*o))
        })
        .column("Task", |(task, ..)| Field::text(&task.title))
        .column("Method", |(task, c, ..)| Field::text(task.label(c)))
        .column("Seed", |(.., t, _)| Field::of(Some(t.spec.seed)))
        .column("Trial", |(.., t, _)| Field::text(t.short_id()).code())
        .column("Result", |(.., o)| Field::value(o.and_then(result)))
        .column("Network", |(.., o)| {
            let found = o.and_then(|o| o.search.found());
            Field::text(found.map_or(String::new(), |f| f.shape.to_string())).code()
        })
        .column("State", |(.., t, _)| Field::state(&t.state))
        .table()
        .value()
}
