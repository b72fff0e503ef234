//! Search spaces as data.

pub mod enas;

pub use enas::{Op, Space, SpaceOp};
