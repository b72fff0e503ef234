//! Search spaces, genotypes and neural-architecture-search algorithms.
//!
//! Floor 4 of the house. [`space`] says what can be searched, as data; [`genotype`] what was
//! found; [`enas`] is ENAS macro search (Pham et al. 2018) with the conventions of the code that
//! the search-space-poisoning paper (Wu, Saxena, Jain) ran, and random search over the same space.

pub mod enas;
pub mod genotype;
pub mod space;
