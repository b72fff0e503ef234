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
use crate::reporter::reporter;
use headline::headline;
use page::Report;
use table::csv;
use tox_rcnas::learner::CompressConfig;

reporter! {
    RcNasReport, "rc-nas", CompressConfig, CompressOutcome;
    wide: |run| Ok(csv(run));
    headline: headline;
}
