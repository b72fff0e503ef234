//! Hyper-parameter learning under data poisoning: the figures of Carnerero-Cano, Munoz-Gonzalez,
//! Spencer and Lupu, "Hyperparameter Learning under Data Poisoning: Analysis of the Influence of
//! Regularization via Multiobjective Bilevel Optimization", and what became of its claims. The paper
//! prints curves and no tables, so its side is its words.

mod cells;
mod checks;
mod claims;
mod climb;
mod examples;
mod figures;
mod findings;
mod headline;
mod page;
pub mod settings;
#[cfg(test)]
pub mod synthetic;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod valid;

pub use cells::dataset;
use headline::headline;
use page::Report;
pub use page::{FILE, PAGE};
use table::csv;
use tox_bilevel::config::BilevelConfig;
use tox_bilevel::outcome::BilevelOutcome;
use tox_report::run::{Run, Types};
use tox_report::{Made, ReportError, Reporter};
use tox_study::house::House;
use tox_study::spec::TrialSpec;

/// Made by this module.
pub struct BilevelReport;

impl Reporter for BilevelReport {
    fn kind(&self) -> &'static str {
        "bilevel"
    }

    fn types(&self) -> Types {
        Types::of::<BilevelConfig, BilevelOutcome>()
    }

    fn foreign(&self, spec: &TrialSpec) -> bool {
        let other = spec
            .threat
            .data
            .as_ref()
            .filter(|t| t.kind != crate::threats::bilevel::KIND);
        other.is_some() || !spec.defence.is_none()
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
