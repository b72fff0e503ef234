//! The table that says whether the attacks attacked.

use super::cells::Cell;
use super::search::Search;
use super::tables::{condition, mark};
use crate::nas::outcome::Poison;
use crate::scene::Aim;
use minijinja::Value;
use tox_poison::data::Check;
use tox_poison::data::gc::Cancelled;
use tox_report::columns::{Field, Table, values};
use tox_report::numbers::NONE;
use tox_report::numbers::percent;
use tox_report::stats;

/// Of a poison whose victim's targets stand for no architecture.
pub const CANNOT_TELL: &str = "cannot tell";

/// The attack's checks in a cell, or in several that have the same.
#[derive(Clone, PartialEq)]
struct Row {
    condition: Field,
    searches: String,
    passed: Field,
    points: String,
    flipped: String,
    moved: String,
    linf: String,
    at_bound: String,
    classifier: String,
    cancelling: Option<Cancelling>,
}

/// Means over seeds of how gradient cancelling went.
#[derive(Clone, PartialEq)]
struct Cancelling {
    ascent: String,
    clean_loss: String,
    loss: String,
    cosine: String,
    /// Seeds whose poison aims at the architecture that the unpoisoned victim stands for.
    unmoved: String,
    /// Accuracy of the latter, and of what it aims at.
    accuracies: String,
}

/// What the attacks did to the rows, and how gradient cancelling went.
pub fn tables(searches: &[Search]) -> Vec<Value> {
    let rows = rows(searches);
    let number = |of: fn(&Row) -> &String| move |r: &Row| Field::number(of(r));
    let checks = Table::of("What the attacks did", &rows)
        .column("Data", |r| r.condition.clone())
        .column("Searches", |r| Field::text(&r.searches))
        .column("Passed", |r| r.passed.clone())
        .column("Rows\npoisoned", number(|r| &r.points))
        .column("Labels\nflipped", number(|r| &r.flipped))
        .column("Images\nmoved", number(|r| &r.moved))
        .column("Largest\nchange", number(|r| &r.linf))
        .column("Values at\nthe bound", number(|r| &r.at_bound))
        .column("CLF’s\nclassifier", number(|r| &r.classifier))
        .table();
    let all = rows.iter();
    let cancelled: Vec<(&Row, &Cancelling)> = all
        .filter_map(|r| Some((r, r.cancelling.as_ref()?)))
        .collect();
    let cancelling = Table::of("Gradient cancelling", &cancelled)
        .column("Data", |(r, _)| r.condition.clone())
        .column("Searches", |(r, _)| Field::text(&r.searches))
        .column("Ascent\n(L2)", |(_, c)| Field::number(&c.ascent))
        .column("Clean loss\nthere", |(_, c)| Field::number(&c.clean_loss))
        .column("Loss, before to after", |(_, c)| Field::number(&c.loss))
        .column("Cosine, before to after", |(_, c)| Field::number(&c.cosine))
        .column("Aims at the\nclean cell", |(_, c)| {
            Field::number(&c.unmoved)
        })
        .column("Accuracy, clean\ncell to aim, %", |(_, c)| {
            Field::number(&c.accuracies)
        })
        .table();
    values([checks, cancelling])
}

/// A row for each poison; searches whose checks are the same share one.
fn rows(searches: &[Search]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for s in searches {
        for cell in s
            .cells
            .iter()
            .filter(|c| c.attack().is_some() && c.done() > 0)
        {
            let row = check(s, cell);
            let same = |r: &&mut Row| {
                Row {
                    searches: row.searches.clone(),
                    ..(**r).clone()
                } == row
            };
            match rows.iter_mut().find(same) {
                Some(other) => other.searches = format!("{}, {}", other.searches, s.title),
                None => rows.push(row),
            }
        }
    }
    // Poisons of one kind beside each other.
    let mut order: Vec<Field> = Vec::new();
    for row in &rows {
        if !order.contains(&row.condition) {
            order.push(row.condition.clone());
        }
    }
    rows.sort_by_key(|r| order.iter().position(|t| *t == r.condition));
    rows
}

