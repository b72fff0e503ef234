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
use crate::reporter::reporter;
use page::Report;
use paper::Paper;
use table::csv;
use tox_search::enas::config::EnasConfig;

reporter! {
    EnasReport, "enas", EnasConfig, EnasOutcome;
    foreign: |spec| spec.threat.data.is_some() || !spec.defence.data.is_empty();
    wide: |run| Ok(csv(run));
    headline: |run| headline::headline(run, &cells::all(run), Paper::find(&run.head.paper).as_ref());
}
