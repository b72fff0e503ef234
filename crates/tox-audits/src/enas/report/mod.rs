//! Search-space poisoning of ENAS: the tables and figures of "A Recipe for Disaster: Neural
//! Architecture Search with Search Space Poisoning", each of our numbers beside the paper's.

mod cells;
mod details;
mod family;
mod figures;
mod findings;
mod headline;
mod network;
mod page;
mod paper;
mod rows;
mod screen;
mod settings;
#[cfg(test)]
pub mod synthetic;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use crate::enas::outcome::EnasOutcome;
use page::Report;
use paper::Paper;
use table::csv;
use tox_report::run::{Run, Types};
use tox_report::{Made, ReportError, Reporter};
use tox_search::enas::config::EnasConfig;
use tox_study::house::House;
use tox_study::spec::TrialSpec;

/// Made by this module.
pub struct EnasReport;

impl Reporter for EnasReport {
    fn kind(&self) -> &'static str {
        "enas"
    }

    fn types(&self) -> Types {
        Types::of::<EnasConfig, EnasOutcome>()
    }

    fn foreign(&self, spec: &TrialSpec) -> bool {
        spec.threat.data.is_some() || !spec.defence.data.is_empty()
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
        headline::headline(run, &cells::all(run), Paper::find(&run.head.paper).as_ref())
    }
}
