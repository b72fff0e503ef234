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
mod synthetic;
mod table;
mod tables;
#[cfg(test)]
mod tests;

pub use page::Report;
pub use table::csv;

/// The table for a terminal.
pub fn headline(run: &crate::run::Run) -> String {
    let paper = paper::Paper::find(&run.head.paper);
    headline::headline(run, &cells::all(run), paper.as_ref())
}
