//! Dot products of shifted views with rows: the weight gradient.

use super::load;
use pulp::{Simd, WithSimd};

/// Adds the dot product of each view with each row to `sums`.
pub struct Dots<'a> {
    /// Padded input rows.
    pub x: &'a [f32],
    /// Where each view begins in `x`.
    pub views: &'a [usize],
    /// Rows of the output's gradient, `stride` apart, zero in the padding.
    pub dy: &'a [f32],
    /// Where a row's values begin.
    pub front: usize,
    /// From one row to the next.
    pub stride: usize,
    /// `[rows][views]`, added to.
    pub sums: &'a mut [f32],
    /// Values of a row.
    pub len: usize,
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.sums.len() / self.views.len().max(1);
        let mut r = 0;
        while r < rows {
            let size = if rows - r >= 4 { 4 } else { 1 };
            for v in (0..self.views.len()).step_by(6) {
                match (size, S::REGISTER_COUNT >= 32) {
                    (4, true) => self.run::<S, 4, 6>(simd, r, v),
                    (4, false) => {
                        self.run::<S, 4, 2>(simd, r, v);
                        self.run::<S, 4, 2>(simd, r, v + 2);
                        self.run::<S, 4, 2>(simd, r, v + 4);
                    }
                    _ => self.run::<S, 1, 6>(simd, r, v),
                }
            }
            r += size;
        }
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VIEWS: usize>(&mut self, simd: S, r: usize, v: usize) {
        let Some(last) = self.views.len().checked_sub(1) else {
            return;
        };
        if v > last {
            return;
        }
        // Past the last view: that view again, its sum dropped.
        let starts: [usize; VIEWS] = std::array::from_fn(|k| self.views[(v + k).min(last)]);
        let end = self.len.next_multiple_of(S::F32_LANES);
        assert!(starts.iter().all(|s| s + end <= self.x.len()));
        assert!(self.front + end <= self.stride && (r + ROWS) * self.stride <= self.dy.len());
        let mut sums = [[simd.splat_f32s(0.0); VIEWS]; ROWS];
        for j in (0..end).step_by(S::F32_LANES) {
            let mut x = [simd.splat_f32s(0.0); VIEWS];
            for (x, start) in x.iter_mut().zip(starts) {
                // SAFETY: start + end <= x.len(), asserted above.
                *x = unsafe { load::<S>(self.x, start + j) };
            }
            for (k, sums) in sums.iter_mut().enumerate() {
                // SAFETY: front + end <= stride and the rows fit in dy, asserted above.
                let dy = unsafe { load::<S>(self.dy, (r + k) * self.stride + self.front + j) };
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_e_f32s(dy, x, *sum);
                }
            }
        }
        for (k, sums) in sums.iter().enumerate() {
            let to = &mut self.sums[(r + k) * self.views.len() + v..(r + k + 1) * self.views.len()];
            for (to, &sum) in to.iter_mut().zip(sums) {
                *to += simd.reduce_sum_f32s(sum);
            }
        }
    }
}
