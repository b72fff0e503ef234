//! The rows of the page's tables.

use super::cells::{Cell, doubt};
use super::checks::architectures;
use super::search::{Eaten, Search};
use crate::nas::outcome::NasOutcome;
use minijinja::Value;
use serde::Serialize;
use tox_poison::cleanse::{Against, Cleansed};
use tox_report::columns::{Field, Table, values};
use tox_report::numbers::NONE;
use tox_report::run::Trial;
use tox_report::stats;
use tox_search::nas::diagnostics::Diagnostics;
use tox_study::plan::cell_name;

/// Final accuracies: a table a search.
pub fn grids(searches: &[Search]) -> Vec<Value> {
    values(searches.iter().map(grid))
}

fn grid(search: &Search) -> Table {
    let place = search.cells.iter().find_map(|c| place(c));
    let (of, caption) = match place {
        Some((of, column)) => (thousands(of), format!("{}: {column}", search.title)),
        None => (String::new(), search.title.clone()),
    };
    let draws = search.equal_cost().map_or(0, |(draws, _)| draws);
    let above = |c: &Cell| match draws > 1 {
        true => Field::difference(search.above_equal_cost(c)),
        false => Field::number(""),
    };
    Table::of(caption, &search.cells)
        .column("Data", |c| condition(search, c))
        .column("Seeds", |c| Field::seeds(c))
        .column("Accuracy, %", |c| Field::mean(c.accuracy()))
        .column("Drop from\nclean, points", |c| {
            Field::difference(search.drop(c))
        })
        .column(format!("Median rank\nof {of}"), |c| rank(c))
        .column("Over a random\narchitecture", |c| {
            Field::difference(search.gain(c))
        })
        .column(format!("Over a random\nsearch of {draws}"), |c| above(c))
        .column("Of the clean\ngain, eaten", |c| eaten(search, c))
        .column("Of what anti-\nsearch loses", |c| {
            let share = search.of_anti(c).map(super::findings::eaten);
            Field::number(share.unwrap_or_default())
        })
        .column("Cell", |c| Field::text(label(c)).faint())
        .table()
}

/// What was done to a cell, marked if that is doubtful.
pub fn condition(search: &Search, cell: &Cell) -> Field {
    Field::text(search.condition(cell)).doubt(mark(cell))
}

fn rank(cell: &Cell) -> Field {
    Field::of(
        median_rank(cell).map(|(middle, low, high)| match low == high {
            true => format!("{middle:.0}"),
            false => format!("{middle:.0} ({low} to {high})"),
        }),
    )
}

fn eaten(search: &Search, cell: &Cell) -> Field {
    match search.eaten(cell) {
        Eaten::Share(share) => Field::number(super::findings::eaten(share)),
        Eaten::None(why) if !why.is_empty() && cell.accuracy().is_some() => {
            Field::number("n/a").small(why)
        }
        Eaten::None(_) => Field::number(""),
    }
}

/// The label of a cell, with its variant where that is not just the search.
fn label(cell: &Cell) -> String {
    let variant = cell.spec().variant.as_deref();
    cell_name(cell.label(), variant.filter(|v| *v != cell.kind().kind()))
}

/// Size and column of the table in which a cell's architectures were looked up.
fn place(cell: &Cell) -> Option<(usize, String)> {
    cell.records().find_map(|r| {
        let place = r.outcome.evaluation.as_ref()?.table.as_ref()?;
        Some((place.rank.of, place.column.clone()))
    })
}

/// `15,625`.
fn thousands(n: usize) -> String {
    match n / 1000 {
        0 => n.to_string(),
        k => format!("{k},{:03}", n % 1000),
    }
}

/// Median, least and largest rank of a cell's trials.
pub fn median_rank(cell: &Cell) -> Option<(f64, usize, usize)> {
    let rank = |o: &NasOutcome| Some(o.evaluation.as_ref()?.table.as_ref()?.rank.rank);
    let mut ranks: Vec<usize> = cell.records().filter_map(|r| rank(r.outcome)).collect();
    ranks.sort_unstable();
    let (first, last) = (*ranks.first()?, *ranks.last()?);
    let n = ranks.len();
    let middle = (ranks[(n - 1) / 2] + ranks[n / 2]) as f64 / 2.0;
    Some((middle, first, last))
}

/// Why some trials of a cell are not to be trusted; empty if all are.
pub fn mark(cell: &Cell) -> String {
    let doubts = cell.doubts();
    let reasons: Vec<String> = doubts
        .iter()
        .map(|(seed, why)| format!("seed {seed}: {why}"))
        .collect();
    reasons.join("; ")
}

