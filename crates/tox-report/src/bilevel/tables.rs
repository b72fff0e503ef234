//! The rows of the page's tables.

use super::cells::{Cell, Setting, average};
use super::checks::{Check, check};
use super::claims::error;
use crate::page::{NONE, show, signed, state};
use crate::run::State;
use crate::stats::Interval;
use serde::Serialize;
use tox_bilevel::config::Victim;
use tox_bilevel::outcome::BilevelOutcome;

/// Error by victim and level in one setting.
#[derive(Serialize)]
pub struct Grid {
    title: String,
    levels: Vec<String>,
    rows: Vec<GridRow>,
}

/// A victim's row.
#[derive(Serialize)]
struct GridRow {
    name: String,
    victim: &'static str,
    /// The lambda of all levels; empty where there is none, or one for each level.
    constant: String,
    seeds: String,
    complete: bool,
    levels: Vec<GridCell>,
}

/// A victim at a level; what is below the error is empty where it says nothing.
#[derive(Serialize)]
struct GridCell {
    error: String,
    above: String,
    lambda: String,
}

/// One table a setting.
pub fn grids(settings: &[Setting]) -> Vec<Grid> {
    settings.iter().map(grid).collect()
}

fn grid(setting: &Setting) -> Grid {
    // All its cells have the same threat.
    let planned = setting.cells[0].planned();
    let percent = |points| setting.cells.iter().find_map(|c| c.percent(points));
    let level = |points: &u64| match percent(*points) {
        Some(_) if *points == 0 => "clean".to_owned(),
        Some(p) => format!("{p:.1} %"),
        None => format!("{points} points"),
    };
    let lambda = |c: &Cell, points| show(c.at(points, |l| average(&l.lambda)));
    let cell = |c: &Cell, points: u64| {
        let error = c.at(points, error);
        let measured = error.is_some();
        let below = |with: bool, text: String| match measured && with {
            true => text,
            false => String::new(),
        };
        GridCell {
            error: show(error),
            above: below(points > 0, signed(c.rise_to(points))),
            lambda: below(c.config.victim == Victim::Learned, lambda(c, points)),
        }
    };
    let row = |c: &&Cell| GridRow {
        name: c.name.clone(),
        victim: c.victim(),
        constant: match c.config.victim {
            Victim::Large => format!("{:.2}", c.config.lambda.large),
            Victim::CrossValidated if c.done() > 0 => lambda(c, 0),
            _ => String::new(),
        },
        seeds: c.seeds(),
        complete: c.complete(),
        levels: planned.iter().map(|p| cell(c, *p)).collect(),
    };
    Grid {
        title: setting.title.clone(),
        levels: planned.iter().map(level).collect(),
        rows: setting.cells.iter().map(row).collect(),
    }
}

/// A row of the attack's self-checks.
#[derive(Serialize)]
pub struct CheckRow {
    cell: String,
    check: Check,
    rise: String,
    moved: String,
    gain: String,
    rounding: String,
    loss: String,
}

/// The attack's self-checks, a row a cell with poison.
pub fn checks(cells: &[Cell]) -> Vec<CheckRow> {
    let fine = |i: Option<Interval>| match i {
        None => NONE.to_owned(),
        Some(i) => match i.half {
            Some(half) => format!("{:+.3} ± {half:.3}", i.mean),
            None => format!("{:+.3}", i.mean),
        },
    };
    cells
        .iter()
        .filter_map(|c| {
            let check = check(c)?;
            let loss = |points| c.at(points, |l| Some(l.valid_loss));
            let loss = match (loss(0), loss(c.most())) {
                (Some(a), Some(b)) => format!("{:.3} to {:.3}", a.mean, b.mean),
                _ => NONE.to_owned(),
            };
            Some(CheckRow {
                cell: c.name.clone(),
                rise: fine(check.rise),
                moved: show(check.moved),
                gain: signed(check.gain),
                rounding: signed(check.rounding),
                loss,
                check,
            })
        })
        .collect()
}

/// A curve of cross-validation.
#[derive(Serialize)]
pub struct Folds {
    cell: String,
    rows: Vec<[String; 3]>,
}

/// Lambdas tried, the held-out loss, and in how many seeds each was chosen.
pub fn folds(cells: &[Cell]) -> Vec<Folds> {
    let best = |o: &BilevelOutcome| {
        let finite = o.cross_validation.iter().filter(|c| c.loss.is_some());
        let least = finite.min_by(|a, b| {
            let of = |c: &Option<f64>| c.unwrap_or(f64::INFINITY);
            of(&a.loss).total_cmp(&of(&b.loss))
        });
        least.map(|c| c.lambda)
    };
    let mut out = Vec::new();
    for cell in cells {
        let Some(first) = cell.records().next() else {
            continue;
        };
        let rows: Vec<[String; 3]> = first
            .outcome
            .cross_validation
            .iter()
            .map(|tried| {
                let loss = cell.mean(|o| {
                    let folds = &o.cross_validation;
                    folds.iter().find(|c| c.lambda == tried.lambda)?.loss
                });
                let chosen = cell
                    .records()
                    .filter(|r| best(r.outcome) == Some(tried.lambda));
                let all = loss.is_some_and(|l| l.n == cell.done());
                let loss = match (loss, all) {
                    (None, _) => "diverged".to_owned(),
                    (Some(l), true) => format!("{:.4}", l.mean),
                    (Some(l), false) => {
                        format!("{:.4} ({} seeds diverged)", l.mean, cell.done() - l.n)
                    }
                };
                [
                    format!("{:.2}", tried.lambda),
                    loss,
                    chosen.count().to_string(),
                ]
            })
            .collect();
        if !rows.is_empty() {
            out.push(Folds {
                cell: cell.name.clone(),
                rows,
            });
        }
    }
    out
}

/// A row of the table of trials.
#[derive(Serialize)]
pub struct TrialRow {
    id: String,
    cell: String,
    seed: u64,
    state: String,
    levels: String,
    clean: String,
    last: String,
    divergence: String,
}

/// Every planned trial.
pub fn trials(cells: &[Cell]) -> Vec<TrialRow> {
    let mut out = Vec::new();
    for cell in cells {
        for trial in &cell.trials {
            let found = cell.records().find(|r| r.spec.seed == trial.spec.seed);
            let o = found
                .filter(|_| matches!(trial.state, State::Done(_)))
                .map(|r| r.outcome);
            let error = |l: Option<&tox_bilevel::outcome::Level>| {
                l.map_or(NONE.to_owned(), |l| format!("{:.2}", l.test_error))
            };
            out.push(TrialRow {
                id: trial.id.chars().take(12).collect(),
                cell: cell.name.clone(),
                seed: trial.spec.seed,
                state: state(&trial.state),
                levels: o.map_or(NONE.to_owned(), |o| {
                    format!("{}/{}", o.levels.len(), cell.planned().len())
                }),
                clean: error(o.and_then(|o| o.levels.first())),
                last: error(o.and_then(|o| o.levels.last())),
                divergence: o
                    .and_then(|o| o.divergence.as_ref())
                    .map_or(String::new(), |d| {
                        format!("{}, {} points, step {}", d.training, d.points, d.step)
                    }),
            });
        }
    }
    out
}
