//! Dense 3x3 convolutions of stride 1 with fewer products: F(2x2, 3x3) of Winograd, as in Lavin and Gray
//! (2016), arXiv:1509.09308, section 4.1. Four pixels out of a tile cost 16 products in place of 36.
//!
//! A tile of 4x4 pixels in (two of them its neighbours') becomes 16 sums of them; at each of these 16
//! points a matrix of weights is multiplied with all channels; sums of the 16 products are the 2x2 pixels
//! out. All factors of these sums are 0, 1 and 1/2, so they round about as often as the 36 products do:
//! results are as near to the exact ones as those of sums of shifted views, and other in the last
//! digits. (Larger tiles save more and lose digits, so there are none.)
//!
//! Lines of tiles of some images lie side by side, so that small maps fill whole vectors too.

use super::read::Read;
use super::sum::{blocks, product};
use super::{Geometry, Sizes, load, store};
use crate::kernels::{buffer_pool, dispatch, par_chunks, scratch};
use pulp::{Simd, WithSimd};

/// Values of the widest vector; a line of tiles is filled up to a multiple.
const LANES: usize = 16;
/// Tiles that are multiplied at a time, so that all that is made of them stays in cache.
const BAND: usize = 64;
/// Products of a tile.
const POINTS: usize = 16;
/// Values between the points' matrices: at a distance of a power of two they would take each other's
/// places in cache.
const GAP: usize = 16;
/// Fewer channels do not pay for the sums.
const FEWEST: usize = 16;

/// A convolution of this kind, or the gradient of one by its input, which is one too.
pub struct Winograd {
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

/// Whether a convolution is of this kind, large enough, and may go this way.
pub fn suits(g: Geometry, s: Sizes) -> bool {
    let kind = (g.kernel, g.dilation, g.stride, g.groups) == (3, 1, 1, 1);
    g.winograd && kind && s.c_in.min(s.c_out) >= FEWEST && s.h.min(s.w) >= 4
}

impl Winograd {
    /// The convolution.
    pub fn forward(s: Sizes, weight: &[f32]) -> Self {
        let ci = s.c_in;
        Self::new(s, (ci, s.c_out), |o, i| {
            std::array::from_fn(|k| weight[(o * ci + i) * 9 + k])
        })
    }

    /// Its gradient by the input: the kernels turned by 180 degrees.
    pub fn backward(s: Sizes, weight: &[f32]) -> Self {
        let ci = s.c_in;
        Self::new(s, (s.c_out, ci), |i, o| {
            std::array::from_fn(|k| weight[(o * ci + i) * 9 + 8 - k])
        })
    }

    fn new(
        s: Sizes,
        (ci, co): (usize, usize),
        kernel: impl Fn(usize, usize) -> [f32; 9] + Sync,
    ) -> Self {
        let across = s.w.div_ceil(2);
        let images = (LANES / across).clamp(1, s.n.max(1));
        let line = (images * across).next_multiple_of(LANES);
        let rows = (BAND / line).clamp(1, s.h.div_ceil(2));
        let blocks = blocks(co);
        let mut packed = vec![0.0; POINTS * ci * co];
        let mut rest = packed.as_mut_slice();
        let mut parts = Vec::with_capacity(blocks.len());
        for &(first, size) in &blocks {
            let (part, later) = rest.split_at_mut(POINTS * ci * size);
            rest = later;
            parts.push((first, size, part));
        }
        par_chunks(&mut parts, 1, 9 * ci * co, |_, parts| {
            for (first, size, part) in parts {
                for i in 0..ci {
                    for o in 0..*size {
                        let points = transformed(kernel(*first + o, i));
                        for (point, value) in points.into_iter().enumerate() {
                            part[(point * ci + i) * *size + o] = value;
                        }
                    }
                }
            }
        });
        Self {
            channels: (ci, co),
            map: (s.h, s.w),
            n: s.n,
            images,
            line,
            rows,
            blocks,
            packed,
        }
    }

