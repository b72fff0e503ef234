//! The table for a terminal.

use super::cells::{Cell, policy_name};
use super::paper::Paper;
use crate::run::Run;
use crate::terminal::{INCOMPLETE, show, table};

/// Cell, threat, NaN policy, seeds done of planned, our validation and test error (mean ± half of
/// the 95 % t-interval, percent), collapses, the paper's two errors.
pub fn headline(run: &Run, cells: &[Cell], paper: Option<&Paper>) -> String {
    let mut rows = vec![[
        "cell".to_owned(),
        "threat".to_owned(),
        "NaN policy".to_owned(),
        "seeds".to_owned(),
        "valid error %".to_owned(),
        "test error %".to_owned(),
        "collapsed".to_owned(),
        "paper v/t".to_owned(),
    ]];
    for cell in cells {
        // The paper screened nothing and has no random search.
        let printed = paper
            .filter(|_| !cell.screened() && !cell.random())
            .map(|p| p.cell(&cell.spec().data.dataset, cell.label()))
            .unwrap_or_default();
        let pair = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.2}"));
        let printed = match (printed.valid, printed.test) {
            (None, None) => "-".to_owned(),
            (valid, test) => format!("{} / {}", pair(valid), pair(test)),
        };
        rows.push([
            cell.name.clone(),
            cell.threat(),
            policy_name(cell.policy()).to_owned(),
            cell.seeds(),
            show(cell.valid()),
            show(cell.test()),
            format!("{}/{}", cell.collapses(), cell.done()),
            printed,
        ]);
    }
    let mut out = table(run, rows);
    out.push_str("mean ± half of the 95 % t-interval over seeds, shared weights\n");
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}
