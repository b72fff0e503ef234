//! ENAS macro search: child supernet, controller, the alternating search, final training.

pub mod child;
pub mod config;
pub mod controller;
mod machine;
pub mod network;
mod pass;
pub mod search;
mod state;
pub mod train;