    /// Values from one channel of a band to the next: the products come in whole blocks of vectors.
    fn stride(&self) -> usize {
        (self.rows * self.line).next_multiple_of(BAND)
    }

    /// The map that is made of `from`. What `after` is given: a few images of it as soon as they are
    /// there, where in it they begin, and two numbers a plane if there are to be some.
    pub fn map<R: Read>(
        &self,
        from: &R,
        numbers: bool,
        after: impl Fn(usize, &mut [f32], &mut [[f64; 2]]) + Sync + Send,
    ) -> (Vec<f32>, Vec<[f64; 2]>) {
        let ((ci, co), plane) = (self.channels, self.map.0 * self.map.1);
        let mut out = buffer_pool::take(self.n * co * plane);
        let mut all = vec![[0.0; 2]; if numbers { self.n * co } else { 0 }];
        let mut measured = all.chunks_mut(self.images * co);
        let tiles = out.chunks_mut(self.images * co * plane);
        let mut pieces: Vec<_> = tiles
            .map(|tile| (tile, measured.next().unwrap_or_default()))
            .collect();
        let work = self.n * ci * plane;
        par_chunks(&mut pieces, 1, work, |t, pieces| {
            for (out, numbers) in pieces {
                self.piece(from, t * self.images * ci * plane, out);
                after(t * self.images * co * plane, out, numbers);
            }
        });
        drop(pieces);
        (out, all)
    }

    /// Makes some images, `out`, of those that begin `base` values into a map.
    fn piece<R: Read>(&self, from: &R, base: usize, out: &mut [f32]) {
        let ((ci, co), (h, w)) = (self.channels, self.map);
        let images = out.len() / (co * h * w);
        let stride = self.stride();
        let largest = self.blocks.iter().map(|b| b.1).max().unwrap_or(0);
        let (apart_in, apart_out) = (ci * stride + GAP, largest * stride + GAP);
        let lines = 2 * self.rows + 2;
        let lengths = [
            lines * w,
            4 * lines * self.line,
            POINTS * apart_in,
            POINTS * apart_out,
            4 * self.line,
        ];
        scratch(lengths, |[pixels, across, points, products, pair]| {
            for first in (0..h.div_ceil(2)).step_by(self.rows) {
                let rows = self.rows.min(h.div_ceil(2) - first);
                let band = Band {
                    of: self,
                    images,
                    first,
                    rows,
                };
                dispatch(Spread {
                    band,
                    from,
                    base,
                    pixels,
                    across,
                    points,
                    apart: apart_in,
                });
                for &(start, size) in &self.blocks {
                    let weights = &self.packed[POINTS * ci * start..][..POINTS * ci * size];
                    for (point, weights) in weights.chunks_exact(ci * size).enumerate() {
                        let x = &points[point * apart_in..][..ci * stride];
                        let y = &mut products[point * apart_out..][..size * stride];
                        product((x, ci), weights, (y, size), stride, rows * self.line);
                    }
                    dispatch(Gather {
                        band,
                        products,
                        apart: apart_out,
                        channels: (start, size),
                        pair,
                        out,
                    });
                }
            }
        });
    }
}

/// `G g G^T` for a kernel `g`.
fn transformed(g: [f32; 9]) -> [f32; POINTS] {
    let line = |a: f32, b: f32, c: f32| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|x| line(g[x], g[3 + x], g[6 + x]));
    let mut points = [0.0; POINTS];
    for y in 0..4 {
        let row = line(columns[0][y], columns[1][y], columns[2][y]);
        points[4 * y..4 * y + 4].copy_from_slice(&row);
    }
    points
}

/// Some rows of tiles of some images.
#[derive(Clone, Copy)]
struct Band<'a> {
    of: &'a Winograd,
    images: usize,
    first: usize,
    rows: usize,
}

