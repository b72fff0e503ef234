//! The products with the training rows, which are where the time goes: in vectors for f32
//! ([`simd`]), in plain loops for f64 ([`plain`]), which is also what the vectors are tested
//! against. The instruction set is chosen at run time (AVX-512, AVX2, portable).

pub mod plain;
pub mod simd;
