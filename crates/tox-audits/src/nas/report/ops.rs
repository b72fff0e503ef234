//! Which ops the found cells have.

use super::cells::{Cell, MARK};
use super::search::Search;
use serde::Deserialize;
use tox_report::figure::{Figure, short};
use tox_report::svg::{Anchor, Ink, Svg};
use tox_search::genes::Architecture;
use tox_search::nas::NasSpace;
use tox_search::space::cells::{CellGenotype, CellSpace};

/// Mean number of edges with each op, by kind of cell, over the trials that are done.
pub fn means(cell: &Cell) -> Vec<Vec<f64>> {
    let counts: Vec<Vec<Vec<usize>>> = cell
        .records()
        .map(|r| r.outcome.genotype.op_counts())
        .collect();
    let Some(first) = counts.first() else {
        return Vec::new();
    };
    let mean = |kind: usize, op: usize| {
        let found = counts.iter().filter_map(|c| c.get(kind)?.get(op));
        found.sum::<usize>() as f64 / counts.len() as f64
    };
    first
        .iter()
        .enumerate()
        .map(|(kind, ops)| (0..ops.len()).map(|op| mean(kind, op)).collect())
        .collect()
}

/// How the paper groups the ops of the DARTS space.
const GROUPS: [&str; 4] = ["skip", "pool", "sep", "dil"];

/// Edges of the normal cell by group, `skip/pool/sep/dil`, as the paper prints them; `None` of other
/// spaces.
pub fn grouped(cell: &Cell) -> Option<String> {
    let first = &cell.records().next()?.outcome.genotype;
    if !matches!(first, Architecture::Cell(CellGenotype::Darts(_))) {
        return None;
    }
    let names = CellSpace::Darts.ops();
    let counts = means(cell);
    let normal = counts.first()?;
    let groups = GROUPS.map(|group| {
        let of = names.iter().zip(normal).filter(|(n, _)| n.contains(group));
        let text = format!("{:.2}", of.map(|(_, count)| count).sum::<f64>());
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    });
    Some(groups.join("/"))
}

/// The paper's numbers.
pub const PAPER: &str = include_str!("paper.toml");

#[derive(Deserialize)]
struct Published {
    found: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    search: String,
    threat: String,
    data: Option<String>,
    budget: Option<f64>,
    ops: String,
}

/// What four searches of the paper found under the same condition: P-DARTS in the DARTS space.
pub fn printed(search: &Search, cell: &Cell) -> Option<String> {
    let spec = cell.spec();
    if search.config.space != NasSpace::Darts || cell.defended() || spec.data.classes.is_some() {
        return None;
    }
    let threat = spec.threat.data.as_ref();
    let kind = threat.map_or("none", |t| t.kind.as_str());
    let published: Published = toml::from_str(PAPER).ok()?;
    let same = |f: &Found| {
        f.search == search.config.search.kind()
            && f.threat == kind
            && f.data
                .as_ref()
                .is_none_or(|data| *data == spec.data.dataset)
            && (threat.is_none() || f.budget == cell.budget())
    };
    let mut found = published.found.into_iter();
    found.find(same).map(|f| f.ops)
}

/// Ink and strength of an op's bar: a colour a group, two strengths within it.
fn look(name: &str) -> (Ink, f64) {
    match name {
        "none" => (Ink::Grid, 1.0),
        n if n.contains("skip") => (Ink::Dose(0), 0.9),
        "avg_pool_3x3" => (Ink::Clean, 0.45),
        n if n.contains("pool") => (Ink::Clean, 0.95),
        n if n.contains("dil") && n.contains('5') => (Ink::Dose(2), 0.95),
        n if n.contains("dil") => (Ink::Dose(2), 0.45),
        n if n.contains("5x5") || n == "nor_conv_3x3" => (Ink::GoodLine, 0.95),
        n if n.contains("conv") => (Ink::GoodLine, 0.45),
        _ => (Ink::Muted, 0.6),
    }
}

