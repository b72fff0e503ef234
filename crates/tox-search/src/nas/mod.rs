//! The searches as one: what a data-poisoning audit runs.
//!
//! [`SEARCHES`] are all of them, each an `impl` of [`Search`] in a folder of its own. A [`NasConfig`] names
//! one and a space and holds its numbers; [`run`] runs it. What else is asked of a search is a fact that it
//! states of itself, or of how it went ([`Course`]).
//!
//! # Poisoned search spaces
//!
//! `bad_ops` of a config are bad ops on every edge of a cell space ([`crate::space::bad`]); without them
//! all is as in the clean space. `PoisonSet::poison_cells` of `tox_poison` makes them of a set and its
//! multiplicity, `screen_cells` and `screened_cells` leave out what a screen finds. All that takes the
//! config then sees the poisoned space: the search, its diagnostics, a vote over [`NasKeys::genes`].
//! [`NasKeys::bad_edges`] counts what was found, beside chance. A cell with a bad op is in no table:
//! [`NasKeys::may_train`] says before the search whether a final training may come, and
//! [`NasKeys::judges`] behind it whether this result is looked up or trained.

mod config;
pub mod diagnostics;
mod direction;
mod kind;
mod numbers;
mod reach;
mod search;
mod trace;

pub use crate::SEARCHES;
pub use config::{
    BadEdges, Evaluate, NasConfig, NasKeys, NasSpace, SupernetFile, TrainOn, Written,
};
pub use direction::Direction;
pub use kind::SearchKind;
pub use numbers::{Numbers, Refused, Types, TypesOf, Unread};
pub use reach::Reach;
pub use search::{Ended, Facts, Found, Inputs, Leftover, NasError, Reads, Search, run};
pub use trace::{Course, Evaluated, Ties, Trace};