fn check(search: &Search, cell: &Cell) -> Row {
    let poisons = || cell.records().filter_map(|r| r.outcome.poison.as_ref());
    let numbers =
        |of: &dyn Fn(&Poison) -> Option<f64>| -> Vec<f64> { poisons().filter_map(of).collect() };
    let mean = |values: Vec<f64>| stats::mean(&values).map(|i| i.mean);
    let of_check = |of: fn(&Check) -> f64| mean(numbers(&|p| Some(of(&p.check))));
    let share = |share: Option<f64>| share.map_or(NONE.to_owned(), percent);
    let moved = of_check(|c| c.moved as f64).unwrap_or(0.0) > 0.0;
    let passed = cell.done() - cell.doubts().len();
    let linf = numbers(&|p| Some(p.check.linf));
    Row {
        condition: condition(search, cell),
        searches: search.title.clone(),
        points: of_check(|c| c.points as f64).map_or(NONE.to_owned(), |p| {
            format!(
                "{p:.0} of {:.0}",
                of_check(|c| c.rows as f64).unwrap_or(0.0)
            )
        }),
        flipped: share(of_check(Check::flip_rate)),
        moved: share(of_check(|c| c.moved as f64 / c.rows.max(1) as f64)),
        linf: match moved {
            true => format!("{:.0}/255", linf.iter().copied().fold(0.0, f64::max)),
            false => NONE.to_owned(),
        },
        at_bound: share(mean(numbers(&|p| p.check.at_bound)).filter(|_| moved)),
        classifier: share(mean(numbers(&|p| p.classifier_accuracy))),
        passed: Field::number(format!("{passed}/{}", cell.done())).warning(mark(cell)),
        cancelling: cancelling(cell),
    }
}

fn cancelling(cell: &Cell) -> Option<Cancelling> {
    let all = || {
        let poisons = cell.records().filter_map(|r| r.outcome.poison.as_ref());
        poisons.filter_map(|p| p.check.cancelled.as_ref())
    };
    let mean = |of: fn(&Cancelled) -> f64| {
        let values: Vec<f64> = all().map(of).collect();
        stats::mean(&values).map(|i| i.mean)
    };
    let (from, to) = (mean(|c| c.before().loss)?, mean(|c| c.after.loss)?);
    let (before, after) = (mean(|c| c.before().cosine)?, mean(|c| c.after.cosine)?);
    Some(Cancelling {
        ascent: format!("{:.3}", mean(|c| c.ascent)?),
        clean_loss: format!("{:.3}", mean(|c| c.clean_loss)?),
        loss: format!("{from:.2e} to {to:.2e}"),
        cosine: format!("{before:+.3} to {after:+.3}"),
        unmoved: unmoved(cell),
        accuracies: accuracies(cell),
    })
}

/// In how many seeds gradient cancelling aims at the architecture that the clean search of its victim found.
fn unmoved(cell: &Cell) -> String {
    let poisons = cell.records().filter_map(|r| r.outcome.poison.as_ref());
    let aims: Vec<(&Poison, &Aim)> = poisons.filter_map(|p| Some((p, p.aim.as_ref()?))).collect();
    let known = || {
        aims.iter()
            .filter_map(|(p, aim)| Some((*p, aim.architecture()?)))
    };
    let same = known().filter(|(p, aimed)| p.victim.as_ref() == Some(&aimed.genotype));
    match (aims.len(), known().count()) {
        (0, _) => NONE.to_owned(),
        (_, 0) => CANNOT_TELL.to_owned(),
        (_, known) => format!("{} of {known}", same.count()),
    }
}

/// Mean accuracies of the architectures that the unpoisoned victims stand for, and of those aimed at.
fn accuracies(cell: &Cell) -> String {
    let poisons = cell.records().filter_map(|r| r.outcome.poison.as_ref());
    let aims = poisons.filter_map(|p| p.aim.as_ref()?.architecture());
    let (from, to): (Vec<f64>, Vec<f64>) = aims
        .filter_map(|a| a.victim_accuracy.zip(a.accuracy))
        .unzip();
    let both = stats::mean(&from).zip(stats::mean(&to));
    both.map_or(NONE.to_owned(), |(from, to)| {
        format!("{:.2} to {:.2}", from.mean, to.mean)
    })
}
