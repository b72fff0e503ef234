//! The table for a terminal.

use super::cells::{Cell, policy_name};
use super::paper::{self, Paper};
use super::tables;
use tox_report::run::Run;
use tox_report::terminal::{INCOMPLETE, show, table};

/// Cell, threat, NaN policy, seeds done of planned, our validation and test error (mean ± half of
/// the 95 % t-interval, percent), collapses, and the paper's two errors where it has some of the same.
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
    let shown = tables::beside_some(cells, paper);
    for cell in cells {
        rows.push([
            cell.name.clone(),
            cell.threat(),
            policy_name(cell.policy()).to_owned(),
            cell.seeds(),
            show(cell.valid()),
            show(cell.test()),
            format!("{}/{}", cell.collapses(), cell.done()),
            paper.map_or(String::new(), |p| p.cell(cell).pair("-", "n/c")),
        ]);
    }
    if !shown {
        for row in &mut rows {
            row[7] = String::new();
        }
    }
    let mut out = table(run, rows);
    out.push_str("mean ± half of the 95 % t-interval over seeds, shared weights\n");
    for note in paper.iter().flat_map(|p| paper::notes(p, cells)) {
        out.push_str(&note);
        out.push('\n');
    }
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}
