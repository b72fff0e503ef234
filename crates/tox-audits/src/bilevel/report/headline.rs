//! The table for a terminal.

use super::cells;
use super::cells::error;
use super::checks::check;
use tox_data::text::one_line;
use tox_report::run::Run;
use tox_report::terminal::{INCOMPLETE, show, table};

/// Cell, victim, seeds done of planned, test error without poison and with the most (mean ± half of
/// the 95 % t-interval, percent), the rise, lambda there, and whether the attack attacked.
pub fn headline(run: &Run) -> String {
    let cells = cells::all(run);
    let mut rows = vec![[
        "cell".to_owned(),
        "victim".to_owned(),
        "seeds".to_owned(),
        "clean error %".to_owned(),
        "poison %".to_owned(),
        "error %".to_owned(),
        "rise".to_owned(),
        "lambda".to_owned(),
        "attack".to_owned(),
    ]];
    for cell in &cells {
        let most = cell.most();
        let percent = cell
            .percent(most)
            .map_or("-".to_owned(), |p| format!("{p:.1}"));
        let lambda = |points| cell.at(points, |l| cells::average(&l.lambda));
        let lambda = match (lambda(0), lambda(most)) {
            (Some(a), Some(b)) => format!("{:.2} to {:.2}", a.mean, b.mean),
            _ => "-".to_owned(),
        };
        let attack = match check(cell) {
            None => "-",
            Some(c) => c.in_short(),
        };
        rows.push([
            cell.name.clone(),
            cell.victim().to_owned(),
            cell.seeds(),
            show(cell.at(0, error)),
            percent,
            show(cell.at(most, error)),
            cell.rise().map_or("-".to_owned(), |r| format!("{r:+}")),
            lambda,
            attack.to_owned(),
        ]);
    }
    let mut out = table(run, rows);
    out.push_str("mean ± half of the 95 % t-interval over seeds; rise: differences by seed\n");
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    let diverged = cells.iter().filter_map(|c| {
        let stopped = c.records().filter(|r| r.outcome.divergence.is_some());
        let stopped = stopped.count();
        (stopped > 0).then(|| format!("{} ({stopped} of {})", c.name, c.done()))
    });
    let diverged: Vec<String> = diverged.collect();
    if !diverged.is_empty() {
        out.push_str(&format!(
            "training diverged in {}: means are over the other seeds; a smaller learner.inner.lr or \
             lambda.max may help\n",
            one_line(&diverged.join(", "))
        ));
    }
    out
}
