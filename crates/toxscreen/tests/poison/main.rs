//! `toxscreen poison` with the attacks on rows: what is written is what was asked for, and what cannot
//! be done is refused.
#![allow(clippy::unwrap_used)]

mod forms;
mod gc;
mod rows;
mod support;
