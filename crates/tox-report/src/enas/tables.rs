//! The rows of the page's tables: Tables 1 and 2 of the paper, and the control.

use super::cells::{Cell, budget, clean_of, searched};
use super::headline::pair;
use super::paper::{Beside, Paper, Printed};
use crate::page::{NONE, number, show, signed};
use crate::stats::{self, Interval};
use crate::svg::{Ink, Svg};
use minijinja::Value;
use serde::Serialize;
use tox_poison::space::{PoisonSet, SpacePoison};
use tox_search::enas::config::NanPolicy;
use tox_study::record::EnasOutcome;

/// A row of Table 1.
#[derive(Serialize)]
pub struct Row {
    cell: String,
    threat: String,
    share: String,
    seeds: String,
    complete: bool,
    valid: String,
    paper_valid: String,
    test: String,
    paper_test: String,
    above: String,
    retrained: String,
    bar: Value,
}

/// A row of the control: a search beside the random search on the same space.
#[derive(Serialize)]
pub struct Control {
    cell: String,
    threat: String,
    seeds: String,
    complete: bool,
    shared: [String; 3],
    retrained: [String; 3],
}

/// One policy's half of a row of Table 2.
#[derive(Serialize)]
pub struct Half {
    seeds: String,
    complete: bool,
    valid: String,
    test: String,
    collapsed: String,
}

/// A row of Table 2.
#[derive(Serialize)]
pub struct Pair {
    cell: String,
    threat: String,
    paper: String,
    torch: Option<Half>,
    guarded: Option<Half>,
}

/// Stands where the paper has no number of the same poison, data set and learner.
const NOT_COMPARABLE: &str = "n/c";

/// Whether the paper has a number for some cell.
pub fn beside_some(cells: &[Cell], paper: Option<&Paper>) -> bool {
    let has = |p: &Paper| {
        cells
            .iter()
            .any(|c| p.cell(c).printed() != Printed::default())
    };
    paper.is_some_and(has)
}

/// Wilson's interval of a share.
pub fn share(k: usize, n: usize) -> String {
    let (low, high) = stats::wilson(k, n);
    format!("{:.0} to {:.0} %", 100.0 * low, 100.0 * high)
}

/// Whether its poison is the one-shot set.
pub fn one_shot(cell: &Cell) -> bool {
    cell.poison().is_some_and(|p| p.set == PoisonSet::P3Plus)
}

/// Cells without a defence, but for the one-shot sets, the `guarded` twins of others and the
/// random searches.
pub fn table1(cells: &[Cell], paper: Option<&Paper>) -> Vec<Row> {
    let twin = |cell: &Cell| {
        cell.policy() == NanPolicy::Guarded
            && cells.iter().any(|c| {
                c.policy() == NanPolicy::Torch
                    && c.random() == cell.random()
                    && c.spec().threat == cell.spec().threat
            })
    };
    cells
        .iter()
        .filter(|c| !c.screened() && !c.random() && !one_shot(c) && !twin(c))
        .map(|c| row(cells, c, paper))
        .collect()
}

fn row(cells: &[Cell], cell: &Cell, paper: Option<&Paper>) -> Row {
    let beside = paper.map(|p| p.cell(cell));
    let printed = beside.as_ref().map(Beside::printed).unwrap_or_default();
    let apart = matches!(beside, Some(Beside::Not(_)));
    let paper = |v: Option<f64>| match apart {
        true => NOT_COMPARABLE.to_owned(),
        false => number(v),
    };
    let (valid, test) = (cell.valid(), cell.test());
    let clean = clean_of(cells, cell).filter(|_| cell.poison().is_some());
    let above = clean.and_then(|clean| cell.test_above(clean));
    Row {
        cell: cell.name.clone(),
        threat: cell.threat(),
        share: format!("{:.0} %", 100.0 * budget(cell.poison())),
        seeds: cell.seeds(),
        complete: cell.complete(),
        valid: show(valid),
        paper_valid: paper(printed.valid),
        test: show(test),
        paper_test: paper(printed.test),
        above: above.map_or(String::new(), |i| signed(Some(i))),
        retrained: show(cell.retrained()),
        bar: Value::from_safe_string(bar(test, printed.test)),
    }
}

