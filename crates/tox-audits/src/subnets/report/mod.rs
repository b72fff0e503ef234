//! Tables of sub-networks: each trained and attacked. What RC-NAS can gain on them, and how far tasks
//! agree, which is what meta-training lives on.

mod effects;
mod figures;
mod findings;
mod gather;
mod headline;
mod page;
mod ranks;
mod tables;
#[cfg(test)]
mod tests;

use crate::subnets::outcome::TableOutcome;
use gather::csv;
use headline::headline;
use page::Report;
use tox_rcnas::learner::TableConfig;
use tox_report::run::{Run, Types};
use tox_report::{Made, ReportError, Reporter};
use tox_study::house::House;
use tox_study::spec::TrialSpec;

/// Made by this module.
pub struct SubNetworksReport;

impl Reporter for SubNetworksReport {
    fn kind(&self) -> &'static str {
        "sub-networks"
    }

    fn types(&self) -> Types {
        Types::of::<TableConfig, TableOutcome>()
    }

    fn foreign(&self, spec: &TrialSpec) -> bool {
        spec.threat.data.is_some() || !spec.defence.is_none()
    }

    fn make(&self, _house: &House, run: &Run) -> Result<Made, ReportError> {
        let report = Report::new(run);
        Ok(Made {
            wide: csv(run)?,
            html: report.html()?,
            figures: report.files(),
        })
    }

    fn headline(&self, _house: &House, run: &Run) -> String {
        headline(run)
    }
}
