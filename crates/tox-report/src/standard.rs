//! The report of a learner that has none of its own.

use crate::budgets;
use crate::columns::Table;
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

/// What a learner adds to it.
#[derive(Default)]
pub struct Own {
    /// Sentences behind those that every learner has, warnings before them.
    pub findings: Vec<String>,
    pub sections: Vec<Section>,
    /// Whether there are pictures in them.
    pub pictures: bool,
    /// Its own table, a row a trial; may be empty.
    pub wide: String,
    /// What a row of it is.
    pub row: &'static str,
}

/// A table of its own, before the others.
pub struct Section {
    pub title: &'static str,
    pub table: Table,
    /// What its columns are.
    pub note: &'static str,
}

/// Table, page and figures of a run.
///
/// # Errors
/// When the page cannot be rendered.
pub fn make(run: &Run) -> Result<Made, ReportError> {
    with(run, Own::default())
}

/// As [`make`], with what a learner adds.
///
/// # Errors
/// When the page cannot be rendered.
pub fn with(run: &Run, add: Own) -> Result<Made, ReportError> {
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
    let (first, last): (Vec<_>, Vec<_>) = add
        .findings
        .into_iter()
        .partition(|line| line.starts_with("Warning"));
    let warnings = warnings.into_iter().flatten().chain(first);
    let findings: Vec<String> = warnings.chain(verdicts).chain(last).collect();
    let section = |s: &Section| {
        context! { title => s.title, table => s.table.value(), note => s.note }
    };
    let sections = add.sections.iter().filter(|s| !s.table.is_empty());
    let sections: Vec<Value> = sections.map(section).collect();
    let drawn = figures.iter().filter(|f| !f.panels.is_empty());
    let own = context! {
        more,
        sections,
        row => add.row,
        pictures => add.pictures,
        no_wide => add.wide.is_empty(),
        figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
    };
    Ok(Made {
        wide: add.wide,
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
