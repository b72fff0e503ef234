//! The table for a terminal.

use super::cells::{Cell, policy_name};
use super::paper::{self, Paper};
use super::tables;
use crate::report_facts::worst;
use tox_report::run::Run;
use tox_report::terminal::{INCOMPLETE, lines, show};

/// Cell, threat, NaN policy, seeds done of planned, our validation and test error (mean ± half of
/// the 95 % t-interval, percent), collapses, and the paper's two errors where it has some of the same.
pub fn headline(run: &Run, cells: &[Cell], paper: Option<&Paper>) -> String {
    let mut rows = vec![vec![
        "cell".to_owned(),
        "threat".to_owned(),
        "NaN policy".to_owned(),
        "seeds".to_owned(),
        "valid error %".to_owned(),
        "test error %".to_owned(),
        "collapsed".to_owned(),
    ]];
    let robust = |cell: &Cell| cell.mean(|o| worst(o.attacked.as_ref()));
    let attacked = cells.iter().any(|cell| robust(cell).is_some());
    rows[0].extend(attacked.then(|| "robust %".to_owned()));
    let paper_shown = paper.filter(|_| tables::beside_some(cells, paper));
    rows[0].extend(paper_shown.map(|_| "paper v/t".to_owned()));
    for cell in cells {
        let mut row = vec![
            cell.name.clone(),
            cell.threat(),
            policy_name(cell.policy()).to_owned(),
            cell.seeds(),
            show(cell.valid()),
            show(cell.test()),
            format!("{}/{}", cell.collapses(), cell.done()),
        ];
        row.extend(attacked.then(|| show(robust(cell))));
        row.extend(paper_shown.map(|p| p.cell(cell).pair("-", "n/c")));
        rows.push(row);
    }
    let mut out = lines(run, rows);
    out.push_str("mean ± half of the 95 % t-interval over seeds, shared weights\n");
    if attacked {
        out.push_str("robust: accuracy of the retrained network under the worst attack\n");
    }
    for note in paper.iter().flat_map(|p| paper::notes(p, cells)) {
        out.push_str(&note);
        out.push('\n');
    }
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}
