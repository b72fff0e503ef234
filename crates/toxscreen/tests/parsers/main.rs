//! Fuzzing of every parser, on stable Rust: kept files and files that the code itself writes, damaged in
//! ways that fit their formats. A parser may refuse what it likes; it may not panic, allocate more than
//! [`memory::LIMIT`], or take longer than [`harness::PATIENCE`].
//!
//! An execution is a function of the target's name, the seed and its number, so a failure is found again.
//! By default each target runs a few hundred; `TOXSCREEN_FUZZ_RUNS` and `TOXSCREEN_FUZZ_SECONDS` bound
//! longer ones, `TOXSCREEN_FUZZ_FIRST` goes on behind an earlier one (docs/guide/long-tests.md).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binary;
mod harness;
mod memory;
mod mutate;
mod study;
mod text;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;