/// `B^T d B` of all tiles `d` of a band.
struct Spread<'a, R> {
    band: Band<'a>,
    from: &'a R,
    base: usize,
    /// Scratch: lines of pixels.
    pixels: &'a mut [f32],
    /// Scratch: the four sums along each line, `[4][lines][line]`.
    across: &'a mut [f32],
    /// `[points][channels][stride]`, the points `apart` values apart.
    points: &'a mut [f32],
    apart: usize,
}

impl<R: Read> WithSimd for Spread<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Band {
            of,
            images,
            first,
            rows,
        } = self.band;
        let ((ci, _), (h, w), line, stride) = (of.channels, of.map, of.line, of.stride());
        let (lines, tiles, plane) = (2 * rows + 2, w.div_ceil(2), h * w);
        // The map's lines from `top` to `end` are lines `skipped` and on of the band; the others are zero.
        let top = (2 * first).saturating_sub(1);
        let end = (2 * first + lines - 1).min(h);
        let skipped = usize::from(first == 0);
        let pixels = &mut self.pixels[..(end - top) * w];
        let across = &mut self.across[..4 * lines * line];
        across.fill(0.0);
        assert!(line.is_multiple_of(S::F32_LANES) && rows * line <= stride);
        assert!(ci * stride <= self.apart && POINTS * self.apart <= self.points.len());
        for c in 0..ci {
            let (first, rest) = across.split_at_mut(lines * line);
            let (second, rest) = rest.split_at_mut(lines * line);
            let (third, fourth) = rest.split_at_mut(lines * line);
            for m in 0..images {
                let at = self.base + (m * ci + c) * plane + top * w;
                self.from.line(c, at, pixels);
                for l in 0..end - top {
                    let at = (skipped + l) * line + m * tiles;
                    let to = [&mut *first, &mut *second, &mut *third, &mut *fourth];
                    along(&pixels[l * w..][..w], to.map(|to| &mut to[at..at + tiles]));
                }
            }
            for j in 0..4 {
                for r in 0..rows {
                    for q in (0..line).step_by(S::F32_LANES) {
                        let from = |k: usize| {
                            let at = (j * lines + 2 * r + k) * line + q;
                            // SAFETY: at < 4 * lines * line = across.len() by whole vectors, as `line` is.
                            unsafe { load::<S>(across, at) }
                        };
                        let d = [from(0), from(1), from(2), from(3)];
                        let sums = [
                            simd.sub_f32s(d[0], d[2]),
                            simd.add_f32s(d[1], d[2]),
                            simd.sub_f32s(d[2], d[1]),
                            simd.sub_f32s(d[1], d[3]),
                        ];
                        for (i, sum) in sums.into_iter().enumerate() {
                            let at = (4 * i + j) * self.apart + c * stride + r * line + q;
                            // SAFETY: rows * line <= stride, ci * stride <= apart, and all points are
                            // in `points`, asserted above.
                            unsafe { store::<S>(self.points, at, sum) };
                        }
                    }
                }
            }
        }
    }
}

/// `d B` of the tiles of one line of pixels, beyond which all is zero.
#[inline(always)]
fn along(x: &[f32], to: [&mut [f32]; 4]) {
    #[inline(always)]
    fn fixed<const T: usize>(x: &[f32], to: [&mut [f32]; 4]) {
        let even: [f32; T] = std::array::from_fn(|t| x[2 * t]);
        let odd: [f32; T] = std::array::from_fn(|t| x[2 * t + 1]);
        let [a, b, c, d] = to;
        for t in 0..T {
            b[t] = even[t] + odd[t];
            c[t] = odd[t] - even[t];
        }
        a[0] = -odd[0];
        for t in 1..T {
            a[t] = odd[t - 1] - odd[t];
        }
        for t in 1..T {
            d[t - 1] = even[t - 1] - even[t];
        }
        d[T - 1] = even[T - 1];
    }
    match x.len() {
        32 => fixed::<16>(&x[..32], to.map(|to| &mut to[..16])),
        16 => fixed::<8>(&x[..16], to.map(|to| &mut to[..8])),
        8 => fixed::<4>(&x[..8], to.map(|to| &mut to[..4])),
        w => {
            let at = |i: usize| if i < w { x[i] } else { 0.0 };
            let [a, b, c, d] = to;
            for t in 0..a.len() {
                let (even, odd) = (at(2 * t), at(2 * t + 1));
                let before = if t > 0 { x[2 * t - 1] } else { 0.0 };
                a[t] = before - odd;
                b[t] = even + odd;
                c[t] = odd - even;
                d[t] = even - at(2 * t + 2);
            }
        }
    }
}

