//! Sums of shifted views: the convolution and its input gradient.

use super::layout::{Layout, Tap};
use super::{load, store};
use crate::kernels::dispatch;
use pulp::{Simd, WithSimd};

/// `out[o] = sum over i, taps of at(group, o, i, tap) * in[i]` shifted by the tap, for the rows of one
/// group of one tile.
pub struct Shifted {
    /// Channels in and out of a group.
    channels: (usize, usize),
    /// Values from one channel in to the next.
    stride: usize,
    /// Where each tap's view begins in a channel's rows.
    offsets: Vec<usize>,
    /// First channel and size of each block of channels out.
    blocks: Vec<(usize, usize)>,
    /// Weights in the order in which the inner loop reads them: group, block, input, tap, output.
    packed: Vec<f32>,
}

impl Shifted {
    /// The convolution: every tap reads its phase's row.
    pub fn forward(
        layout: &Layout,
        groups: usize,
        channels: (usize, usize),
        at: impl Fn(usize, usize, usize, &Tap) -> f32,
    ) -> Self {
        let start = |t: &Tap| t.phase * layout.row + layout.front.wrapping_add_signed(t.offset);
        let taps = layout.taps.iter().map(|t| (t, start(t))).collect();
        let stride = layout.input.phases.len() * layout.row;
        Self::new(taps, stride, groups, channels, at)
    }

    /// The gradient by one phase of the input: its taps, negated.
    pub fn backward(
        layout: &Layout,
        phase: usize,
        groups: usize,
        channels: (usize, usize),
        at: impl Fn(usize, usize, usize, &Tap) -> f32,
    ) -> Self {
        let taps = layout.taps.iter().filter(|t| t.phase == phase);
        let taps = taps.map(|t| (t, layout.front.wrapping_add_signed(-t.offset)));
        Self::new(taps.collect(), layout.row, groups, channels, at)
    }

    /// Packs the weights.
    fn new(
        taps: Vec<(&Tap, usize)>,
        stride: usize,
        groups: usize,
        (ci, co): (usize, usize),
        at: impl Fn(usize, usize, usize, &Tap) -> f32,
    ) -> Self {
        let blocks = blocks(co);
        let mut packed = Vec::with_capacity(groups * co * ci * taps.len());
        for group in 0..groups {
            for &(first, size) in &blocks {
                for i in 0..ci {
                    for (tap, _) in &taps {
                        packed.extend((first..first + size).map(|o| at(group, o, i, tap)));
                    }
                }
            }
        }
        Self {
            channels: (ci, co),
            stride,
            offsets: taps.into_iter().map(|(_, start)| start).collect(),
            blocks,
            packed,
        }
    }

    /// Sums the padded rows of `group` into `rows`, of which the first `len` values are written.
    pub fn group(
        &self,
        group: usize,
        layout: &Layout,
        padded: &[f32],
        rows: &mut [f32],
        len: usize,
    ) {
        let (ci, co) = self.channels;
        let mut weights = &self.packed[group * co * ci * self.offsets.len()..];
        for &(first, size) in &self.blocks {
            let (block, rest) = weights.split_at(size * ci * self.offsets.len());
            weights = rest;
            dispatch(ShiftedSum {
                x: padded,
                channel: self.stride,
                inputs: ci,
                offsets: &self.offsets,
                weights: block,
                size,
                stride: layout.row,
                out: &mut rows[first * layout.row..][..size * layout.row],
                len,
            });
        }
    }
}

/// `y = W x` for the first `len` columns of matrices whose rows are `stride` values apart: `x` with the given
/// rows, `y` with as many as a block of channels has, and `weights` `[rows of x][rows of y]`.
pub fn product(
    (x, inputs): (&[f32], usize),
    weights: &[f32],
    (y, size): (&mut [f32], usize),
    stride: usize,
    len: usize,
) {
    dispatch(ShiftedSum {
        x,
        channel: stride,
        inputs,
        offsets: &[0],
        weights,
        size,
        stride,
        out: y,
        len,
    });
}

/// Channels in blocks for which the accumulators stay in registers: first channel and size of each.
pub fn blocks(channels: usize) -> Vec<(usize, usize)> {
    let largest = if registers() >= 32 { 12 } else { 6 };
    let mut blocks = Vec::new();
    let mut first = 0;
    while first < channels {
        let most = largest.min(channels - first);
        let size = [12, 6, 4, 2].into_iter().find(|&b| b <= most).unwrap_or(1);
        blocks.push((first, size));
        first += size;
    }
    blocks
}

/// Vector registers of the instruction set in use.
fn registers() -> usize {
    struct Registers;
    impl WithSimd for Registers {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::REGISTER_COUNT
        }
    }
    dispatch(Registers)
}

struct ShiftedSum<'a> {
    /// Padded input rows, those of a channel `channel` values from those of the next.
    x: &'a [f32],
    channel: usize,
    inputs: usize,
    /// Where each tap's view begins in a channel's rows.
    offsets: &'a [usize],
    /// `[inputs][offsets][size]`.
    weights: &'a [f32],
    /// Output rows, `stride` apart.
    size: usize,
    stride: usize,
    out: &'a mut [f32],
    len: usize,
}

impl WithSimd for ShiftedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.size {
            12 => self.run::<S, 12, 2>(simd),
            6 => self.run::<S, 6, 2>(simd),
            4 => self.run::<S, 4, 2>(simd),
            2 => self.run::<S, 2, 4>(simd),
            _ => self.run::<S, 1, 4>(simd),
        }
    }
}

impl ShiftedSum<'_> {
    /// `ROWS` output rows, `VECS` vectors of each at a time.
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECS: usize>(self, simd: S) {
        let step = VECS * S::F32_LANES;
        let end = self.len.next_multiple_of(step);
        let furthest = self.offsets.iter().max().map_or(0, |o| o + end);
        assert!(furthest <= self.channel && end <= self.stride);
        assert!(self.inputs * self.channel <= self.x.len());
        assert!(ROWS * self.stride <= self.out.len());
        assert!(self.weights.len() == ROWS * self.inputs * self.offsets.len());
        for j in (0..end).step_by(step) {
            let mut sums = [[simd.splat_f32s(0.0); VECS]; ROWS];
            let mut weights = self.weights.chunks_exact(ROWS);
            for i in 0..self.inputs {
                for &offset in self.offsets {
                    let at = i * self.channel + offset + j;
                    let mut x = [simd.splat_f32s(0.0); VECS];
                    for (v, x) in x.iter_mut().enumerate() {
                        // SAFETY: at + step <= i * channel + furthest <= x.len(), asserted above.
                        *x = unsafe { load::<S>(self.x, at + v * S::F32_LANES) };
                    }
                    let Some(w) = weights.next() else { return };
                    for r in 0..ROWS {
                        let w = simd.splat_f32s(w[r]);
                        for v in 0..VECS {
                            sums[r][v] = simd.mul_add_e_f32s(w, x[v], sums[r][v]);
                        }
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let at = r * self.stride + j + v * S::F32_LANES;
                    // SAFETY: j + step <= end <= stride and the rows fit in out, asserted above.
                    unsafe { store::<S>(self.out, at, sum) };
                }
            }
        }
    }
}
