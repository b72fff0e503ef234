//! Studies: recipe, plan, trial, record; process runner, store, resume.
//!
//! Floor 6 of the house.

pub mod record;
pub mod spec;
pub mod trial;
