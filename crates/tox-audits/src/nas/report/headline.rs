//! The table for a terminal.

use super::baselines;
use super::cells::{self, MARK};
use super::search::{Eaten, Search};
use super::tables::median_rank;
use super::ties;
use crate::report_facts::worst;
use tox_report::run::Run;
use tox_report::stats::Ratio;
use tox_report::terminal::{INCOMPLETE, lines, show};

/// Search, what was done to its data, seeds done of planned, final accuracy (mean ± half of the 95 %
/// t-interval, percent), drop from clean, median rank, gain over a random architecture, and how much
/// of the clean gain is gone.
pub fn headline(run: &Run) -> String {
    let cells = cells::all(run);
    let searches = Search::all(run, &cells);
    let anti = searches.iter().any(|s| s.anti().is_some());
    let mut rows = vec![vec![
        "search".to_owned(),
        "data".to_owned(),
        "seeds".to_owned(),
        "accuracy %".to_owned(),
        "drop".to_owned(),
        "rank".to_owned(),
        "over random".to_owned(),
        "eaten %".to_owned(),
    ]];
    let robust = |cell: &cells::Cell| cell.mean(|o| worst(o.attacked.as_ref()));
    let attacked = cells.iter().any(|cell| robust(cell).is_some());
    rows[0].extend(attacked.then(|| "robust %".to_owned()));
    rows[0].extend(anti.then(|| "of anti %".to_owned()));
    for search in &searches {
        for cell in &search.cells {
            let sign = |i: Option<tox_report::stats::Interval>| {
                i.map_or("-".to_owned(), |i| format!("{i:+}"))
            };
            let percent = |r: Ratio| {
                let [value, low, high] = [r.value, r.ends.0, r.ends.1].map(|share| 100.0 * share);
                format!("{value:.0} ({low:.0} to {high:.0})")
            };
            let eaten = match search.eaten(cell) {
                Eaten::Share(r) => percent(r),
                Eaten::None("") => "-".to_owned(),
                Eaten::None(_) => "n/a".to_owned(),
            };
            let rank = median_rank(cell).map_or("-".to_owned(), |(m, ..)| format!("{m:.0}"));
            let of_anti = search.of_anti(cell).map_or("-".to_owned(), percent);
            let row = [
                search.title.clone(),
                cell.marked(&search.condition(cell)),
                cell.seeds(),
                show(cell.accuracy()),
                sign(search.drop(cell)),
                rank,
                sign(search.gain(cell)),
                eaten,
            ];
            let robust = attacked.then(|| show(robust(cell)));
            let more = robust.into_iter().chain(anti.then_some(of_anti));
            rows.push(row.into_iter().chain(more).collect());
        }
    }
    let mut out = lines(run, rows);
    out.push_str(
        "mean ± half of the 95 % t-interval over seeds; drop: clean less poisoned, by seed; eaten: \
         share of the clean gain over random that is gone\n",
    );
    if attacked {
        out.push_str("robust: accuracy of what was found, trained, under the worst attack\n");
    }
    if anti {
        out.push_str("of anti: drop as a share of what the anti-search loses, by seed\n");
    }
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
