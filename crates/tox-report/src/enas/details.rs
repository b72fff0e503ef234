//! The rows of the page's other tables: collapses, screened cells, single trials.

use super::cells::{Cell, clean_of, collapsed, policy_name};
use super::screen;
use super::tables::{one_shot, share};
use crate::page::{NONE, number, show, state};
use crate::run::Trial;
use serde::Serialize;
use tox_study::record::{EnasOutcome, Outcome};

/// A row of the table of deaths.
#[derive(Serialize)]
pub struct Death {
    cell: String,
    policy: &'static str,
    collapsed: String,
    share: String,
    gradient: String,
    weight: String,
    survived: usize,
    nonfinite: String,
    retrain: String,
}

/// What the screen did in a cell.
#[derive(Serialize)]
pub struct Screened {
    cell: String,
    threat: String,
    seeds: String,
    clean: String,
    unscreened: String,
    screened: String,
    missed: String,
    ops: Vec<Dropped>,
}

/// An op that the screen dropped.
#[derive(Serialize)]
pub struct Dropped {
    op: String,
    verdict: String,
    reason: String,
    poison: bool,
    trials: usize,
}

/// A row of the table of trials.
#[derive(Serialize)]
pub struct TrialRow {
    id: String,
    cell: String,
    seed: u64,
    state: String,
    valid: String,
    test: String,
    retrained: String,
    collapsed: &'static str,
    gradient: String,
    weight: String,
    bad: String,
}

fn step(value: Option<u64>) -> String {
    value.map_or(NONE.to_owned(), |v| v.to_string())
}

pub fn deaths(cells: &[Cell]) -> Vec<Death> {
    let met = |o: &EnasOutcome| {
        o.first_nonfinite_step.is_some()
            || o.first_nan_weight_step.is_some()
            || o.retrain_first_nonfinite_step.is_some()
    };
    cells
        .iter()
        .filter(|c| c.done() > 0)
        .filter(|c| one_shot(c) || c.records().any(|r| met(r.outcome)))
        .map(|c| {
            let list = |of: fn(&EnasOutcome) -> Option<u64>| {
                let steps: Vec<String> = c.records().map(|r| step(of(r.outcome))).collect();
                steps.join(", ")
            };
            let total = |of: fn(&EnasOutcome) -> u64| c.records().map(|r| of(r.outcome)).sum();
            let (bad, all): (u64, u64) = (total(|o| o.nonfinite_steps), total(|o| o.steps));
            let broken = c
                .records()
                .filter(|r| r.outcome.first_nan_weight_step.is_some());
            Death {
                cell: c.name.clone(),
                policy: policy_name(c.policy()),
                collapsed: format!("{}/{}", c.collapses(), c.done()),
                share: share(c.collapses(), c.done()),
                gradient: list(|o| o.first_nonfinite_step),
                weight: list(|o| o.first_nan_weight_step),
                survived: broken.filter(|r| !collapsed(r.outcome)).count(),
                nonfinite: format!("{bad} of {all}"),
                retrain: list(|o| o.retrain_first_nonfinite_step),
            }
        })
        .collect()
}

pub fn screened(cells: &[Cell]) -> Vec<Screened> {
    let screened = cells.iter().filter(|c| c.screened());
    screened
        .map(|c| Screened {
            cell: c.name.clone(),
            threat: c.threat(),
            seeds: c.seeds(),
            clean: show(clean_of(cells, c).and_then(Cell::test)),
            unscreened: show(screen::unscreened(cells, c).and_then(Cell::test)),
            screened: if screen::is_clean_again(cells, c) {
                "identical to clean, seed by seed: the screen gave the clean space back".to_owned()
            } else {
                show(c.test())
            },
            missed: screen::missed(c).join(", "),
            ops: screen::dropped(c)
                .into_iter()
                .map(|(op, trials)| Dropped {
                    op: op.op.clone(),
                    verdict: op.verdict.clone(),
                    reason: op.reason.clone(),
                    poison: op.poison,
                    trials,
                })
                .collect(),
        })
        .collect()
}

pub fn trials(cells: &[Cell]) -> Vec<TrialRow> {
    let row = |cell: &Cell, trial: &Trial| {
        let o = match trial.record().map(|r| &r.outcome) {
            Some(Outcome::Enas(o)) => Some(o),
            _ => None,
        };
        TrialRow {
            id: trial.id.chars().take(12).collect(),
            cell: cell.name.clone(),
            seed: trial.spec.seed,
            state: state(&trial.state),
            valid: number(o.map(|o| o.valid_error)),
            test: number(o.map(|o| o.test_error)),
            retrained: number(o.and_then(|o| o.retrained_test_error)),
            collapsed: o.map_or(NONE, |o| if collapsed(o) { "yes" } else { "no" }),
            gradient: step(o.and_then(|o| o.first_nonfinite_step)),
            weight: step(o.and_then(|o| o.first_nan_weight_step)),
            bad: o.map_or(NONE.to_owned(), |o| {
                format!("{}/{}", o.genotype.bad_ops(), o.genotype.layers.len())
            }),
        }
    };
    cells
        .iter()
        .flat_map(|c| c.trials.iter().map(move |t| row(c, t)))
        .collect()
}