/// A footnote on doubtful cells.
#[derive(Serialize)]
pub struct Footnote {
    cells: String,
    why: String,
}

/// All footnotes; cells with the same reasons share one.
pub fn footnotes(cells: &[Cell]) -> Vec<Footnote> {
    let mut out: Vec<Footnote> = Vec::new();
    for cell in cells.iter().filter(|c| c.doubtful()) {
        let why = mark(cell);
        match out.iter_mut().find(|f| f.why == why) {
            Some(note) => note.cells = format!("{}, {}", note.cells, cell.name),
            None => out.push(Footnote {
                cells: cell.name.clone(),
                why,
            }),
        }
    }
    out
}

/// Countermeasures beside the same attack without them.
pub fn defended(searches: &[Search]) -> Value {
    let mut rows: Vec<(&Search, &Cell)> = Vec::new();
    for s in searches {
        let defended = s.cells.iter().filter(|c| c.defended());
        rows.extend(defended.map(|c| (s, *c)));
    }
    let accuracy = super::cells::accuracy;
    Table::of("Countermeasures: final accuracy with and without", &rows)
        .column("Search", |(s, _)| Field::text(&s.title))
        .column("Data, countermeasure", |(s, c)| condition(s, c))
        .column("Without", |(s, c)| {
            Field::mean(s.undefended(c).and_then(|w| w.accuracy()))
        })
        .column("With", |(_, c)| Field::mean(c.accuracy()))
        .column("Gained by it", |(s, c)| {
            Field::difference(s.undefended(c).and_then(|w| c.above(w, accuracy)))
        })
        .column("What it did", |(_, c)| Field::long(did(c)))
        .table()
        .value()
}

