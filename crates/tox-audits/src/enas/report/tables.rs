//! The rows of the page's tables: Tables 1 and 2 of the paper, and the control.

use super::cells::{Cell, POLICIES, budget, clean_of, same_setting, searched};
use super::paper::{Beside, Paper, Printed};
use crate::enas::outcome::EnasOutcome;
use minijinja::Value;
use tox_poison::space::{PoisonSet, SpacePoison};
use tox_report::columns::{Field, Table};
use tox_report::numbers::NONE;
use tox_report::stats::{self, Interval};
use tox_report::svg::{Ink, Svg};
use tox_search::enas::config::NanPolicy;

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
    cell.of_set(PoisonSet::P3Plus)
}

/// Cells without a defence, but for the one-shot sets, the `guarded` twins of others and the
/// random searches.
pub fn table1(cells: &[Cell], paper: Option<&Paper>) -> Value {
    let twin = |cell: &Cell| {
        cell.guarded()
            && cells.iter().any(|c| {
                !c.guarded()
                    && c.random() == cell.random()
                    && c.spec().threat == cell.spec().threat
                    && same_setting(c, cell)
            })
    };
    let rows: Vec<&Cell> = cells
        .iter()
        .filter(|c| !c.screened() && !c.random() && !one_shot(c) && !twin(c))
        .collect();
    let paper = paper.filter(|p| beside_some(cells, Some(p)));
    let beside = |c: &Cell, of: fn(Printed) -> Option<f64>| match paper.map(|p| p.cell(c)) {
        Some(Beside::Not(_)) => Field::number(NOT_COMPARABLE).faint(),
        Some(beside @ Beside::Printed(..)) => Field::value(of(beside.printed())).faint(),
        None => Field::number(""),
    };
    let printed = |c: &Cell| paper.and_then(|p| p.cell(c).printed().test);
    let above = |c: &Cell| {
        let clean = clean_of(cells, c).filter(|_| !c.unpoisoned());
        clean.and_then(|clean| c.test_above(clean))
    };
    let bars = match paper {
        Some(_) => "Test error, 0 to 100\n(tick: paper)",
        None => "Test error, 0 to 100",
    };
    Table::of(
        "Table 1. Error of the network found, shared weights, percent",
        &rows,
    )
    .column("Cell", |c| Field::text(&c.name))
    .column("Threat", |c| Field::text(c.threat()))
    .column("Bad\nbranches", |c| {
        Field::number(format!(
            "{:.0} %",
            100.0 * budget(c.poison().as_ref(), c.config)
        ))
    })
    .column("Seeds", |c| Field::seeds(c))
    .column("ours", |c| Field::mean(c.valid()))
    .group("Validation")
    .column("paper", |c| beside(c, |p| p.valid))
    .group("Validation")
    .column("ours", |c| Field::mean(c.test()))
    .group("Test")
    .column("above clean", |c| Field::difference(above(c)))
    .group("Test")
    .column("paper", |c| beside(c, |p| p.test))
    .group("Test")
    .column(bars, |c| Field::drawing(bar(c.test(), printed(c))))
    .column("Test,\nretrained", |c| Field::mean(c.retrained()))
    .table()
    .value()
}

/// Every random search with the search that it is the control of.
pub fn control(cells: &[Cell]) -> Value {
    let random = cells.iter().filter(|c| c.random());
    let rows: Vec<(&Cell, Option<&Cell>)> = random.map(|c| (c, searched(cells, c))).collect();
    let named: Vec<&Cell> = rows.iter().map(|(c, _)| *c).collect();
    let seeds = |(c, search): &(&Cell, Option<&Cell>)| {
        let of_search = search.map_or(NONE.to_owned(), |s| s.seeds());
        let complete = c.complete() && search.is_some_and(|s| s.complete());
        let field = Field::number(format!("{of_search}, {}", c.seeds()));
        field.warning(if complete { "" } else { "incomplete" })
    };
    let mut table = Table::of("Control: random search. Test error, percent", &rows)
        .column("Cell", |(c, _)| Field::text(c.told(&named)))
        .column("Threat", |(c, _)| Field::text(c.threat()))
        .column("Seeds\nsearch, random", seeds);
    type Of = fn(&EnasOutcome) -> Option<f64>;
    let halves: [(&str, Of); 2] = [
        ("Shared weights", |o| Some(o.test_error)),
        ("Retrained", |o| o.retrained_test_error),
    ];
    for (group, of) in halves {
        table = table
            .column("search", |(_, search)| {
                Field::mean(search.and_then(|s| s.mean(of)))
            })
            .group(group)
            .column("random", |(c, _)| Field::mean(c.mean(of)))
            .group(group)
            .column("search over random", |(c, search)| {
                Field::difference(search.and_then(|s| s.above(c, of)))
            })
            .group(group);
    }
    table.table().value()
}

