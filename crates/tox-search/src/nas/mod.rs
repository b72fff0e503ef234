//! The searches as one: what a data-poisoning audit runs.
//!
//! A [`NasConfig`] names a search and a space and holds the numbers of each search; [`run`] runs the
//! one that it names. [`diagnostics`] measures what a poison does to the signals that the search
//! goes by.

mod config;
pub mod diagnostics;
mod search;

pub use config::{Evaluate, NasConfig, NasSpace, SearchKind, SupernetFile};
pub use search::{Found, Inputs, Leftover, NasError, Trace, run};