/// `A^T m A` of all products `m` of a band, for a block of channels.
struct Gather<'a> {
    band: Band<'a>,
    /// `[points][channels of the block][stride]`, the points `apart` values apart.
    products: &'a [f32],
    apart: usize,
    /// First channel and size of the block.
    channels: (usize, usize),
    /// Scratch: pixels of two lines, even and odd ones apart, `[2][2][line]`.
    pair: &'a mut [f32],
    /// The images.
    out: &'a mut [f32],
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Band {
            of,
            images,
            first,
            rows,
        } = self.band;
        let ((_, co), (h, w), line, stride) = (of.channels, of.map, of.line, of.stride());
        let (tiles, plane, (start, size)) = (w.div_ceil(2), h * w, self.channels);
        assert!(line.is_multiple_of(S::F32_LANES) && rows * line <= stride);
        assert!(size * stride <= self.apart && POINTS * self.apart <= self.products.len());
        assert!(4 * line <= self.pair.len());
        let ends = |x: [S::f32s; 4]| {
            let [both, apart] = [simd.add_f32s(x[1], x[2]), simd.sub_f32s(x[1], x[2])];
            [simd.add_f32s(x[0], both), simd.sub_f32s(apart, x[3])]
        };
        for o in 0..size {
            for r in 0..rows {
                for q in (0..line).step_by(S::F32_LANES) {
                    let from = |point: usize| {
                        let at = point * self.apart + o * stride + r * line + q;
                        // SAFETY: rows * line <= stride, size * stride <= apart, and all points are in
                        // `products`, asserted above.
                        unsafe { load::<S>(self.products, at) }
                    };
                    let column = |j: usize| ends([from(j), from(4 + j), from(8 + j), from(12 + j)]);
                    let columns = [column(0), column(1), column(2), column(3)];
                    for a in 0..2 {
                        let pixels = ends(columns.map(|c| c[a]));
                        for (b, pixels) in pixels.into_iter().enumerate() {
                            // SAFETY: 4 * line values are in `pair`, asserted above.
                            unsafe { store::<S>(self.pair, (2 * a + b) * line + q, pixels) };
                        }
                    }
                }
                let y = 2 * (first + r);
                for m in 0..images {
                    let to = (m * co + start + o) * plane + y * w;
                    for a in 0..(h - y).min(2) {
                        let (even, odd) = self.pair[2 * a * line..].split_at(line);
                        let to = &mut self.out[to + a * w..][..w];
                        weave(&even[m * tiles..], &odd[m * tiles..], to);
                    }
                }
            }
        }
    }
}

/// One line of pixels of its even and its odd ones.
#[inline(always)]
fn weave(even: &[f32], odd: &[f32], to: &mut [f32]) {
    #[inline(always)]
    fn fixed<const T: usize>(even: &[f32], odd: &[f32], to: &mut [f32]) {
        for t in 0..T {
            to[2 * t] = even[t];
            to[2 * t + 1] = odd[t];
        }
    }
    match to.len() {
        32 => fixed::<16>(&even[..16], &odd[..16], &mut to[..32]),
        16 => fixed::<8>(&even[..8], &odd[..8], &mut to[..16]),
        8 => fixed::<4>(&even[..4], &odd[..4], &mut to[..8]),
        _ => {
            for (pair, (even, odd)) in to.chunks_mut(2).zip(even.iter().zip(odd)) {
                pair[0] = *even;
                if let Some(last) = pair.get_mut(1) {
                    *last = *odd;
                }
            }
        }
    }
}
