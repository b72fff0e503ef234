//! The products with the training rows, which are where the time goes.
//!
//! Rows of 8-bit values are multiplied as integers where the machine can (see [`bytes`]), else made
//! real, a block at a time, and multiplied as reals. The instruction set is chosen at run time
//! (AVX-512, AVX2, portable), see [`isa`]. Sums never depend on the number of threads; instruction sets do
//! change the last digits.

pub mod bytes;
pub mod plain;
pub mod reals;

use crate::points::Points;
use crate::real::Real;
use bytes::Digits;
use pulp::{Simd, WithSimd};
use std::ops::Range;
use tox_data::isa;

/// Runs `f` compiled for the instruction set in use. To profit, `f` and what it calls must be
/// `#[inline(always)]`.
#[inline(always)]
pub fn fast<R>(f: impl FnOnce() -> R) -> R {
    struct Plain<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Plain<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    isa::dispatch(Plain(f))
}

/// A matrix of coefficients `(a, b)` in memory of any order.
#[derive(Clone, Copy)]
pub struct Coefficients<'a, F> {
    values: &'a [F],
    /// From one `a` to the next, and from one `b` to the next.
    strides: (usize, usize),
}

impl<'a, F: Copy> Coefficients<'a, F> {
    /// `(k, r)` of values that lie unit by unit, `pitch` values a unit.
    pub fn by_unit(values: &'a [F], pitch: usize) -> Self {
        Self {
            values,
            strides: (pitch, 1),
        }
    }

    /// `(r, k)` of the same.
    pub fn by_row(values: &'a [F], pitch: usize) -> Self {
        Self {
            values,
            strides: (1, pitch),
        }
    }

    /// One of them.
    #[inline(always)]
    pub fn at(&self, a: usize, b: usize) -> F {
        self.values[a * self.strides.0 + b * self.strides.1]
    }
}

/// Whether 8-bit rows of `d` columns are multiplied as integers.
pub fn integers<F: Real>(d: usize) -> bool {
    F::IS_SINGLE && d <= bytes::MAX_COLUMNS && isa::integers()
}

/// Some rows of points, as the kernels read them.
#[derive(Clone, Copy)]
pub enum Rows<'a, F> {
    /// 8-bit values for the integer kernels: a feature is `scale * byte + offset`.
    Bytes {
        bytes: &'a [u8],
        scale: F,
        offset: F,
    },
    /// Features.
    Reals(&'a [F]),
}

impl<'a, F: Real> Rows<'a, F> {
    /// Rows `range` of `points`; bytes that no integer kernel takes are made real in `room`.
    pub fn of(points: &'a Points<F>, range: Range<usize>, room: &'a mut Vec<F>) -> Self {
        match points.rows(range) {
            Rows::Bytes {
                bytes,
                scale,
                offset,
            } if !integers::<F>(points.features) => {
                room.resize(bytes.len(), F::zero());
                fast(
                    #[inline(always)]
                    || {
                        for (x, &byte) in room.iter_mut().zip(bytes) {
                            *x = scale * F::of_byte(byte) + offset;
                        }
                    },
                );
                Rows::Reals(room)
            }
            rows => rows,
        }
    }

    /// `out[k * pitch + r] = x[r] . w[k]` for each row `r` and each row `k` of the matrix `w`, which
    /// has `d` columns; `digits` are those of `w`.
    pub fn project(self, d: usize, w: &[F], digits: &Digits, out: &mut [F], pitch: usize) {
        match self {
            Rows::Reals(x) => F::project(x, d, w, out, pitch),
            Rows::Bytes {
                bytes,
                scale,
                offset,
            } => {
                if let Some(out) = F::singles_mut(out) {
                    let affine = (scale.wide() as f32, offset.wide() as f32);
                    bytes::project(bytes, d, affine, digits, out, pitch);
                }
            }
        }
    }

    /// `g[k * d + j] += sum over r of delta[k * pitch + r] * x[r][j]`, the transposed product.
    pub fn accumulate(
        self,
        d: usize,
        delta: &[F],
        pitch: usize,
        room: &mut Vec<[i32; 3]>,
        g: &mut [F],
    ) {
        match self {
            Rows::Reals(x) => F::combine(Coefficients::by_unit(delta, pitch), x, d, g),
            Rows::Bytes {
                bytes,
                scale,
                offset,
            } => {
                if let (Some(delta), Some(g)) = (F::singles(delta), F::singles_mut(g)) {
                    let affine = (scale.wide() as f32, offset.wide() as f32);
                    bytes::accumulate(bytes, d, affine, delta, pitch, room, g);
                }
            }
        }
    }
}
