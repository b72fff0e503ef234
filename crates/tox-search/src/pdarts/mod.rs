//! P-DARTS (Chen et al. 2019), progressive differentiable architecture search.
//!
//! [`discretise`] is the part that needs no network: which ops survive a stage, how the last
//! stage's probabilities become a genotype, how skip-connects are dropped out and restricted.

pub mod config;
pub mod discretise;
pub mod learner;
