//! Tables of sub-networks: each trained and attacked. What RC-NAS can gain on them, and how far tasks
//! agree, which is what meta-training lives on.

mod effects;
mod figures;
mod findings;
mod gather;
mod headline;
mod page;
mod ranks;
#[cfg(test)]
mod tests;

pub use gather::csv;
pub use headline::headline;
pub use page::Report;
