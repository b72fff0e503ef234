//! Depthwise convolutions: a kernel that slides down the columns of one channel.
//!
//! A vector of a row of pixels is loaded once for each column of the kernel and serves all rows of
//! it, where a sum of shifted views would load it again for every tap.

use super::layout::Layout;
use super::{load, store};
use crate::kernels::dispatch;
use pulp::{Simd, WithSimd};

/// Maps of fewer columns leave too much of a vector empty: measured, 16 columns gain a quarter, 8
/// nothing, 4 lose.
const NARROWEST: usize = 12;

/// Whether [`correlate`] and [`products`] do a convolution of one channel with itself: kernel 3, 5 or 7,
/// stride 1, no tap that sees padding alone, a map that is wide enough.
pub fn slides(layout: &Layout, kernel: usize) -> bool {
    let whole = layout.taps.len() == kernel * kernel;
    let wide = layout.output.w >= NARROWEST;
    matches!(kernel, 3 | 5 | 7) && layout.input.step == 1 && whole && wide
}

/// One padded channel of a tile of images.
#[derive(Clone, Copy)]
pub struct Channel<'a> {
    /// The layout of its row.
    pub layout: &'a Layout,
    /// Images in the tile.
    pub images: usize,
    /// From one tap to the next, in pixels.
    pub dilation: usize,
    /// The row, zero in the padding.
    pub x: &'a [f32],
}

/// `out = sum over taps of weights[tap] * x shifted by the tap`; `weights` row by row.
pub fn correlate(channel: Channel<'_>, kernel: usize, weights: &[f32], out: &mut [f32]) {
    match kernel {
        3 => dispatch(Correlate::<3>(channel, weights, out)),
        5 => dispatch(Correlate::<5>(channel, weights, out)),
        _ => dispatch(Correlate::<7>(channel, weights, out)),
    }
}

/// Adds the sum of `x` shifted by each tap times `dy` (a row laid out as `x`, whose images begin `front`
/// in) to `sums`.
pub fn products(channel: Channel<'_>, kernel: usize, dy: &[f32], sums: &mut [f32]) {
    match kernel {
        3 => dispatch(Products::<3>(channel, dy, sums)),
        5 => dispatch(Products::<5>(channel, dy, sums)),
        _ => dispatch(Products::<7>(channel, dy, sums)),
    }
}

impl Channel<'_> {
    /// Where the first tap of the first output of row `row` of image `m` lies, from column `c` on; a row
    /// before the image is below 0.
    #[inline(always)]
    fn first_tap(&self, m: usize, row: isize, c: usize, half: usize) -> usize {
        let start = self.layout.front + m * self.layout.image + c - half * self.dilation;
        start.wrapping_add_signed(row * self.layout.pitch as isize)
    }

    /// Panics unless every read of a kernel of `2 * half + 1` rows and columns is within a row, vectors of
    /// `lanes` values included.
    #[inline(always)]
    fn check(&self, half: usize, lanes: usize, other: usize) {
        let (l, reach) = (self.layout, half * self.dilation);
        let last = (self.images - 1) * l.image + (l.output.h - 1) * l.pitch;
        let columns = l.output.w.next_multiple_of(lanes);
        assert!(self.images > 0 && reach * l.pitch + reach <= l.front);
        assert!(l.front + last + reach * l.pitch + reach + columns <= self.x.len());
        assert!(l.front + last + columns <= other);
    }
}

struct Correlate<'a, const K: usize>(Channel<'a>, &'a [f32], &'a mut [f32]);

impl<const K: usize> WithSimd for Correlate<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let width = self.0.layout.output.w;
        self.0.check(K / 2, S::F32_LANES, self.2.len());
        assert!(self.1.len() == K * K);
        // A vector may write beyond the end of its row, into the next one. What it writes there is that
        // place's own sum, as every lane is the sum at its own place.
        let mut end = width.next_multiple_of(S::F32_LANES);
        while end >= 2 * S::F32_LANES {
            end -= 2 * S::F32_LANES;
            self.columns::<S, 2>(simd, end);
        }
        if end > 0 {
            self.columns::<S, 1>(simd, 0);
        }
    }
}

