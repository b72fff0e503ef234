//! Hyper-parameter learning under data poisoning: the figures of Carnerero-Cano, Munoz-Gonzalez,
//! Spencer and Lupu, "Hyperparameter Learning under Data Poisoning: Analysis of the Influence of
//! Regularization via Multiobjective Bilevel Optimization", and what became of its claims. The paper
//! prints curves and no tables, so its side is its words.

mod cells;
mod checks;
mod claims;
mod climb;
mod curves;
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

use crate::reporter::reporter;
pub use cells::dataset;
use headline::headline;
use page::Report;
pub use page::{FILE, PAGE};
use table::csv;
use tox_bilevel::config::BilevelConfig;
use tox_bilevel::outcome::BilevelOutcome;

reporter! {
    BilevelReport, "bilevel", BilevelConfig, BilevelOutcome;
    foreign: |spec| {
        let mut data = spec.threat.data.iter();
        data.any(|t| t.kind != crate::threats::bilevel::KIND) || !spec.defence.is_none()
    };
    wide: |run| Ok(csv(run));
    headline: headline;
}
