//! Teacher and result side by side, trained as in the end and attacked on test images.

use super::cells::{Cell, MARK, judged};
use super::paper::{Printed, printed, reduced};
use super::task::Task;
use crate::rcnas::outcome::CompressOutcome;
use crate::rcnas::outcome::{Judged, Role};
use serde::Serialize;
use tox_report::numbers::{NONE, count, signed};
use tox_report::stats::{self, Interval};
use tox_robust::evaluation::Reliable;

/// A cell's comparison.
#[derive(Serialize)]
pub struct Comparison {
    title: String,
    attacks: Vec<String>,
    rows: Vec<Row>,
    /// The paper's lines, where the study is at its scale and has its columns.
    printed: Vec<Printed>,
    /// What the study has less of than those lines; empty for nothing.
    reduced: String,
    /// What speaks against the numbers.
    warnings: Vec<String>,
}

/// One of the two networks, or their difference.
#[derive(Serialize)]
struct Row {
    name: String,
    shape: String,
    /// Clean, each attack, worst case.
    numbers: Vec<String>,
    parts: String,
    parameters: String,
    macs: String,
    lipschitz: String,
    reliable: String,
    doubtful: bool,
}

/// The columns of the paper.
const COLUMNS: [&str; 3] = ["pgd20", "cw40", "autoattack"];

/// All cells with something judged; with the paper’s lines in a study of it.
pub fn all(tasks: &[Task], paper: bool) -> Vec<Comparison> {
    let mut out = Vec::new();
    for task in tasks {
        for cell in &task.cells {
            out.extend(comparison(task, cell, paper));
        }
    }
    out
}

/// Names of the attacks that a network was judged under.
pub fn attacks(of: &Judged) -> Vec<String> {
    let all = of.evaluation.attacks.iter();
    all.map(|a| a.attack.name()).collect()
}

/// Accuracy under an attack by name.
pub fn accuracy(of: &Judged, attack: &str) -> Option<f64> {
    let mut all = of.evaluation.attacks.iter();
    all.find(|a| a.attack.name() == attack).map(|a| a.accuracy)
}

/// What is measured of a judged network.
type Number<'n> = Box<dyn Fn(&Judged) -> Option<f64> + 'n>;

fn numbers(attacks: &[String]) -> Vec<Number<'_>> {
    let clean: Number = Box::new(|j| Some(j.evaluation.clean));
    let worst: Number = Box::new(|j| Some(j.evaluation.worst_case));
    let each = attacks
        .iter()
        .map(|name| -> Number { Box::new(move |j| accuracy(j, name)) });
    [clean].into_iter().chain(each).chain([worst]).collect()
}

fn comparison(task: &Task, cell: &Cell, paper: bool) -> Option<Comparison> {
    let first = cell
        .records()
        .find_map(|r| judged(r.outcome, Role::Teacher))?;
    let attacks = attacks(first);
    let numbers = numbers(&attacks);
    let mut rows: Vec<Row> = [Role::Teacher, Role::Found]
        .into_iter()
        .filter_map(|role| row(cell, role, &numbers))
        .collect();
    let difference = |of: &dyn Fn(&Judged) -> Option<f64>| -> Option<Interval> {
        let both = |o: &CompressOutcome| {
            let [teacher, found] = [Role::Teacher, Role::Found].map(|role| judged(o, role));
            Some(of(found?)? - of(teacher?)?)
        };
        cell.mean(both)
    };
    rows.push(Row {
        name: "difference".to_owned(),
        shape: String::new(),
        numbers: numbers
            .iter()
            .enumerate()
            .map(|(i, of)| match i {
                0 => signed(difference(of)),
                _ => cell.marked(&signed(difference(of))),
            })
            .collect(),
        parts: String::new(),
        parameters: String::new(),
        macs: String::new(),
        lipschitz: signed(difference(&|j| Some(j.lipschitz))),
        reliable: String::new(),
        doubtful: cell.doubtful(),
    });
    let comparable = attacks.iter().map(String::as_str).filter(|a| *a != "fgsm");
    let comparable = comparable.eq(COLUMNS);
    Some(Comparison {
        title: format!("{}: {}", task.title, task.label(cell)),
        reduced: reduced(cell),
        printed: if paper && comparable {
            printed(cell)
        } else {
            Vec::new()
        },
        warnings: warnings(cell),
        attacks: attacks.clone(),
        rows,
    })
}