impl<const K: usize> Correlate<'_, K> {
    /// The columns from `c` on.
    #[inline(always)]
    fn columns<S: Simd, const VECS: usize>(&mut self, simd: S, c: usize) {
        let (channel, weights) = (self.0, self.1);
        let (l, d) = (channel.layout, channel.dilation);
        let h = l.output.h;
        for m in 0..channel.images {
            // Rows that lie a dilation apart share their inputs.
            for start in 0..d.min(h) {
                let rows = (h - start).div_ceil(d);
                let mut sums = [[simd.splat_f32s(0.0); VECS]; K];
                // Row `u` is row `ky` of the kernel for output `u + K / 2 - ky`, whose sum is `sums[ky]`.
                for u in -((K / 2) as isize)..(rows + K / 2) as isize {
                    let row = start as isize + u * d as isize;
                    let at = channel.first_tap(m, row, c, K / 2);
                    for kx in 0..K {
                        let mut x = [simd.splat_f32s(0.0); VECS];
                        for (v, x) in x.iter_mut().enumerate() {
                            // SAFETY: rows reach K / 2 dilations beyond the image, columns too, and
                            // `check` has asserted that these lie within the row.
                            *x = unsafe { load::<S>(channel.x, at + kx * d + v * S::F32_LANES) };
                        }
                        for ky in 0..K {
                            let w = simd.splat_f32s(weights[ky * K + kx]);
                            for v in 0..VECS {
                                sums[ky][v] = simd.mul_add_e_f32s(w, x[v], sums[ky][v]);
                            }
                        }
                    }
                    let done = u - (K / 2) as isize;
                    if done >= 0 {
                        let row = start + done as usize * d;
                        let to = m * l.image + row * l.pitch + c;
                        for (v, &sum) in sums[K - 1].iter().enumerate() {
                            // SAFETY: `row` is one of the image; `check` has asserted that its columns,
                            // in whole vectors, lie within `out`.
                            unsafe { store::<S>(self.2, to + v * S::F32_LANES, sum) };
                        }
                    }
                    for ky in (1..K).rev() {
                        sums[ky] = sums[ky - 1];
                    }
                    sums[0] = [simd.splat_f32s(0.0); VECS];
                }
            }
        }
    }
}

struct Products<'a, const K: usize>(Channel<'a>, &'a [f32], &'a mut [f32]);

impl<const K: usize> WithSimd for Products<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.0.check(K / 2, S::F32_LANES, self.1.len());
        assert!(self.2.len() == K * K);
        // As many columns of the kernel at a time as leave their sums in registers.
        match K {
            3 => self.taps::<S, 3>(simd, 0),
            5 => {
                self.taps::<S, 3>(simd, 0);
                self.taps::<S, 2>(simd, 3);
            }
            _ => {
                for kx in [0, 2, 4] {
                    self.taps::<S, 2>(simd, kx);
                }
                self.taps::<S, 1>(simd, 6);
            }
        }
    }
}

impl<const K: usize> Products<'_, K> {
    /// The kernel's columns `first..first + COLUMNS`.
    #[inline(always)]
    fn taps<S: Simd, const COLUMNS: usize>(&mut self, simd: S, first: usize) {
        let (channel, dys) = (self.0, self.1);
        let (l, d) = (channel.layout, channel.dilation);
        let (h, w) = (l.output.h, l.output.w);
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; K]; COLUMNS];
        for m in 0..channel.images {
            for c in (0..w).step_by(S::F32_LANES) {
                for start in 0..d.min(h) {
                    let rows = (h - start).div_ceil(d);
                    // The output's gradients that row `u` is row `ky` of the kernel for.
                    let mut dy = [zero; K];
                    for u in -((K / 2) as isize)..(rows + K / 2) as isize {
                        for ky in (1..K).rev() {
                            dy[ky] = dy[ky - 1];
                        }
                        let next = u + (K / 2) as isize;
                        dy[0] = if next < rows as isize {
                            let row = start + next as usize * d;
                            let at = l.front + m * l.image + row * l.pitch + c;
                            // SAFETY: `row` is one of the image; `check` has asserted that its columns, in
                            // whole vectors, lie within `dy`.
                            let all = unsafe { load::<S>(dys, at) };
                            // What lies beyond the row is the next one's.
                            let inside = (w - c).min(S::F32_LANES) as u32;
                            let lanes = simd.mask_between_m32s(0, inside).mask();
                            simd.select_f32s(lanes, all, zero)
                        } else {
                            zero
                        };
                        let row = start as isize + u * d as isize;
                        let at = channel.first_tap(m, row, c, K / 2) + first * d;
                        for (kx, sums) in sums.iter_mut().enumerate() {
                            // SAFETY: as in `Correlate::columns`.
                            let x = unsafe { load::<S>(channel.x, at + kx * d) };
                            for (sum, &dy) in sums.iter_mut().zip(&dy) {
                                *sum = simd.mul_add_e_f32s(x, dy, *sum);
                            }
                        }
                    }
                }
            }
        }
        for (kx, sums) in sums.iter().enumerate() {
            for (ky, sum) in sums.iter().enumerate() {
                self.2[ky * K + first + kx] += simd.reduce_sum_f32s(*sum);
            }
        }
    }
}
