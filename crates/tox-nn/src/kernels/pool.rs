//! Pooling 3x3, stride 1, padding 1, and the pixel gather of a factorised reduction.

use super::{par_chunks, room, scratch};
use pulp::{Arch, Simd, WithSimd};

/// Which pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Average; the padding counts.
    Average,
    /// Maximum; NaN wins, the first of equals wins (row by row), as in PyTorch.
    Max,
}

/// Pools every plane of `h` x `w`.
pub fn forward(x: &[f32], kind: Pool, h: usize, w: usize) -> Vec<f32> {
    planes(x, None, kind, h, w)
}

/// The gradient of [`forward`] with respect to `x`.
pub fn backward(x: &[f32], dy: &[f32], kind: Pool, h: usize, w: usize) -> Vec<f32> {
    match kind {
        // The sum over a symmetric window is its own transpose.
        Pool::Average => planes(dy, None, kind, h, w),
        Pool::Max => planes(x, Some(dy), kind, h, w),
    }
}

/// Planes that one task works through.
const PLANES: usize = 16;

fn planes(x: &[f32], dy: Option<&[f32]>, kind: Pool, h: usize, w: usize) -> Vec<f32> {
    let plane = h * w;
    let mut out = room::take(x.len());
    par_chunks(&mut out, PLANES * plane, x.len(), |t, out| {
        let pitch = w + 2;
        let padded = (h + 2) * pitch;
        scratch([padded, padded, padded], |[xs, best, arg]| {
            for (p, out) in out.chunks_exact_mut(plane).enumerate() {
                let at = (t * PLANES + p) * plane;
                let x = &x[at..at + plane];
                let dy = dy.map(|dy| &dy[at..at + plane]);
                Arch::new().dispatch(Plane {
                    x,
                    dy,
                    kind,
                    w,
                    xs,
                    best,
                    arg,
                    out,
                });
            }
        });
    });
    out
}

struct Plane<'a> {
    x: &'a [f32],
    dy: Option<&'a [f32]>,
    kind: Pool,
    w: usize,
    xs: &'a mut [f32],
    best: &'a mut [f32],
    arg: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Plane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Plane {
            x,
            dy,
            kind,
            w,
            xs,
            best,
            arg,
            out,
        } = self;
        let pitch = w + 2;
        xs.fill(if kind == Pool::Max {
            f32::NEG_INFINITY
        } else {
            0.0
        });
        for (y, row) in x.chunks_exact(w).enumerate() {
            xs[(y + 1) * pitch + 1..][..w].copy_from_slice(row);
        }
        // The flat output row: value j belongs to the window that begins at j.
        let len = x.len() / w * pitch - 2;
        let best = &mut best[..len];
        match kind {
            Pool::Average => {
                best.fill(0.0);
                for tap in 0..9 {
                    let view = &xs[tap / 3 * pitch + tap % 3..][..len];
                    for (best, v) in best.iter_mut().zip(view) {
                        *best += v;
                    }
                }
                copy_rows(best, pitch, out, w, |sum| sum * (1.0 / 9.0));
            }
            Pool::Max => {
                best.fill(f32::NEG_INFINITY);
                let arg = &mut arg[..len];
                arg.fill(4.0); // an all -inf window: its centre
                for tap in 0..9u8 {
                    let offset = usize::from(tap / 3) * pitch + usize::from(tap % 3);
                    let view = &xs[offset..][..len];
                    for ((best, arg), &v) in best.iter_mut().zip(&mut *arg).zip(view) {
                        let better = v > *best || v.is_nan();
                        *arg = if better { f32::from(tap) } else { *arg };
                        *best = if better { v } else { *best };
                    }
                }
                match dy {
                    None => copy_rows(best, pitch, out, w, |v| v),
                    Some(dy) => {
                        // `best` now holds dy in the flat layout, `xs` collects the gradient.
                        best.fill(0.0);
                        for (y, row) in dy.chunks_exact(w).enumerate() {
                            best[y * pitch..][..w].copy_from_slice(row);
                        }
                        xs.fill(0.0);
                        for tap in 0..9u8 {
                            let offset = usize::from(tap / 3) * pitch + usize::from(tap % 3);
                            let view = &mut xs[offset..][..len];
                            for ((to, arg), dy) in view.iter_mut().zip(&*arg).zip(&*best) {
                                *to += if *arg == f32::from(tap) { *dy } else { 0.0 };
                            }
                        }
                        copy_rows(&xs[pitch + 1..], pitch, out, w, |v| v);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn copy_rows(from: &[f32], pitch: usize, to: &mut [f32], w: usize, f: impl Fn(f32) -> f32) {
    for (y, row) in to.chunks_exact_mut(w).enumerate() {
        for (to, from) in row.iter_mut().zip(&from[y * pitch..][..w]) {
            *to = f(*from);
        }
    }
}

/// Sizes of a map whose pixels are gathered: images, channels, rows, columns.
pub type Map = [usize; 4];

/// Rows and columns after [`gather`].
pub fn halved(h: usize, w: usize) -> (usize, usize) {
    (h.div_ceil(2), w.div_ceil(2))
}

/// Every second pixel of `x`, then every second pixel of `x` shifted by one to the left and up
/// (zero where that leaves the map): `[n, 2c, h/2, w/2]`, the first `c` channels unshifted.
pub fn gather(x: &[f32], map: Map) -> Vec<f32> {
    let [n, c, h, w] = map;
    let (oh, ow) = halved(h, w);
    let mut out = room::take(n * 2 * c * oh * ow);
    par_chunks(&mut out, 2 * c * oh * ow, x.len(), |m, out| {
        let x = &x[m * c * h * w..][..c * h * w];
        for (half, out) in out.chunks_exact_mut(c * oh * ow).enumerate() {
            let planes = x.chunks_exact(h * w).zip(out.chunks_exact_mut(oh * ow));
            for (x, out) in planes {
                for (y, out) in out.chunks_exact_mut(ow).enumerate() {
                    let row = x.chunks_exact(w).nth(2 * y + half).unwrap_or(&[]);
                    let pixels = row.iter().skip(half).step_by(2);
                    let source = pixels.chain(std::iter::repeat(&0.0));
                    for (out, &pixel) in out.iter_mut().zip(source) {
                        *out = pixel;
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
    let mut dx = room::take(map.iter().product());
    par_chunks(&mut dx, c * h * w, dy.len(), |m, dx| {
        let dy = &dy[m * 2 * c * oh * ow..][..2 * c * oh * ow];
        for (ch, dx) in dx.chunks_exact_mut(h * w).enumerate() {
            for (y, dx) in dx.chunks_exact_mut(w).enumerate() {
                let half = y % 2;
                let row = &dy[((half * c + ch) * oh + y / 2) * ow..][..ow];
                dx.fill(0.0);
                for (dx, &dy) in dx.iter_mut().skip(half).step_by(2).zip(row) {
                    *dx = dy;
                }
            }
        }
    });
    dx
}
