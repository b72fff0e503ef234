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
pub mod maps;
mod page;
mod settings;
#[cfg(test)]
mod synthetic;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod valid;

pub use cells::dataset;
pub use headline::headline;
pub use page::Report;
pub use table::csv;
