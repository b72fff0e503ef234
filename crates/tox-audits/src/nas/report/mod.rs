//! Searches on poisoned data: final accuracy, drop from clean, the gain over a random architecture
//! and how much of it the poison eats, and what became of the claims of Coalson, Wang, Wu and Hong,
//! "Hard Work Does Not Always Pay Off: Poisoning Attacks on Neural Architecture Search".

mod attacks;
mod baselines;
mod cells;
mod checks;
mod claims;
mod curves;
mod figures;
mod findings;
mod headline;
mod ops;
mod page;
mod robust;
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
use crate::reporter::reporter;
use headline::headline;
use page::Report;
use table::csv;
use tox_search::nas::NasConfig;

reporter! {
    NasReport, "nas", NasConfig, NasOutcome;
    // Each is known alone.
    foreign: |spec| spec.threat.space.is_some() && spec.threat.data.is_some();
    wide: |run| Ok(csv(run));
    headline: headline;
}
