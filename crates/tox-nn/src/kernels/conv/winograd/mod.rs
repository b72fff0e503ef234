//! Dense convolutions of stride 1 with fewer products: F(4x4, 3x3) and F(4x4, 5x5) of Winograd, as in
//! Lavin and Gray (2016), arXiv:1509.09308, section 4.
//!
//! A tile of 6x6 or 8x8 pixels in, the outer ones its neighbours' too, becomes 36 or 64 sums of them; at
//! each of these points a matrix of weights is multiplied with all channels; sums of the products are the
//! 4x4 pixels out. Of kernels of three that is a quarter of the products, of five a sixth. The gradient by
//! the input is such a convolution too, and that by the weights is made of the same points.
//!
//! The sums lose a digit where values of a tile are of one size. Where they are not finite, or so large that
//! a sum might not be, there is nothing here: the caller takes the direct way, for the whole map.

mod form;
mod map;
mod weights;

use super::sum::blocks;
use super::{Geometry, Sizes};
use crate::kernels::par_chunks;
use form::{Five, Form, MOST, OUT, Three};
pub use weights::weights;

/// Values of the widest vector; a line of tiles is filled up to a multiple.
const LANES: usize = 16;
/// Values between the points' matrices: at a distance of a power of two they would take each other's
/// places in cache.
const GAP: usize = 16;
/// Fewer channels do not pay for the sums.
pub const FEWEST: usize = 16;
/// Values and weights must be smaller than this, so that no sum of products overflows on the way.
const LARGEST: f32 = (1u64 << 40) as f32;

/// Whether a convolution is of this kind, large enough, and may go this way.
pub fn suits(g: Geometry, s: Sizes) -> bool {
    let kind = [3, 5].contains(&g.kernel) && (g.dilation, g.stride, g.groups) == (1, 1, 1);
    g.winograd && kind && s.c_in.min(s.c_out) >= FEWEST && s.h.min(s.w) >= 4
}

/// Whether all values are finite and not too large.
#[inline(always)]
fn tame(x: &[f32]) -> bool {
    // As numbers: those of NaN and infinity are larger than all others, and vectors have a maximum.
    let size = |v: &f32| v.to_bits() & !(1 << 31);
    x.iter().fold(0, |most, v| size(v).max(most)) < LARGEST.to_bits()
}

/// A convolution of this kind, or the gradient of one by its input, which is one too.
pub struct Winograd {
    taps: usize,
    /// Channels in and out.
    channels: (usize, usize),
    /// Rows and columns.
    map: (usize, usize),
    n: usize,
    /// Images side by side.
    images: usize,
    /// Values of a line of tiles.
    line: usize,
    /// Rows of tiles in a band.
    rows: usize,
    /// First channel and size of each block of channels out.
    blocks: Vec<(usize, usize)>,
    /// Weights in the order in which they are read: block, point, channel in, channel out.
    packed: Vec<f32>,
}

impl Winograd {
    /// The convolution, if its weights allow.
    pub fn forward(g: Geometry, s: Sizes, weight: &[f32]) -> Option<Self> {
        let (ci, kk) = (s.c_in, g.kernel * g.kernel);
        Self::new(g, s, (ci, s.c_out), weight, |o, i, k| (o * ci + i) * kk + k)
    }

    /// Its gradient by the input, if its weights allow: the kernels turned by 180 degrees.
    pub fn backward(g: Geometry, s: Sizes, weight: &[f32]) -> Option<Self> {
        let (ci, kk) = (s.c_in, g.kernel * g.kernel);
        Self::new(g, s, (s.c_out, ci), weight, |i, o, k| {
            (o * ci + i) * kk + kk - 1 - k
        })
    }

    /// `at`: where tap `k` of the kernel from one channel to another is.
    fn new(
        g: Geometry,
        s: Sizes,
        channels: (usize, usize),
        weight: &[f32],
        at: impl Fn(usize, usize, usize) -> usize + Sync,
    ) -> Option<Self> {
        if !tame(weight) {
            return None;
        }
        let across = s.w.div_ceil(OUT);
        let images = (LANES / across).clamp(1, s.n.max(1));
        let line = (images * across).next_multiple_of(LANES);
        let band = if g.kernel == 3 {
            Three::BAND
        } else {
            Five::BAND
        };
        let rows = (band / line).clamp(1, s.h.div_ceil(OUT));
        let blocks = blocks(channels.1);
        let packed = match g.kernel {
            3 => packed::<Three>(channels, &blocks, weight, at),
            _ => packed::<Five>(channels, &blocks, weight, at),
        };
        Some(Self {
            taps: g.kernel,
            channels,
            map: (s.h, s.w),
            n: s.n,
            images,
            line,
            rows,
            blocks,
            packed,
        })
    }
}

/// `G g G^T` of all kernels `g`.
fn packed<F: Form>(
    (ci, co): (usize, usize),
    blocks: &[(usize, usize)],
    weight: &[f32],
    at: impl Fn(usize, usize, usize) -> usize + Sync,
) -> Vec<f32> {
    let points = F::SIDE * F::SIDE;
    let mut packed = vec![0.0; points * ci * co];
    let mut rest = packed.as_mut_slice();
    let mut parts = Vec::with_capacity(blocks.len());
    for &(first, size) in blocks {
        let (part, later) = rest.split_at_mut(points * ci * size);
        rest = later;
        parts.push((first, size, part));
    }
    par_chunks(&mut parts, 1, weight.len(), |_, parts| {
        for (first, size, part) in parts {
            for i in 0..ci {
                for o in 0..*size {
                    let tap = |k: usize| f64::from(weight[at(*first + o, i, k)]);
                    // Along rows, then down columns.
                    let mut lines = [[0.0f64; MOST]; 5];
                    for (y, line) in lines.iter_mut().enumerate().take(F::TAPS) {
                        for (value, factors) in line.iter_mut().zip(F::KERNEL).take(F::SIDE) {
                            *value = (0..F::TAPS)
                                .map(|x| factors[x] * tap(y * F::TAPS + x))
                                .sum();
                        }
                    }
                    for (p, factors) in F::KERNEL.iter().enumerate().take(F::SIDE) {
                        let mut all = [0.0f64; MOST];
                        for (line, factor) in lines.iter().zip(factors) {
                            all.iter_mut()
                                .zip(line)
                                .for_each(|(sum, v)| *sum += factor * v);
                        }
                        for (q, value) in all.into_iter().enumerate().take(F::SIDE) {
                            part[((p * F::SIDE + q) * ci + i) * *size + o] = value as f32;
                        }
                    }
                }
            }
        }
    });
    packed
}