/// What a countermeasure did, in means over the trials that are done.
fn did(cell: &Cell) -> String {
    let all: Vec<_> = cell
        .records()
        .filter_map(|r| r.outcome.cleansed.first())
        .collect();
    let Some(first) = all.first() else {
        let parts = cell.records().map(|r| r.outcome.parts.len()).max();
        return match parts.filter(|parts| *parts > 0) {
            Some(parts) => format!("the vote of {parts} searches"),
            None => NONE.to_owned(),
        };
    };
    let mean = |of: &dyn Fn(&Cleansed) -> usize| {
        all.iter().map(|c| of(c)).sum::<usize>() as f64 / all.len() as f64
    };
    let changes = [
        ("dropped", mean(&|c| c.dropped)),
        ("relabelled", mean(&|c| c.relabelled)),
        ("images changed", mean(&|c| c.images_changed)),
    ];
    let changes = changes.into_iter().filter(|(_, rows)| *rows > 0.0);
    let changes: Vec<String> = changes
        .map(|(what, rows)| format!("{rows:.0} {what}"))
        .collect();
    let mut text = format!(
        "of {} rows {}",
        first.rows,
        match changes.is_empty() {
            true => "none touched".to_owned(),
            false => changes.join(", "),
        }
    );
    let against: Vec<_> = all.iter().filter_map(|c| c.against).collect();
    let share = |part: &dyn Fn(&Against) -> usize, whole: &dyn Fn(&Against) -> usize| {
        let [part, whole] = [part, whole].map(|of| against.iter().map(of).sum::<usize>());
        (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
    };
    if let Some(recall) = share(&|a| a.caught, &|a| a.poisoned) {
        text += &format!("; {recall:.0} % of the poison touched");
    }
    if let Some(precision) = share(&|a| a.caught, &|a| a.caught + a.clean_touched) {
        text += &format!(", {precision:.0} % of the touched rows were poison");
    }
    if let Some(restored) = share(&|a| a.restored, &|a| a.flipped) {
        text += &format!("; {restored:.0} % of the flipped labels restored");
    }
    text
}

/// How many different architectures each search found, and of which ops; `paper` asks for those that the
/// paper's searches found.
pub fn found(searches: &[Search], paper: bool) -> Vec<Value> {
    let of = |s: &Search| {
        let rows: Vec<&Cell> = s.cells.iter().copied().filter(|c| c.done() > 0).collect();
        let first = rows.iter().find_map(|c| c.records().next())?;
        let kinds = first.outcome.genotype.kinds();
        let caption = format!("{}: edges by op, mean over seeds", s.title);
        let mut table = Table::of(caption, &rows)
            .column("Data", |c| condition(s, c))
            .column("Different", |c| {
                Field::number(format!("{} of {}", architectures(s, c).0, c.done()))
            })
            .column("As clean,\nsame seed", |c| {
                let (_, same, twins) = architectures(s, c);
                Field::of((twins > 0).then(|| format!("{same} of {twins}")))
            });
        let several = kinds.len() > 1;
        for (k, (kind, ops)) in kinds.iter().enumerate() {
            for (i, op) in ops.iter().enumerate() {
                let mean = |c: &Cell| super::ops::means(c).get(k)?.get(i).copied();
                table = table.column(op.replace('_', " "), |c| {
                    Field::of(mean(c).map(|n| format!("{n:.2}")))
                });
                if several {
                    table = table.group(format!("{kind} cell"));
                }
            }
        }
        table = table.column("Normal: skip/\npool/sep/dil", |c| {
            Field::of(super::ops::grouped(c))
        });
        if paper {
            table = table.column("Paper", |c| {
                let printed = super::ops::printed(s, c);
                let known = super::ops::grouped(c);
                let known = known.map(|_| printed.unwrap_or_else(|| "n/c".to_owned()));
                Field::of(known).faint()
            });
        }
        Some(table.table())
    };
    values(searches.iter().filter_map(of))
}

/// Mean of numbers, and below it the range where there are several.
fn range(values: &[f64], decimals: usize, sign: bool) -> Field {
    let Some(mean) = stats::mean(values) else {
        return Field::number("");
    };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let text = |v: f64| match sign {
        true => format!("{v:+.decimals$}"),
        false => format!("{v:.decimals$}"),
    };
    match values.len() {
        1 => Field::number(text(mean.mean)),
        _ => Field::number(text(mean.mean)).small(format!("{} to {}", text(low), text(high))),
    }
}

/// Diagnostics of poisoned trials: a table a search that has any.
pub fn signals(searches: &[Search]) -> Vec<Value> {
    let of = |s: &Search| {
        let rows = s.cells.iter().copied();
        let poisoned = |c: &&Cell| c.records().any(|r| r.outcome.diagnostics.is_some());
        let rows: Vec<&Cell> = rows.filter(poisoned).collect();
        let mut names: Vec<&str> = Vec::new();
        for record in rows.iter().flat_map(|c| c.records()) {
            for change in record.outcome.diagnostics.iter().flat_map(|d| &d.changes) {
                if !names.contains(&change.name.as_str()) {
                    names.push(&change.name);
                }
            }
        }
        let numbers = |c: &Cell, of: &dyn Fn(&Diagnostics) -> Option<f64>| -> Vec<f64> {
            let all = c.records().filter_map(|r| r.outcome.diagnostics.as_ref());
            all.filter_map(of).collect()
        };
        let percent =
            |d: &Diagnostics, name: &str| d.changes.iter().find(|c| c.name == name)?.percent();
        let mut table = Table::of(&s.title, &rows)
            .column("Data", |c| condition(s, c))
            .column("cosine of the alphas’ gradients", |c| {
                range(&numbers(c, &|d| d.alpha_cosine), 3, false)
            });
        for name in names {
            table = table.column(format!("{}, %", name.replace('_', " ")), |c| {
                range(&numbers(c, &|d| percent(d, name)), 1, true)
            });
        }
        table.table()
    };
    values(searches.iter().map(of).filter(|t| t.columns() > 1))
}

/// Every planned trial.
pub fn trials(searches: &[Search]) -> Value {
    let mut rows: Vec<(&Search, &Cell, &Trial, Option<&NasOutcome>)> = Vec::new();
    for s in searches {
        for cell in &s.cells {
            rows.extend(cell.trials.iter().map(|t| (s, *cell, *t, t.outcome())));
        }
    }
    let place = |o: &NasOutcome| Some(o.evaluation.as_ref()?.table.as_ref()?.rank.rank);
    Table::of("Every trial", &rows)
        .column("Cell", |(_, c, _, o)| {
            Field::text(&c.name).doubt(o.and_then(doubt).unwrap_or_default())
        })
        .column("Data", |(s, c, ..)| Field::text(s.condition(c)))
        .column("Seed", |(.., t, _)| Field::of(Some(t.spec.seed)))
        .column("Trial", |(.., t, _)| Field::text(t.short_id()).code())
        .column("Accuracy", |(.., o)| {
            Field::value(o.and_then(super::cells::accuracy))
        })
        .column("Rank", |(.., o)| Field::of(o.and_then(place)))
        .column("Architecture", |(.., o)| {
            Field::of(o.map(|o| o.genotype.to_string())).code().tiny()
        })
        .column("State", |(.., t, _)| Field::state(&t.state))
        .table()
        .value()
}