/// Every random search with the search that it is the control of.
pub fn control(cells: &[Cell]) -> Vec<Control> {
    let random = cells.iter().filter(|c| c.random());
    random
        .map(|c| {
            let search = searched(cells, c);
            let beside = |of: fn(&EnasOutcome) -> Option<f64>| {
                [
                    show(search.and_then(|s| s.mean(of))),
                    show(c.mean(of)),
                    signed(search.and_then(|s| s.above(c, of))),
                ]
            };
            Control {
                cell: c.label().to_owned(),
                threat: c.threat(),
                seeds: format!(
                    "{}, {}",
                    search.map_or(NONE.to_owned(), Cell::seeds),
                    c.seeds()
                ),
                complete: c.complete() && search.is_some_and(Cell::complete),
                shared: beside(|o| Some(o.test_error)),
                retrained: beside(|o| o.retrained_test_error),
            }
        })
        .collect()
}

/// The clean cell and those that ran under both policies or hold a one-shot set.
pub fn table2(cells: &[Cell], paper: Option<&Paper>) -> Vec<Pair> {
    let plain = || cells.iter().filter(|c| !c.screened() && !c.random());
    if !plain().any(|c| one_shot(c) || c.policy() == NanPolicy::Guarded) {
        return Vec::new();
    }
    let mut rows: Vec<Pair> = Vec::new();
    let mut seen: Vec<&Cell> = Vec::new();
    for cell in plain() {
        let like = |c: &Cell| c.label() == cell.label() && c.spec().data == cell.spec().data;
        if seen.iter().any(|c| like(c)) {
            continue;
        }
        seen.push(cell);
        let under = |policy| plain().find(|c| like(c) && c.policy() == policy);
        let (torch, guarded) = (under(NanPolicy::Torch), under(NanPolicy::Guarded));
        // Those that the paper's Table 2 has.
        let largest = SpacePoison {
            set: PoisonSet::P3,
            q: 300,
        };
        let poison = cell.poison();
        let in_paper = poison.is_none() || poison == Some(largest) || one_shot(cell);
        if !in_paper && (torch.is_none() || guarded.is_none()) {
            continue;
        }
        // The paper's learner takes NaN as PyTorch does.
        let beside = paper.zip(torch).map(|(p, cell)| p.cell(cell));
        rows.push(Pair {
            cell: cell.label().to_owned(),
            threat: cell.threat(),
            paper: beside.map_or(NONE.to_owned(), |b| pair(&b, NONE, NOT_COMPARABLE)),
            torch: torch.map(half),
            guarded: guarded.map(half),
        });
    }
    rows
}

fn half(cell: &Cell) -> Half {
    let (k, n) = (cell.collapses(), cell.done());
    Half {
        seeds: cell.seeds(),
        complete: cell.complete(),
        valid: show(cell.valid()),
        test: show(cell.test()),
        collapsed: if n == 0 {
            NONE.to_owned()
        } else {
            format!("{k}/{n} ({})", share(k, n))
        },
    }
}

/// A bar for our test error with the paper's as a tick; the numbers stand beside it in the table.
fn bar(test: Option<Interval>, paper: Option<f64>) -> String {
    let mut svg = Svg::new(104.0, 14.0);
    let x = |error: f64| 2.0 + error.clamp(0.0, 100.0);
    svg.line((2.0, 7.0), (102.0, 7.0), Ink::Grid, 1.0, "");
    if let Some(test) = test {
        svg.line((2.0, 7.0), (x(test.mean), 7.0), Ink::Dose(2), 5.0, "");
    }
    if let Some(paper) = paper {
        svg.line((x(paper), 1.0), (x(paper), 13.0), Ink::Text, 1.8, "");
    }
    svg.decoration()
}