/// An op's name without what all have.
fn brief(name: &str) -> String {
    let name = name.replace("nor_conv", "conv").replace("_connect", "");
    name.replace("_conv", "").replace('_', " ")
}

/// Stacked bars of the mean number of edges with each op, a row a cell.
pub fn figure(searches: &[Search]) -> Figure {
    let mut panels = Vec::new();
    for s in searches {
        // No data changes an architecture that is random or given.
        let same = |c: &&Cell| !s.searches() && !s.is_clean(c);
        let cells = s.cells.iter().copied().filter(|c| c.done() > 0);
        let cells: Vec<&Cell> = cells.filter(|c| !same(c)).collect();
        let Some(first) = cells.iter().find_map(|c| c.records().next()) else {
            continue;
        };
        let kinds = first.outcome.genotype.kinds();
        for (at, (kind, ops)) in kinds.iter().enumerate() {
            let title = match kinds.len() {
                1 => s.title.clone(),
                _ => format!("{}, {kind} cell", s.title),
            };
            let rows: Vec<(String, Vec<f64>)> = cells
                .iter()
                .filter_map(|c| {
                    let counts = means(c).into_iter().nth(at)?;
                    Some((c.marked(&short(&s.condition(c))), counts))
                })
                .collect();
            panels.push(draw(&title, ops, &rows));
        }
    }
    Figure {
        name: "ops",
        title: "Ops of the found cells",
        caption: format!(
            "Edges of the found cell by their op, mean over seeds. A colour for each group of ops. \
             {MARK}: the attack failed its own check in some trial."
        ),
        panels,
    }
}

fn draw(title: &str, ops: &[String], rows: &[(String, Vec<f64>)]) -> Svg {
    let (left, top, row, width) = (128.0, 30.0, 19.0, 200.0);
    let all = rows.iter().map(|(_, c)| c.iter().sum::<f64>());
    let edges = all.fold(1.0, f64::max);
    let bottom = top + row * rows.len() as f64;
    // Two names a line.
    let lines = ops.len().div_ceil(2) as f64;
    let mut svg = Svg::new(344.0, bottom + 14.0 + 15.0 * lines);
    svg.bold((8.0, 18.0), 13.0, Anchor::Start, Ink::Text, title);
    for (i, (name, counts)) in rows.iter().enumerate() {
        let y = top + row * i as f64;
        let middle = y + row / 2.0 + 3.0;
        svg.text((left - 8.0, middle), 10.5, Anchor::End, Ink::Text, name);
        let mut x = left;
        for (op, count) in ops.iter().zip(counts).filter(|(_, n)| **n > 0.0) {
            let wide = width * count / edges;
            let (ink, strength) = look(op);
            svg.titled(&format!("{op}: {count:.2}"), |svg| {
                bar(svg, (x, y + 2.5), (wide, row - 5.0), ink, strength);
            });
            if wide > 22.0 {
                let text = format!("{count:.2}");
                let text = text.trim_end_matches('0').trim_end_matches('.');
                let ink = if strength > 0.8 && ink != Ink::Grid {
                    Ink::Page
                } else {
                    Ink::Text
                };
                svg.text((x + wide / 2.0, middle), 9.5, Anchor::Middle, ink, text);
            }
            x += wide;
        }
    }
    for (i, op) in ops.iter().enumerate() {
        let x = left + 104.0 * (i % 2) as f64;
        let y = bottom + 10.0 + 15.0 * (i / 2) as f64;
        let (ink, strength) = look(op);
        bar(&mut svg, (x, y), (10.0, 10.0), ink, strength);
        let name = brief(op);
        svg.text((x + 15.0, y + 9.0), 10.0, Anchor::Start, Ink::Muted, &name);
    }
    svg
}

fn bar(svg: &mut Svg, (x, y): (f64, f64), (w, h): (f64, f64), ink: Ink, strength: f64) {
    let corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)];
    svg.area(&corners, ink, strength);
}
