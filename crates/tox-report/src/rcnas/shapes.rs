//! What the networks found look like.

use super::cells::{Cell, result};
use super::task::{Task, attack_of};
use crate::page::NONE;
use serde::Serialize;
use tox_nn::nets::wrn::Shape;
use tox_search::rcnas::Method;
use tox_search::rcnas::observe::Topology;
use tox_study::record::CompressOutcome;

/// Shapes that a row spells out.
const SHOWN: usize = 3;

/// How strong the attack of a cell is, for comparing: no attack, then by members of the ensemble and
/// steps. `None` of black-box attacks, whose queries are no steps.
pub fn strength(cell: &Cell) -> Option<(usize, usize, usize)> {
    match attack_of(cell) {
        None => Some((0, 0, 0)),
        Some(attack) if attack.black_box => None,
        Some(attack) if attack.epsilon == 0.0 => Some((0, 0, 0)),
        Some(attack) => Some((1, attack.members, attack.steps)),
    }
}

/// A cell's networks.
#[derive(Serialize)]
pub struct Row {
    label: String,
    /// Networks counted.
    nets: usize,
    /// The most frequent ones, or those of the best seeds.
    shapes: String,
    early: String,
    last_depth: String,
    last_width: String,
    deeper_early: String,
    smaller_last: String,
    robust_last: String,
    /// Networks with a robust block in stage 1, 2 and 3.
    blocks: String,
}

/// A task's networks.
#[derive(Serialize)]
pub struct Shapes {
    title: String,
    teacher: String,
    teacher_early: String,
    rows: Vec<Row>,
}

/// One table a task that has a result.
pub fn all(tasks: &[Task]) -> Vec<Shapes> {
    tasks.iter().filter_map(Shapes::of).collect()
}

impl Shapes {
    fn of(task: &Task) -> Option<Self> {
        let done = task.cells.iter().filter(|c| c.done() > 0);
        let mut rows: Vec<Row> = Vec::new();
        for cell in done {
            let found: Vec<Topology> = cell
                .records()
                .filter_map(|r| r.outcome.search.topology)
                .collect();
            if !found.is_empty() {
                rows.push(row(&task.label(cell), frequent(cell), &found));
            }
        }
        rows.first()?;
        if let Some(random) = task.of(Method::Random).next() {
            let drawn = random.records().flat_map(|r| Self::drawn(r.outcome));
            let drawn: Vec<Topology> = drawn.collect();
            if !drawn.is_empty() {
                rows.push(row("all draws of random search", NONE.to_owned(), &drawn));
            }
        }
        let teacher = task.cells[0].config.teacher;
        let early = Topology::new(&teacher, &teacher).early_depth;
        Some(Self {
            title: task.title.clone(),
            teacher: teacher.to_string(),
            teacher_early: format!("{:.0} %", 100.0 * early),
            rows,
        })
    }

    /// What a search evaluated within the budget: of random search, draws of what there is.
    pub fn drawn(outcome: &CompressOutcome) -> Vec<Topology> {
        let within = outcome.search.evaluations.iter().filter(|e| e.feasible);
        within
            .map(|e| Topology::new(&e.shape, &outcome.search.target.teacher))
            .collect()
    }

    /// Share of those of which something is so; `None` of none.
    pub fn share(of: &[Topology], is: impl Fn(&Topology) -> bool) -> Option<f64> {
        let hits = of.iter().filter(|t| is(t)).count();
        (!of.is_empty()).then(|| hits as f64 / of.len() as f64)
    }
}

fn row(label: &str, shapes: String, of: &[Topology]) -> Row {
    let mean = |number: fn(&Topology) -> f64| of.iter().map(number).sum::<f64>() / of.len() as f64;
    let counted = |is: fn(&Topology) -> bool| {
        let n = of.iter().filter(|t| is(t)).count();
        format!("{n} ({:.0} %)", 100.0 * n as f64 / of.len() as f64)
    };
    let blocks = [0, 1, 2].map(|i| {
        let n = of.iter().filter(|t| t.robust[i]).count();
        format!("{:.0} %", 100.0 * n as f64 / of.len() as f64)
    });
    Row {
        label: label.to_owned(),
        nets: of.len(),
        shapes,
        early: format!("{:.0} %", 100.0 * mean(|t| t.early_depth)),
        last_depth: format!("{:.2}", mean(|t| t.last_depth)),
        last_width: format!("{:.2}", mean(|t| t.last_width)),
        deeper_early: counted(|t| t.deeper_early),
        smaller_last: counted(|t| t.smaller_last),
        robust_last: counted(|t| t.robust_last),
        blocks: blocks.join(" / "),
    }
}

/// The shapes that most seeds found, of equals that of the most robust result.
fn frequent(cell: &Cell) -> String {
    let mut all: Vec<(Shape, usize, f64)> = Vec::new();
    for record in cell.records() {
        let Some(found) = record.outcome.search.found() else {
            continue;
        };
        let robust = result(record.outcome).unwrap_or(0.0);
        match all.iter_mut().find(|s| s.0 == found.shape) {
            Some(seen) => {
                seen.1 += 1;
                seen.2 = seen.2.max(robust);
            }
            None => all.push((found.shape, 1, robust)),
        }
    }
    all.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)));
    let more = all.len().saturating_sub(SHOWN);
    let mut parts: Vec<String> = all
        .iter()
        .take(SHOWN)
        .map(|(shape, n, robust)| format!("{shape} ({n} of {}, {robust:.1} %)", cell.done()))
        .collect();
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}
