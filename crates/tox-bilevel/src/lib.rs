//! Hyper-parameter learning under data poisoning, as a multiobjective bilevel problem.
//!
//! Floor 3 of the house; follows Carnerero-Cano, Munoz-Gonzalez, Spencer and Lupu, "Hyperparameter
//! Learning under Data Poisoning" (`min over lambda, max over the poison of A(D_val, w*)`, with `w*`
//! trained on the poisoned set). [`config`] says what a learner and an adversary are, [`outcome`]
//! what is measured.

pub mod advice;
mod ascent;
pub mod audit;
mod block;
pub mod config;
pub mod converge;
pub mod craft;
pub mod effect;
pub mod hypergradient;
pub mod inner;
mod kernels;
pub mod measures;
pub mod model;
pub mod outcome;
pub mod own;
pub mod pass;
pub mod points;
pub mod real;
pub mod scale;
pub mod sets;
pub mod steady;
pub mod synthetic;
pub mod victim;
