//! What the networks found look like.

use super::cells::{Cell, result};
use super::task::{Task, attack_of};
use crate::rcnas::outcome::CompressOutcome;
use minijinja::Value;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::Method;
use tox_rcnas::observe::Topology;
use tox_report::columns::{Field, Table, values};

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

/// What was found, the most frequent shapes, and all networks.
struct Row {
    label: String,
    shapes: String,
    nets: Vec<Topology>,
}

/// One table a task that has a result.
pub fn all(tasks: &[Task]) -> Vec<Value> {
    values(tasks.iter().filter_map(table))
}

fn table(task: &Task) -> Option<Table> {
    let done = task.cells.iter().filter(|c| c.done() > 0);
    let of = |cell: &&Cell| {
        let nets = cell.records().filter_map(|r| r.outcome.search.topology);
        Row {
            label: task.label(cell),
            shapes: frequent(cell),
            nets: nets.collect(),
        }
    };
    let mut rows: Vec<Row> = done.map(of).filter(|row| !row.nets.is_empty()).collect();
    rows.first()?;
    if let Some(random) = task.of(Method::Random).next() {
        rows.push(Row {
            label: "all draws of random search".to_owned(),
            shapes: String::new(),
            nets: random.records().flat_map(|r| drawn(r.outcome)).collect(),
        });
    }
    rows.retain(|row| !row.nets.is_empty());
    let teacher = task.cells[0].config.teacher;
    let caption = format!(
        "{}: sub-networks of {teacher}, which has {:.0} % of its depth in the first two stages",
        task.title,
        100.0 * Topology::new(&teacher, &teacher).early_depth
    );
    let table = Table::of(caption, &rows)
        .column("Found by", |r| Field::text(&r.label))
        .column("Networks", |r| Field::of(Some(r.nets.len())))
        .column("Depth in the\nfirst two stages", |r| {
            Field::number(format!("{:.0} %", 100.0 * r.mean(|t| t.early_depth)))
        })
        .column("Last stage’s depth\nby the others’", |r| {
            Field::number(format!("{:.2}", r.mean(|t| t.last_depth)))
        })
        .column("Its width\nby theirs", |r| {
            Field::number(format!("{:.2}", r.mean(|t| t.last_width)))
        })
        .column("Deeper early\nthan the teacher", |r| {
            r.counted(|t| t.deeper_early)
        })
        .column("Last stage\nsmaller", |r| r.counted(|t| t.smaller_last))
        .column("Robust block\nlast alone", |r| r.counted(|t| t.robust_last))
        .column("Robust block in\nstage 1 / 2 / 3", |r| {
            Field::number(r.blocks())
        })
        .column("Most frequent", |r| Field::long(&r.shapes).code())
        .table();
    Some(table)
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

impl Row {
    fn mean(&self, number: fn(&Topology) -> f64) -> f64 {
        self.nets.iter().map(number).sum::<f64>() / self.nets.len() as f64
    }

    fn counted(&self, is: fn(&Topology) -> bool) -> Field {
        let n = self.nets.iter().filter(|t| is(t)).count();
        let share = 100.0 * n as f64 / self.nets.len() as f64;
        Field::number(format!("{n} ({share:.0} %)"))
    }

    /// Share of the networks with a robust block in stage 1, 2 and 3.
    fn blocks(&self) -> String {
        let shares = [0, 1, 2].map(|i| share(&self.nets, |t| t.robust[i]).unwrap_or(0.0));
        shares.map(|s| format!("{:.0} %", 100.0 * s)).join(" / ")
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
