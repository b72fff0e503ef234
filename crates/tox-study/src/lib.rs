//! Studies: recipe, plan, trial, record; process runner, store, resume.
//!
//! Floor 6 of the house. A [`recipe`] is resolved into a [`plan`] of trials, [`runner`] runs each
//! in a child process ([`child`]) below the folder that [`store`] keeps, and each ends with a
//! [`record`], the only thing that reports read.

pub mod child;
pub mod executors;
mod failure;
pub mod files;
pub mod gate;
pub mod house;
pub mod lease;
pub mod lock;
pub mod part;
pub mod plan;
pub mod price;
pub mod recipe;
pub mod record;
pub mod runner;
pub mod spec;
pub mod stats;
pub mod status;
pub mod steps;
pub mod store;
pub mod trial;
pub mod verify;