fn row(cell: &Cell, role: Role, numbers: &[Number]) -> Option<Row> {
    let all: Vec<&Judged> = cell
        .records()
        .filter_map(|r| judged(r.outcome, role))
        .collect();
    let mean = |of: &dyn Fn(&Judged) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(|j| of(j)).collect();
        stats::mean(&values)
    };
    let whole = |of: fn(&Judged) -> u64| {
        let sum: u64 = all.iter().map(|j| of(j)).sum();
        count(sum / all.len() as u64)
    };
    let first = all.first()?;
    let of = |state| {
        let same = all.iter().filter(|j| j.evaluation.reliable == state);
        same.count()
    };
    let doubtful = of(Reliable::No) > 0;
    let mark = if doubtful {
        format!(" {MARK}")
    } else {
        String::new()
    };
    let show = |(i, of): (usize, &Number)| match mean(of) {
        None => NONE.to_owned(),
        // Accuracy on images as they are needs no attack.
        Some(value) if i == 0 => value.to_string(),
        Some(value) => format!("{value}{mark}"),
    };
    let same = all.iter().all(|j| j.shape == first.shape);
    Some(Row {
        name: match role {
            Role::Teacher => "teacher".to_owned(),
            Role::Found => "found".to_owned(),
        },
        shape: match same {
            true => first.shape.to_string(),
            false => format!("{} networks", all.len()),
        },
        numbers: numbers.iter().enumerate().map(show).collect(),
        parts: parts(&all),
        parameters: whole(|j| j.cost.parameters),
        macs: whole(|j| j.cost.macs),
        lipschitz: mean(&|j| Some(j.lipschitz)).map_or(NONE.to_owned(), |l| l.to_string()),
        reliable: match of(Reliable::NotTested) {
            0 => format!("{} of {}", of(Reliable::Yes), all.len()),
            n => format!("{} of {}, {n} not tested", of(Reliable::Yes), all.len()),
        },
        doubtful,
    })
}

/// Share of images that each part of AutoAttack was the first to fool, mean over trials.
fn parts(all: &[&Judged]) -> String {
    let of = |j: &&Judged| -> Vec<(String, f64)> {
        let mut attacks = j.evaluation.attacks.iter();
        let ensemble = attacks.find(|a| !a.parts.is_empty());
        let parts = ensemble.map_or(&[][..], |a| &a.parts);
        parts.iter().map(|p| (p.attack.clone(), p.fooled)).collect()
    };
    let trials: Vec<Vec<(String, f64)>> = all.iter().map(of).collect();
    let first = trials.first().map_or(&[][..], Vec::as_slice);
    let mean = |i: usize| {
        let values = trials.iter().filter_map(|t| Some(t.get(i)?.1));
        let values: Vec<f64> = values.collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let texts = first.iter().enumerate();
    let texts: Vec<String> = texts
        .map(|(i, (name, _))| format!("{name} {:.1}", mean(i)))
        .collect();
    texts.join(", ")
}

/// Every warning with the seeds and networks that have it.
fn warnings(cell: &Cell) -> Vec<String> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for record in cell.records() {
        for (role, warning) in super::cells::warnings(record.outcome) {
            let attack = warning.attack.as_deref().unwrap_or("all attacks");
            let said = format!("{attack}: {}", warning.reason);
            let role = match role {
                Role::Teacher => "teacher",
                Role::Found => "found",
            };
            let who = format!("{role}, seed {}", record.spec.seed);
            match all.iter_mut().find(|w| w.0 == said) {
                Some(known) => known.1.push(who),
                None => all.push((said, vec![who])),
            }
        }
    }
    for record in cell.records() {
        for judged in &record.outcome.judged {
            let role = match judged.role {
                Role::Teacher => "teacher",
                Role::Found => "found",
            };
            for untested in &judged.evaluation.untested {
                let said = format!("not tested: {}", untested.reason);
                let who = format!("{role}, seed {}", record.spec.seed);
                match all.iter_mut().find(|w| w.0 == said) {
                    Some(known) => known.1.push(who),
                    None => all.push((said, vec![who])),
                }
            }
        }
    }
    let each = all.into_iter();
    each.map(|(said, who)| format!("{said} ({})", who.join("; ")))
        .collect()
}
