//! RC-NAS: its cache, its books, searches in a synthetic world with known structure, and its table.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cache;
mod methods;
mod refused;
mod table;
mod world;
