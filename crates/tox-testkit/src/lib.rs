//! What the tests of all crates share: small data, computations that are stopped anywhere, numbers that are
//! close, and the program as a user runs it. A dev-dependency, part of no program; it fails by panics.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod arrays;
pub mod data;
pub mod numbers;
pub mod program;
pub mod recipes;
pub mod stops;

/// The genotype that DARTS published as its second.
pub const DARTS_V2: &str = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), \
    ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), \
    ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], \
    reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), \
    ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], \
    reduce_concat=[2, 3, 4, 5])";
