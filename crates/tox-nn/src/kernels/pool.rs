//! Pooling 3x3, stride 1, padding 1, and the pixel gather of a factorised reduction.

use super::{buffer_pool, dispatch, par_chunks, scratch};
use pulp::{Simd, WithSimd};

/// Which pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Average; the padding counts.
    Average,
    /// Maximum; NaN wins, the first of equals wins (row by row), as in PyTorch. Of a window of nothing
    /// but minus infinity the centre takes the gradient.
    Max,
}

/// Pools every plane of `h` x `w`.
pub fn forward(x: &[f32], kind: Pool, h: usize, w: usize) -> Vec<f32> {
    planes(x, None, kind, h, w)
}

/// The gradient of [`forward`] with respect to its input: of the maximum of `x`, or of the average.
pub fn backward(x: Option<&[f32]>, dy: &[f32], h: usize, w: usize) -> Vec<f32> {
    match x {
        // The sum over a symmetric window is its own transpose.
        None => planes(dy, None, Pool::Average, h, w),
        Some(x) => planes(x, Some(dy), Pool::Max, h, w),
    }
}

/// Planes that one task works through.
const PLANES: usize = 16;

/// Most values of a vector: what may be worked on beyond the end of a row.
const MOST_LANES: usize = 16;

fn planes(x: &[f32], dy: Option<&[f32]>, kind: Pool, h: usize, w: usize) -> Vec<f32> {
    let plane = h * w;
    let mut out = buffer_pool::take(x.len());
    par_chunks(&mut out, PLANES * plane, x.len(), |t, out| {
        let pitch = w + 2;
        let padded = (h + 2) * pitch + MOST_LANES;
        scratch([padded, padded, padded], |[xs, dys, taps]| {
            for (p, out) in out.chunks_exact_mut(plane).enumerate() {
                let at = (t * PLANES + p) * plane;
                dispatch(Plane {
                    x: &x[at..at + plane],
                    dy: dy.map(|dy| &dy[at..at + plane]),
                    kind,
                    w,
                    xs,
                    dys,
                    taps,
                    out,
                });
            }
        });
    });
    out
}

/// One plane. Scratch holds planes as flat rows `w + 2` apart, behind a margin of a row above and of
/// a value on each side.
struct Plane<'a> {
    x: &'a [f32],
    dy: Option<&'a [f32]>,
    kind: Pool,
    w: usize,
    xs: &'a mut [f32],
    dys: &'a mut [f32],
    taps: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (w, pitch) = (self.w, self.w + 2);
        // The flat row of windows: that which begins at j has its centre a row and a value further.
        let len = self.x.len() / w * pitch - 2;
        let steps = || (0..len).step_by(S::F32_LANES);
        let constants: [_; 9] = std::array::from_fn(|tap| simd.splat_f32s(tap as f32));
        let [zero, lowest] = [0.0, f32::NEG_INFINITY].map(|v| simd.splat_f32s(v));
        match (self.kind, self.dy) {
            (Pool::Average, _) => {
                pad(self.x, w, 0.0, self.xs);
                let ninth = simd.splat_f32s(1.0 / 9.0);
                for j in steps() {
                    let sum = (0..9).fold(zero, |sum, tap| {
                        simd.add_f32s(sum, window::<S>(self.xs, pitch, tap, j))
                    });
                    *at::<S>(self.dys, j) = simd.mul_f32s(sum, ninth);
                }
                unpad(self.dys, w, self.out);
            }
            (Pool::Max, None) => {
                pad(self.x, w, f32::NEG_INFINITY, self.xs);
                for j in steps() {
                    let best = (0..9).fold(lowest, |best, tap| {
                        let x = window::<S>(self.xs, pitch, tap, j);
                        simd.select_f32s(better(simd, x, best), x, best)
                    });
                    *at::<S>(self.dys, j) = best;
                }
                unpad(self.dys, w, self.out);
            }
            (Pool::Max, Some(dy)) => {
                pad(self.x, w, f32::NEG_INFINITY, self.xs);
                // Which value of its window each output is, where that output's gradient will lie.
                let centre = pitch + 1;
                self.taps.fill(-1.0);
                for j in steps() {
                    // An all -inf window: its centre.
                    let (mut best, mut arg) = (lowest, constants[4]);
                    for (tap, &constant) in constants.iter().enumerate() {
                        let x = window::<S>(self.xs, pitch, tap, j);
                        let wins = better(simd, x, best);
                        arg = simd.select_f32s(wins, constant, arg);
                        best = simd.select_f32s(wins, x, best);
                    }
                    *at::<S>(self.taps, centre + j) = arg;
                }
                pad(dy, w, 0.0, self.dys);
                for j in steps() {
                    let mut sum = zero;
                    // Value 0 of a window is also that of the window that begins a row and a value
                    // before, as seen from its centre: view 8 of that.
                    for (tap, &constant) in constants.iter().enumerate() {
                        let dy = window::<S>(self.dys, pitch, 8 - tap, j);
                        let taps = window::<S>(self.taps, pitch, 8 - tap, j);
                        let hit = simd.equal_f32s(taps, constant);
                        sum = simd.add_f32s(sum, simd.select_f32s(hit, dy, zero));
                    }
                    *at::<S>(self.xs, j) = sum;
                }
                unpad(self.xs, w, self.out);
            }
        }
    }
}

