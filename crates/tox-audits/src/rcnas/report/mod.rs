//! Compressions of a teacher: whether RC-NAS finds a more robust sub-network in fewer evaluations than
//! its controls, on tasks that it has not met, and what the networks found look like.

mod cells;
mod claims;
mod cost;
mod figures;
mod findings;
mod headline;
mod judged;
mod page;
mod paper;
mod settings;
mod shapes;
#[cfg(test)]
pub mod synthetic;
mod table;
mod tables;
mod task;
#[cfg(test)]
mod tests;

use crate::rcnas::outcome::CompressOutcome;
use headline::headline;
use page::Report;
use table::csv;
use tox_rcnas::learner::CompressConfig;
use tox_report::run::{Run, Types};
use tox_report::{Made, ReportError, Reporter};
use tox_study::house::House;

/// Made by this module.
pub struct RcNasReport;

impl Reporter for RcNasReport {
    fn kind(&self) -> &'static str {
        "rc-nas"
    }

    fn types(&self) -> Types {
        Types::of::<CompressConfig, CompressOutcome>()
    }

    fn make(&self, _house: &House, run: &Run) -> Result<Made, ReportError> {
        let report = Report::new(run);
        Ok(Made {
            wide: csv(run),
            html: report.html()?,
            figures: report.files(),
        })
    }

    fn headline(&self, _house: &House, run: &Run) -> String {
        headline(run)
    }
}
