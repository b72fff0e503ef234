//! The table for a terminal.

use super::baselines;
use super::cells::{self, MARK};
use super::search::{Eaten, Search};
use super::tables::median_rank;
use super::ties;
use tox_report::run::Run;
use tox_report::terminal::{INCOMPLETE, show, table};

/// Search, what was done to its data, seeds done of planned, final accuracy (mean ± half of the 95 %
/// t-interval, percent), drop from clean, median rank, gain over a random architecture, and how much
/// of the clean gain is gone.
pub fn headline(run: &Run) -> String {
    let cells = cells::all(run);
    let searches = Search::all(run, &cells);
    let mut rows = vec![[
        "search".to_owned(),
        "data".to_owned(),
        "seeds".to_owned(),
        "accuracy %".to_owned(),
        "drop".to_owned(),
        "rank".to_owned(),
        "over random".to_owned(),
        "eaten %".to_owned(),
    ]];
    for search in &searches {
        for cell in &search.cells {
            let sign = |i: Option<tox_report::stats::Interval>| {
                i.map_or("-".to_owned(), |i| format!("{i:+}"))
            };
            let eaten = match search.eaten(cell) {
                Eaten::Share(r) => format!(
                    "{:.0} ({:.0} to {:.0})",
                    100.0 * r.value,
                    100.0 * r.ends.0,
                    100.0 * r.ends.1
                ),
                Eaten::None("") => "-".to_owned(),
                Eaten::None(_) => "n/a".to_owned(),
            };
            let rank = median_rank(cell).map_or("-".to_owned(), |(m, ..)| format!("{m:.0}"));
            rows.push([
                search.title.clone(),
                cell.marked(&search.condition(cell)),
                cell.seeds(),
                show(cell.accuracy()),
                sign(search.drop(cell)),
                rank,
                sign(search.gain(cell)),
                eaten,
            ]);
        }
    }
    let mut out = table(run, rows);
    out.push_str(
        "mean ± half of the 95 % t-interval over seeds; drop: clean less poisoned, by seed; eaten: \
         share of the clean gain over random that is gone\n",
    );
    let idle = baselines::sentences(&searches);
    for line in idle.into_iter().chain(ties::sentences(&searches)) {
        out.push_str(&line);
        out.push('\n');
    }
    out.push_str(&unevaluated(&searches));
    if cells.iter().any(|c| c.doubtful()) {
        out.push_str(MARK);
        out.push_str(" the attack failed its own check in some trial, see the report\n");
    }
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}

/// Architectures that are shown; more are in wide.csv.
const SHOWN: usize = 8;

/// What was found where nobody asked how good it is: then it is the result.
fn unevaluated(searches: &[Search]) -> String {
    let mut lines = Vec::new();
    for search in searches {
        for cell in &search.cells {
            for record in cell.records().filter(|r| r.outcome.evaluation.is_none()) {
                lines.push(format!(
                    "found by {}, {}, seed {}: {}\n",
                    search.title,
                    search.condition(cell),
                    record.spec.seed,
                    record.outcome.genotype
                ));
            }
        }
    }
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if more > 0 {
        lines.push(format!(
            "and {more} more, in the column genotype of wide.csv\n"
        ));
    }
    lines.concat()
}
