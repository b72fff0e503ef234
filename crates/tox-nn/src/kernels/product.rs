//! Matrix products. Every value is one sum in the order of the inner dimension, whatever the tiles, so
//! that neither the number of threads nor the sizes of caches change it.

use super::par_chunks;
use pulp::{Simd, WithSimd};
use tox_data::isa::dispatch;

/// Rows of a product that one task computes.
const ROWS: usize = 48;

/// Multiply-adds that count as one value looked at.
const WORK: usize = 16;

/// A matrix in memory of any order.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// From its first value on.
    pub values: &'a [f32],
    /// Rows and columns.
    pub size: [usize; 2],
    /// From one row to the next, and from one column to the next.
    pub strides: [usize; 2],
}

impl Matrix<'_> {
    /// Rows and columns exchanged, if they are to be.
    pub fn turned(mut self, turned: bool) -> Self {
        if turned {
            self.size.reverse();
            self.strides.reverse();
        }
        self
    }

    /// Its columns in panels of `width`, row after row, with zeros behind the last.
    fn panels(self, width: usize) -> Vec<f32> {
        let ([rows, columns], [down, right]) = (self.size, self.strides);
        let panels = columns.div_ceil(width);
        let mut packed = vec![0.0; panels * rows * width];
        for (panel, packed) in packed.chunks_exact_mut((rows * width).max(1)).enumerate() {
            let first = panel * width;
            let held = width.min(columns - first);
            if right == 1 {
                for (row, to) in packed.chunks_exact_mut(width).enumerate() {
                    let from = row * down + first;
                    to[..held].copy_from_slice(&self.values[from..from + held]);
                }
            } else {
                // Row by row of what is read, as it lies in memory.
                for column in 0..held {
                    let from = &self.values[(first + column) * right..];
                    for (row, to) in packed.chunks_exact_mut(width).enumerate() {
                        to[column] = from[row * down];
                    }
                }
            }
        }
        packed
    }
}

/// `out = a b`, row by row.
pub fn product(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32]) {
    let ([m, k], [inner, n]) = (a.size, b.size);
    assert!(k == inner && out.len() == m * n, "sizes of a product");
    if k == 0 || out.is_empty() {
        out.fill(0.0);
        return;
    }
    let width = dispatch(Width(n));
    let packed = b.panels(width);
    par_chunks(out, ROWS * n, work(m, k, n), |chunk, out| {
        dispatch(Product {
            a,
            first: chunk * ROWS,
            b: &packed,
            width,
            n,
            out,
        });
    });
}

/// What [`par_chunks`] asks for.
pub fn work(m: usize, k: usize, n: usize) -> usize {
    m * k * n / WORK
}

/// How wide panels are for so many columns: two vectors, or one where they fit in it.
struct Width(usize);

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        // What is portable becomes vectors of four by the compiler's hand.
        let lanes = S::F32_LANES.max(4);
        if self.0 <= lanes { lanes } else { 2 * lanes }
    }
}

/// Rows of a product from `first` on.
struct Product<'a> {
    a: Matrix<'a>,
    first: usize,
    b: &'a [f32],
    width: usize,
    n: usize,
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let one = self.width <= S::F32_LANES.max(4);
        match (S::F32_LANES, S::REGISTER_COUNT >= 32, one) {
            (1, _, true) => self.rows::<S, 2, 4>(simd),
            (1, _, false) => self.rows::<S, 2, 8>(simd),
            (_, true, true) => self.rows::<S, 12, 1>(simd),
            (_, true, false) => self.rows::<S, 12, 2>(simd),
            (_, false, true) => self.rows::<S, 6, 1>(simd),
            (_, false, false) => self.rows::<S, 6, 2>(simd),
        }
    }
}

impl Product<'_> {
    /// `A` rows at a time, then the rest.
    #[inline(always)]
    fn rows<S: Simd, const A: usize, const V: usize>(&mut self, simd: S) {
        let rows = self.out.len() / self.n;
        let mut row = 0;
        while row + A <= rows {
            self.panels::<S, A, V>(simd, row);
            row += A;
        }
        while row + 3 <= rows {
            self.panels::<S, 3, V>(simd, row);
            row += 3;
        }
        while row < rows {
            self.panels::<S, 1, V>(simd, row);
            row += 1;
        }
    }

    #[inline(always)]
    fn panels<S: Simd, const A: usize, const V: usize>(&mut self, simd: S, row: usize) {
        let k = self.a.size[1];
        for (i, panel) in self.b.chunks_exact(k * self.width).enumerate() {
            let sums = self.tile::<S, A, V>(simd, row, panel);
            let first = i * self.width;
            for (a, sums) in sums.iter().enumerate() {
                let start = (row + a) * self.n + first;
                let end = (row + a) * self.n + self.n.min(first + self.width);
                let mut rest = &mut self.out[start..end];
                for &sum in sums {
                    let held = rest.len().min(S::F32_LANES);
                    if held == 0 {
                        break;
                    }
                    let (now, later) = rest.split_at_mut(held);
                    simd.partial_store_f32s(now, sum);
                    rest = later;
                }
            }
        }
    }

    /// `A` rows from `row` on, times a panel.
    #[inline(always)]
    fn tile<S: Simd, const A: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        panel: &[f32],
    ) -> [[S::f32s; V]; A] {
        let ([down, right], width) = (self.a.strides, V * S::F32_LANES);
        let mut sums = [[simd.splat_f32s(0.0); V]; A];
        let first = (self.first + row) * down;
        for (p, b) in panel.chunks_exact(width).enumerate() {
            let (b, _) = S::as_simd_f32s(b);
            let b: [S::f32s; V] = std::array::from_fn(|v| b[v]);
            let at = first + p * right;
            for (i, sums) in sums.iter_mut().enumerate() {
                let a = simd.splat_f32s(self.a.values[at + i * down]);
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = simd.mul_add_e_f32s(a, b, *sum);
                }
            }
        }
        sums
    }
}
