//! Searches on poisoned data: final accuracy, drop from clean, the gain over a random architecture
//! and how much of it the poison eats, and what became of the claims of Coalson, Wang, Wu and Hong,
//! "Hard Work Does Not Always Pay Off: Poisoning Attacks on Neural Architecture Search".

mod attacks;
mod cells;
mod checks;
mod claims;
mod curves;
mod figures;
mod findings;
mod headline;
mod ops;
mod page;
mod search;
mod settings;
#[cfg(test)]
pub mod synthetic;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod ties;

use crate::nas::outcome::NasOutcome;
use headline::headline;
use page::Report;
use table::csv;
use tox_report::run::{Run, Types};
use tox_report::{Made, ReportError, Reporter};
use tox_search::nas::NasConfig;
use tox_study::house::House;
use tox_study::spec::TrialSpec;

/// Made by this module.
pub struct NasReport;

impl Reporter for NasReport {
    fn kind(&self) -> &'static str {
        "nas"
    }

    fn types(&self) -> Types {
        Types::of::<NasConfig, NasOutcome>()
    }

    fn foreign(&self, spec: &TrialSpec) -> bool {
        // Each is known alone.
        spec.threat.space.is_some() && spec.threat.data.is_some()
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
