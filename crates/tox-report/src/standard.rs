//! The report of a learner that has none of its own.

use crate::budgets;
use crate::common::{self, Common};
use crate::context;
use crate::figure::{self, Figure};
use crate::findings::{missing, mixed};
use crate::page;
use crate::provenance;
use crate::run::Run;
use crate::terminal::{INCOMPLETE, title};
use crate::{Made, ReportError};
use minijinja::Value;

const PAGE: (&str, &str) = ("standard.html", include_str!("templates/standard.html"));

/// Sentences on cells that are shown at once; more are folded.
const SHOWN: usize = 12;

/// Table, page and figures of a run.
///
/// # Errors
/// When the page cannot be rendered.
pub fn make(run: &Run) -> Result<Made, ReportError> {
    let measures = common::measures(run);
    let common = Common::new(run, &measures);
    let figures = [
        budgets::figure(&run.house, &common),
        budgets::levels(&common),
    ];
    let mut verdicts = common.verdicts();
    let more = verdicts.split_off(verdicts.len().min(SHOWN));
    let warnings = [
        mixed(run),
        missing(run, &common.cells.iter().collect::<Vec<_>>()),
    ];
    let findings: Vec<String> = warnings.into_iter().flatten().chain(verdicts).collect();
    let drawn = figures.iter().filter(|f| !f.panels.is_empty());
    let own = context! {
        more,
        no_wide => true,
        figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
    };
    Ok(Made {
        wide: String::new(),
        html: page::render(PAGE, run, &findings, &provenance::facts(run), own)?,
        figures: figure::files(&figures),
    })
}

/// The table for a terminal.
pub fn headline(run: &Run) -> String {
    let measures = common::measures(run);
    let common = Common::new(run, &measures);
    let mut out = title(run);
    out.push_str(&common.table().terminal());
    out.push_str(
        "mean ± half of the 95 % t-interval over seeds; damage: points above the clean cell\n",
    );
    if common.cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}
