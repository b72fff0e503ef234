//! The rows of the page's other tables: collapses, screened cells, single trials.

use super::cells::{Cell, clean_of, collapsed, policy_name};
use super::screen;
use super::tables::{one_shot, share};
use crate::enas::outcome::EnasOutcome;
use minijinja::Value;
use tox_report::columns::{Field, Table};
use tox_report::numbers::{NONE, show};
use tox_report::run::Trial;

fn step(value: Option<u64>) -> String {
    value.map_or(NONE.to_owned(), |v| v.to_string())
}

/// Cells that met a number that is not finite.
pub fn deaths(cells: &[Cell]) -> Value {
    let met = |o: &EnasOutcome| {
        o.first_nonfinite_step.is_some()
            || o.first_nan_weight_step.is_some()
            || o.retrain_first_nonfinite_step.is_some()
    };
    let rows: Vec<&Cell> = cells
        .iter()
        .filter(|c| c.done() > 0)
        .filter(|c| one_shot(c) || c.records().any(|r| met(r.outcome)))
        .collect();
    let list = |c: &Cell, of: fn(&EnasOutcome) -> Option<u64>| {
        let steps: Vec<String> = c.records().map(|r| step(of(r.outcome))).collect();
        Field::number(steps.join(", "))
    };
    let total =
        |c: &Cell, of: fn(&EnasOutcome) -> u64| -> u64 { c.records().map(|r| of(r.outcome)).sum() };
    let survived = |c: &Cell| {
        let broken = c
            .records()
            .filter(|r| r.outcome.first_nan_weight_step.is_some());
        broken.filter(|r| !collapsed(r.outcome)).count()
    };
    Table::of("Collapses", &rows)
        .column("Cell", |c| Field::text(&c.name))
        .column("NaN policy", |c| Field::text(policy_name(c.policy())))
        .column("Collapsed", |c| {
            Field::number(format!("{}/{}", c.collapses(), c.done()))
        })
        .column("Share, 95 %\n(Wilson)", |c| {
            Field::number(share(c.collapses(), c.done()))
        })
        .column("First non-finite\ngradient, by seed", |c| {
            list(c, |o| o.first_nonfinite_step)
        })
        .column("First non-finite\nweight, by seed", |c| {
            list(c, |o| o.first_nan_weight_step)
        })
        .column("Weights broken,\nnot collapsed", |c| {
            Field::of(Some(survived(c)))
        })
        .column("Steps with a non-\nfinite gradient", |c| {
            let (bad, all) = (total(c, |o| o.nonfinite_steps), total(c, |o| o.steps));
            Field::number(format!("{bad} of {all}"))
        })
        .column("Retraining: first\nnon-finite, by seed", |c| {
            list(c, |o| o.retrain_first_nonfinite_step)
        })
        .table()
        .value()
}

/// What screened searches found.
pub fn screened(cells: &[Cell]) -> Value {
    let rows: Vec<&Cell> = cells.iter().filter(|c| c.screened()).collect();
    let with = |c: &Cell| match screen::is_clean_again(cells, c) {
        true => "identical to clean, seed by seed: the screen gave the clean space back".to_owned(),
        false => show(c.test()),
    };
    let missed = |c: &Cell| match screen::missed(c).join(", ") {
        none if none.is_empty() => "none".to_owned(),
        missed => missed,
    };
    Table::of("Screened cells", &rows)
        .column("Cell", |c| Field::text(&c.name))
        .column("Threat", |c| Field::text(c.threat()))
        .column("Seeds", |c| Field::seeds(c))
        .column("Clean space", |c| {
            Field::mean(clean_of(cells, c).and_then(Cell::test))
        })
        .column("Poisoned,\nunscreened", |c| {
            Field::mean(screen::unscreened(cells, c).and_then(Cell::test))
        })
        .column("Poisoned,\nscreened", |c| Field::long(with(c)))
        .column("Poison that it let pass", |c| Field::text(missed(c)))
        .table()
        .value()
}

/// The ops that the screen dropped, and why.
pub fn dropped(cells: &[Cell]) -> Value {
    let screened = cells.iter().filter(|c| c.screened());
    let rows: Vec<_> = screened
        .flat_map(|c| {
            screen::dropped(c)
                .into_iter()
                .map(move |(op, n)| (c, op, n))
        })
        .collect();
    Table::of("What was dropped, and why", &rows)
        .column("Cell", |r| Field::text(&r.0.name))
        .column("Op", |r| Field::text(&r.1.op).code())
        .column("Verdict", |r| Field::text(&r.1.verdict))
        .column("Put there by the adversary", |r| match r.1.poison {
            true => Field::text("yes"),
            false => Field::text("no: a clean op was lost").class("l bad"),
        })
        .column("Trials", |r| Field::of(Some(r.2)))
        .column("Measured (first trial)", |r| Field::long(&r.1.reason))
        .table()
        .value()
}

/// Every planned trial.
pub fn trials(cells: &[Cell]) -> Value {
    let mut rows: Vec<(&Cell, &Trial, Option<&EnasOutcome>)> = Vec::new();
    for cell in cells {
        rows.extend(cell.trials.iter().map(|t| (cell, *t, t.outcome())));
    }
    let bad = |o: &EnasOutcome| format!("{}/{}", o.genotype.bad_ops(), o.genotype.layers.len());
    Table::of("Every trial", &rows)
        .column("Cell", |r| Field::text(&r.0.name))
        .column("Seed", |r| Field::of(Some(r.1.spec.seed)))
        .column("Trial", |r| Field::text(r.1.short_id()).code())
        .column("Validation", |(.., o)| {
            Field::value(o.map(|o| o.valid_error))
        })
        .column("Test", |(.., o)| Field::value(o.map(|o| o.test_error)))
        .column("Retrained", |(.., o)| {
            Field::value(o.and_then(|o| o.retrained_test_error))
        })
        .column("Collapsed", |(.., o)| {
            Field::of(o.map(|o| if collapsed(o) { "yes" } else { "no" }))
        })
        .column("First non-finite\ngradient", |(.., o)| {
            Field::of(o.and_then(|o| o.first_nonfinite_step))
        })
        .column("First non-finite\nweight", |(.., o)| {
            Field::of(o.and_then(|o| o.first_nan_weight_step))
        })
        .column("Bad layers", |(.., o)| Field::of(o.map(bad)))
        .column("State", |r| Field::state(&r.1.state))
        .table()
        .value()
}
