//! Robust accuracy against evaluations.

use super::cells::{Cell, after};
use super::task::Task;
use tox_rcnas::Method;
use tox_report::curves::{Curve, means, panel};
use tox_report::figure::{Figure, short};
use tox_report::lines::Rule;
use tox_report::svg::{Ink, Svg};

/// Ink and dash of a cell among those of its method.
fn look(method: Method, nth: usize) -> (Ink, &'static str) {
    let ink = match method {
        Method::RcNas => Ink::Dose(3),
        Method::FromScratch => Ink::Dose(1),
        Method::Random => Ink::GoodLine,
        Method::Uniform => Ink::Clean,
        Method::Evolution => Ink::Dose(0),
    };
    (ink, ["", "5 3", "2 3", "7 3 2 3"][nth % 4])
}

/// The best so far, a panel a task.
pub fn best_so_far(tasks: &[Task]) -> Figure {
    Figure {
        name: "best-so-far",
        title: "Best robust accuracy against evaluations",
        caption: "Highest robust accuracy within the budget among the distinct sub-networks evaluated \
                  on the task so far, as the search saw it; those of meta-training are not counted \
                  (see the table of costs). Mean over seeds with the 95 % t-interval. Where candidates \
                  are looked up: dashed, the best of the table, and dotted, the mean of all within the \
                  budget, both means over the table’s seeds; a search sees one seed, in which the best \
                  may be above."
            .to_owned(),
        panels: tasks.iter().filter_map(of).collect(),
    }
}

fn of(task: &Task) -> Option<Svg> {
    let total = task.evaluations();
    let mut curves: Vec<Curve> = Vec::new();
    for cell in &task.cells {
        let twins: Vec<&Cell> = task.of(cell.method()).collect();
        let nth = twins.iter().position(|c| c.name == cell.name).unwrap_or(0);
        let points = means(cell, |o| {
            let seen = (1..=total).map(|n| after(o, n));
            // Nothing is known before the first.
            [None].into_iter().chain(seen).collect()
        });
        if !points.is_empty() {
            let label = short(&task.label(cell).replace("unseen ", ""));
            curves.push((label, look(cell.method(), nth), points));
        }
    }
    let mut rules = Vec::new();
    if let Some(table) = task.looked_up() {
        let mut rule = |at: f64, label: &str, dash| {
            rules.push(Rule {
                at,
                label: label.to_owned(),
                look: (Ink::Muted, dash),
            });
        };
        rule(table.best, "best of all", "5 4");
        rule(table.mean, "mean of all", "1 3");
    }
    let axes = ("evaluations", "robust accuracy, %");
    panel(&task.title, axes, ((0.0, 100.0), &rules), &curves)
}
