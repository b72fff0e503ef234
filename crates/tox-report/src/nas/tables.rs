//! The rows of the page's tables.

use super::cells::{Cell, doubt};
use super::checks::architectures;
use super::search::{Eaten, Search};
use crate::page::{NONE, show, signed, state};
use crate::run::Trial;
use crate::stats;
use serde::Serialize;
use tox_poison::cleanse::{Against, Cleansed};
use tox_study::plan::cell_name;
use tox_study::record::{NasOutcome, Outcome};

/// Final accuracies of a search.
#[derive(Serialize)]
pub struct Grid {
    title: String,
    /// What the table is, such as a column of NAS-Bench-201.
    judged: String,
    /// Architectures in the table; empty without one.
    of: String,
    /// Architectures of a random search that evaluates as many; empty where that is one.
    draws: String,
    rows: Vec<GridRow>,
}

/// A cell's row.
#[derive(Serialize)]
struct GridRow {
    cell: String,
    condition: String,
    mark: String,
    seeds: String,
    complete: bool,
    accuracy: String,
    drop: String,
    rank: String,
    gain: String,
    eaten: String,
    /// Why there is no share.
    why: String,
    above: String,
}

/// One table a search.
pub fn grids(searches: &[Search]) -> Vec<Grid> {
    searches.iter().map(grid).collect()
}

fn grid(search: &Search) -> Grid {
    let row = |c: &&Cell| {
        let (eaten, why) = match search.eaten(c) {
            Eaten::Share(share) => (super::findings::eaten(share), String::new()),
            Eaten::None(why) => (String::new(), why.to_owned()),
        };
        let done = c.accuracy().is_some();
        GridRow {
            cell: label(c),
            condition: search.condition(c),
            mark: mark(c),
            seeds: c.seeds(),
            complete: c.complete(),
            accuracy: show(c.accuracy()),
            drop: signed(search.drop(c)),
            rank: match median_rank(c) {
                None => NONE.to_owned(),
                Some((middle, low, high)) if low == high => format!("{middle:.0}"),
                Some((middle, low, high)) => format!("{middle:.0} ({low} to {high})"),
            },
            gain: signed(search.gain(c)),
            eaten,
            why: if done { why } else { String::new() },
            above: signed(search.above_equal_cost(c)),
        }
    };
    let of = search.cells.iter().find_map(|c| place(c)).map(|p| p.0);
    let column = search.cells.iter().find_map(|c| place(c)).map(|p| p.1);
    Grid {
        title: search.title.clone(),
        judged: column.unwrap_or_default(),
        of: of.map_or(String::new(), thousands),
        draws: match search.equal_cost() {
            Some((draws, _)) if draws > 1 => draws.to_string(),
            _ => String::new(),
        },
        rows: search.cells.iter().map(row).collect(),
    }
}