/// NaN wins, the first of equals stays.
#[inline(always)]
fn better<S: Simd>(simd: S, x: S::f32s, best: S::f32s) -> S::m32s {
    let number = simd.equal_f32s(x, x);
    simd.or_m32s(simd.greater_than_f32s(x, best), simd.not_m32s(number))
}

/// Value `tap`, row by row, of the windows that begin at `j` and after it.
#[inline(always)]
fn window<S: Simd>(padded: &[f32], pitch: usize, tap: usize, j: usize) -> S::f32s {
    S::as_simd_f32s(&padded[tap / 3 * pitch + tap % 3 + j..]).0[0]
}

#[inline(always)]
fn at<S: Simd>(row: &mut [f32], j: usize) -> &mut S::f32s {
    &mut S::as_mut_simd_f32s(&mut row[j..]).0[0]
}

#[inline(always)]
fn pad(plane: &[f32], w: usize, margin: f32, to: &mut [f32]) {
    to.fill(margin);
    for (y, row) in plane.chunks_exact(w).enumerate() {
        to[(y + 1) * (w + 2) + 1..][..w].copy_from_slice(row);
    }
}

#[inline(always)]
fn unpad(from: &[f32], w: usize, to: &mut [f32]) {
    for (y, row) in to.chunks_exact_mut(w).enumerate() {
        row.copy_from_slice(&from[y * (w + 2)..][..w]);
    }
}

/// Sizes of a map whose pixels are gathered: images, channels, rows, columns.
pub type Map = [usize; 4];

/// Rows and columns after [`gather`].
pub fn halved(h: usize, w: usize) -> (usize, usize) {
    (h.div_ceil(2), w.div_ceil(2))
}

/// Every second pixel of `x`, then every second pixel of `x` shifted by one to the left and up
/// (zero where that leaves the map): `[n, 2c, h/2, w/2]`, sides rounded up, the first `c` channels
/// unshifted.
pub fn gather(x: &[f32], map: Map) -> Vec<f32> {
    let [n, c, h, w] = map;
    let (oh, ow) = halved(h, w);
    let mut out = buffer_pool::take(n * 2 * c * oh * ow);
    par_chunks(&mut out, 2 * c * oh * ow, x.len(), |m, out| {
        let x = &x[m * c * h * w..][..c * h * w];
        for (half, out) in out.chunks_exact_mut(c * oh * ow).enumerate() {
            let planes = x.chunks_exact(h * w).zip(out.chunks_exact_mut(oh * ow));
            for (x, out) in planes {
                let rows = x.chunks_exact(w).skip(half).step_by(2);
                let rows = rows.chain(std::iter::repeat(&[][..]));
                for (out, row) in out.chunks_exact_mut(ow).zip(rows) {
                    out.fill(0.0);
                    let pixels = row.get(half..).unwrap_or(&[]);
                    // Pairs, whose second values are those of the other half, then one alone.
                    let pairs = pixels.chunks_exact(2);
                    let last = pairs.remainder().first();
                    let count = pixels.len() / 2;
                    for (out, pair) in out.iter_mut().zip(pairs) {
                        *out = pair[0];
                    }
                    if let Some((out, last)) = out.get_mut(count).zip(last) {
                        *out = *last;
                    }
                }
            }
        }
    });
    out
}

/// The gradient of [`gather`] with respect to `x`. Each pixel is gathered at most once: those in even
/// rows and columns unshifted, those in odd ones shifted, the others never.
pub fn scatter(dy: &[f32], map: Map) -> Vec<f32> {
    let [_, c, h, w] = map;
    let (oh, ow) = halved(h, w);
    let mut dx = buffer_pool::take(map.iter().product());
    par_chunks(&mut dx, c * h * w, dy.len(), |m, dx| {
        let dy = &dy[m * 2 * c * oh * ow..][..2 * c * oh * ow];
        for (ch, dx) in dx.chunks_exact_mut(h * w).enumerate() {
            for (y, dx) in dx.chunks_exact_mut(w).enumerate() {
                let half = y % 2;
                let row = &dy[((half * c + ch) * oh + y / 2) * ow..][..ow];
                dx.fill(0.0);
                let Some(dx) = dx.get_mut(half..) else {
                    continue;
                };
                let (count, mut pairs) = (dx.len() / 2, dx.chunks_exact_mut(2));
                for (pair, dy) in pairs.by_ref().zip(row) {
                    pair[0] = *dy;
                }
                if let Some((last, dy)) = pairs.into_remainder().first_mut().zip(row.get(count)) {
                    *last = *dy;
                }
            }
        }
    });
    dx
}
