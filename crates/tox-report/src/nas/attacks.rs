//! The table that says whether the attacks attacked.

use super::cells::Cell;
use super::search::Search;
use super::tables::mark;
use crate::page::NONE;
use crate::page::percent;
use crate::stats;
use serde::Serialize;
use tox_poison::data::Check;
use tox_poison::data::gc::Cancelled;
use tox_study::record::nas::Poison;

/// The attack's checks in a cell, or in several that have the same.
#[derive(Clone, PartialEq, Serialize)]
pub struct Row {
    threat: String,
    searches: String,
    mark: String,
    points: String,
    flipped: String,
    moved: String,
    linf: String,
    at_bound: String,
    classifier: String,
    passed: String,
    cancelling: Option<Cancelling>,
}

/// Means over seeds of how gradient cancelling went.
#[derive(Clone, PartialEq, Serialize)]
struct Cancelling {
    ascent: String,
    clean_loss: String,
    loss: String,
    cosine: String,
}

/// A row for each poison; searches whose checks are the same share one.
pub fn rows(searches: &[Search]) -> Vec<Row> {
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
    let mut order: Vec<String> = Vec::new();
    for row in &rows {
        if !order.contains(&row.threat) {
            order.push(row.threat.clone());
        }
    }
    rows.sort_by_key(|r| order.iter().position(|t| *t == r.threat));
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
    let linf = numbers(&|p| Some(p.check.linf));
    Row {
        threat: search.condition(cell),
        searches: search.title.clone(),
        mark: mark(cell),
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
        passed: format!("{}/{}", cell.done() - cell.doubts().len(), cell.done()),
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
    })
}