/// The clean cell and those that ran under both policies or hold a one-shot set.
pub fn table2(cells: &[Cell], paper: Option<&Paper>) -> Value {
    let plain = || cells.iter().filter(|c| !c.screened() && !c.random());
    if !plain().any(|c| one_shot(c) || c.policy() != NanPolicy::Torch) {
        return Value::from(false);
    }
    let old = plain().any(|c| c.policy() == NanPolicy::Torch19);
    let policies = || {
        POLICIES
            .into_iter()
            .filter(|p| old || *p != NanPolicy::Torch19)
    };
    /// A cell, and its trials under each policy.
    type Row<'c, 'a> = (&'c Cell<'a>, Vec<Option<&'c Cell<'a>>>);
    let mut rows: Vec<Row> = Vec::new();
    let mut seen: Vec<&Cell> = Vec::new();
    for cell in plain() {
        // Variants that differ in more than the policy are rows of their own.
        let like = |c: &Cell| {
            c.label() == cell.label()
                && c.spec().threat == cell.spec().threat
                && same_setting(c, cell)
        };
        if seen.iter().any(|c| like(c)) {
            continue;
        }
        seen.push(cell);
        let under = |policy| plain().find(|c| like(c) && c.policy() == policy);
        let each: Vec<_> = policies().map(under).collect();
        // Those that the paper's Table 2 has.
        let largest = SpacePoison {
            set: PoisonSet::P3.into(),
            q: 300,
        };
        let poison = cell.poison();
        let in_paper = poison.is_none() || poison == Some(largest) || one_shot(cell);
        if in_paper || each.iter().flatten().count() > 1 {
            rows.push((cell, each));
        }
    }
    let named: Vec<&Cell> = rows.iter().map(|(cell, _)| *cell).collect();
    let paper = paper.filter(|p| beside_some(cells, Some(p)));
    // The paper's learner takes NaN as PyTorch does.
    let printed = |each: &[Option<&Cell>]| match paper {
        Some(paper) => {
            let torch = each.iter().flatten().find(|c| !c.guarded());
            let beside = torch.map(|c| paper.cell(c));
            let text = beside.map_or(NONE.to_owned(), |b| b.pair(NONE, NOT_COMPARABLE));
            Field::number(text).faint()
        }
        None => Field::number(""),
    };
    let of = if old { "the" } else { "both" };
    let title =
        format!("Table 2. One-shot poisoning under {of} NaN policies, shared weights, percent");
    let mut table = Table::of(&title, &rows)
        .column("Cell", |(c, _)| Field::text(c.told(&named)))
        .column("Threat", |(c, _)| Field::text(c.threat()))
        .column("Paper\nvalid. / test", |(_, each)| printed(each));
    for (i, policy) in policies().enumerate() {
        let group = match policy {
            NanPolicy::Torch => "torch: a NaN step is taken",
            NanPolicy::Torch19 => "torch-1.9: it is taken unclipped",
            NanPolicy::Guarded => "guarded: it is skipped",
        };
        table = table
            .column("seeds", |(_, each)| match each[i] {
                Some(c) => Field::seeds(c),
                None => Field::number("not planned").faint(),
            })
            .group(group)
            .column("validation", |(_, each)| {
                Field::mean(each[i].and_then(Cell::valid))
            })
            .group(group)
            .column("test", |(_, each)| {
                Field::mean(each[i].and_then(Cell::test))
            })
            .group(group)
            .column("collapsed (95 %)", |(_, each)| {
                Field::of(each[i].and_then(collapsed))
            })
            .group(group);
    }
    table.table().value()
}

/// Trials that collapsed of those done, and the interval of their share.
fn collapsed(cell: &Cell) -> Option<String> {
    let (k, n) = (cell.collapses(), cell.done());
    (n > 0).then(|| format!("{k}/{n} ({})", share(k, n)))
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
