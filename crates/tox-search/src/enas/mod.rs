//! ENAS macro search: child supernet, controller, the alternating search, final training.

pub mod config;
