//! RC-NAS: its cache, its books, searches in a synthetic world with known structure, and its table.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cache;
mod refused;
mod search;
mod table;
mod world;
