//! The table for a terminal.

use super::cells::{self, after, regret, result};
use super::task::{Task, When};
use tox_rcnas::Method;
use tox_report::run::Run;
use tox_report::stats::Interval;
use tox_report::terminal::{INCOMPLETE, show, table};

/// Task, method, seeds done of planned, robust accuracy within the budget after 3 and 10 evaluations and
/// of the result (mean ± half of the 95 % t-interval, percent), how far the result is below the best of
/// the table, and by how much RC-NAS is above.
pub fn headline(run: &Run) -> String {
    let cells = cells::all(run);
    let tasks = Task::all(&cells);
    let head = [
        "task",
        "method",
        "seeds",
        "after 3",
        "after 10",
        "result %",
        "below best",
        "RC-NAS above: after 3",
        "result",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let sign = |i: Option<Interval>| i.map_or("-".to_owned(), |i| format!("{i:+}"));
    for task in &tasks {
        let agent = task.of(Method::RcNas).next();
        for cell in &task.cells {
            let early = |n: usize| match n <= task.evaluations() {
                true => show(cell.mean(|o| after(o, n))),
                false => "-".to_owned(),
            };
            let agent = agent.filter(|_| cell.method() != Method::RcNas);
            let above = |when| sign(agent.and_then(|a| task.gain(a, cell, when)));
            rows.push([
                task.title.clone(),
                task.label(cell),
                cell.seeds(),
                early(3),
                early(10),
                show(cell.mean(result)),
                show(cell.mean(regret)),
                match task.evaluations() >= 3 {
                    true => above(When::After(3)),
                    false => "-".to_owned(),
                },
                above(When::End),
            ]);
        }
    }
    let mut out = table(run, rows);
    out.push_str(
        "robust accuracy within the budget, mean ± half of the 95 % t-interval over seeds; after n: the \
         best of n evaluations as the search saw it; RC-NAS above: by seed\n",
    );
    if cells.iter().any(|c| c.doubtful()) {
        out.push_str(
            "the evaluation of some network in the end failed its own checks, see the report\n",
        );
    }
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}