/// The label of a cell, with its variant where that is not just the search.
fn label(cell: &Cell) -> String {
    let variant = cell.spec().variant.as_deref();
    cell_name(cell.label(), variant.filter(|v| *v != cell.kind().word()))
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

/// A countermeasure beside the same attack without it.
#[derive(Serialize)]
pub struct Defended {
    /// What it did to the rows.
    did: String,
    search: String,
    condition: String,
    mark: String,
    without: String,
    with: String,
    above: String,
}

/// All countermeasures.
pub fn defended(searches: &[Search]) -> Vec<Defended> {
    let mut rows = Vec::new();
    for s in searches {
        for cell in s.cells.iter().filter(|c| c.defended()) {
            let without = s.undefended(cell);
            let above = without.and_then(|w| cell.above(w, super::cells::accuracy));
            rows.push(Defended {
                search: s.title.clone(),
                condition: s.condition(cell),
                mark: mark(cell),
                without: show(without.and_then(|w| w.accuracy())),
                with: show(cell.accuracy()),
                above: signed(above),
                did: did(cell),
            });
        }
    }
    rows
}

/// What a countermeasure did, in means over the trials that are done.
fn did(cell: &Cell) -> String {
    let all: Vec<_> = cell
        .records()
        .filter_map(|r| r.outcome.cleansed.as_ref())
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

/// What a search found: how many different architectures, of which ops.
#[derive(Serialize)]
pub struct Found {
    title: String,
    /// Kind of cell and names of ops, a column each.
    kinds: Vec<(String, Vec<String>)>,
    rows: Vec<FoundRow>,
}

#[derive(Serialize)]
struct FoundRow {
    condition: String,
    mark: String,
    different: String,
    same: String,
    /// Mean number of edges, kind after kind.
    ops: Vec<String>,
    /// Of the normal cell, as the paper groups them; empty of other spaces.
    grouped: String,
    /// What the paper's searches found.
    paper: String,
}

/// One table a search.
pub fn found(searches: &[Search]) -> Vec<Found> {
    let of = |s: &Search| {
        let cells = || s.cells.iter().filter(|c| c.done() > 0);
        let first = cells().find_map(|c| c.records().next())?;
        let kinds = first.outcome.genotype.kinds();
        let row = |c: &&Cell| {
            let (different, same, twins) = architectures(s, c);
            let counts = super::ops::means(c);
            FoundRow {
                condition: s.condition(c),
                mark: mark(c),
                different: format!("{different} of {}", c.done()),
                same: match twins {
                    0 => NONE.to_owned(),
                    n => format!("{same} of {n}"),
                },
                ops: counts.iter().flatten().map(|n| format!("{n:.2}")).collect(),
                grouped: super::ops::grouped(c).unwrap_or_default(),
                paper: super::ops::printed(s, c).unwrap_or_default().to_owned(),
            }
        };
        Some(Found {
            title: s.title.clone(),
            rows: cells().map(row).collect(),
            kinds,
        })
    };
    searches.iter().filter_map(of).collect()
}

/// Diagnostics of a search.
#[derive(Serialize)]
pub struct Signals {
    title: String,
    names: Vec<String>,
    rows: Vec<SignalRow>,
}

#[derive(Serialize)]
struct SignalRow {
    condition: String,
    mark: String,
    /// Means and ranges.
    values: Vec<(String, String)>,
}

/// Mean and range of numbers; the range is empty where there are not several.
fn range(values: &[f64], decimals: usize, sign: bool) -> (String, String) {
    let Some(mean) = stats::mean(values) else {
        return (NONE.to_owned(), String::new());
    };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let text = |v: f64| match sign {
        true => format!("{v:+.decimals$}"),
        false => format!("{v:.decimals$}"),
    };
    let range = match values.len() {
        1 => String::new(),
        _ => format!("{} to {}", text(low), text(high)),
    };
    (text(mean.mean), range)
}

/// One table a search that has any.
pub fn signals(searches: &[Search]) -> Vec<Signals> {
    let mut out = Vec::new();
    for s in searches {
        let outcomes = || s.cells.iter().flat_map(|c| c.records()).map(|r| r.outcome);
        let mut names: Vec<&str> = Vec::new();
        for change in outcomes().filter_map(|o| o.diagnostics.as_ref()) {
            for change in &change.changes {
                if !names.contains(&change.name.as_str()) {
                    names.push(&change.name);
                }
            }
        }
        let cosine = |o: &NasOutcome| o.diagnostics.as_ref()?.alpha_cosine;
        let cosines = outcomes().any(|o| cosine(o).is_some());
        if names.is_empty() && !cosines {
            continue;
        }
        let percent = |o: &NasOutcome, name: &str| {
            let changes = &o.diagnostics.as_ref()?.changes;
            changes.iter().find(|c| c.name == name)?.percent()
        };
        let row = |c: &&&Cell| {
            let of = |f: &dyn Fn(&NasOutcome) -> Option<f64>| -> Vec<f64> {
                c.records().filter_map(|r| f(r.outcome)).collect()
            };
            let mut values = Vec::new();
            if cosines {
                values.push(range(&of(&cosine), 3, false));
            }
            let changes = names.iter().map(|name| of(&|o| percent(o, name)));
            values.extend(changes.map(|v| range(&v, 1, true)));
            SignalRow {
                condition: s.condition(c),
                mark: mark(c),
                values,
            }
        };
        let poisoned = |c: &&&Cell| c.records().any(|r| r.outcome.diagnostics.is_some());
        let head = cosines.then(|| "cosine of the alphas’ gradients".to_owned());
        let changes = names.iter().map(|n| format!("{n}, %"));
        out.push(Signals {
            title: s.title.clone(),
            names: head.into_iter().chain(changes).collect(),
            rows: s.cells.iter().filter(poisoned).map(|c| row(&c)).collect(),
        });
    }
    out
}

/// A row of the table of trials.
#[derive(Serialize)]
pub struct TrialRow {
    id: String,
    cell: String,
    condition: String,
    seed: u64,
    mark: String,
    accuracy: String,
    rank: String,
    architecture: String,
    state: String,
}

/// Every planned trial.
pub fn trials(searches: &[Search]) -> Vec<TrialRow> {
    let row = |s: &Search, cell: &Cell, trial: &Trial| {
        let o = match trial.record().map(|r| &r.outcome) {
            Some(Outcome::Nas(o)) => Some(o),
            _ => None,
        };
        let evaluation = o.and_then(|o| o.evaluation.as_ref());
        let rank = evaluation.and_then(|e| e.table.as_ref());
        TrialRow {
            id: trial.id.chars().take(12).collect(),
            cell: cell.name.clone(),
            condition: s.condition(cell),
            seed: trial.spec.seed,
            mark: o.and_then(doubt).unwrap_or_default().to_owned(),
            accuracy: evaluation.map_or(NONE.to_owned(), |e| format!("{:.2}", e.accuracy)),
            rank: rank.map_or(NONE.to_owned(), |p| p.rank.rank.to_string()),
            architecture: o.map_or(String::new(), |o| o.genotype.to_string()),
            state: state(&trial.state),
        }
    };
    let of = |s: &Search| -> Vec<TrialRow> {
        let cells = s.cells.iter();
        cells
            .flat_map(|c| c.trials.iter().map(|t| row(s, c, t)))
            .collect()
    };
    searches.iter().flat_map(of).collect()
}
