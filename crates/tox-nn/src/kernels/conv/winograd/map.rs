//! The way of a map: pixels to points, products, points to pixels.
//!
//! Vectors are of tiles. Lines of tiles of some images lie side by side, so that small maps fill whole
//! vectors too.

use super::form::{Five, Form, MOST, OUT, Three};
use super::{GAP, LANES, Winograd, tame};
use crate::kernels::conv::read::Read;
use crate::kernels::conv::sum::product;
use crate::kernels::conv::{load, store};
use crate::kernels::{
    buffer_pool::{self, PooledBuffer},
    dispatch, par_chunks, scratch,
};
use pulp::{Simd, WithSimd};
use std::sync::atomic::{AtomicBool, Ordering};

impl Winograd {
    /// Values from one channel of a band to the next: the products come in whole blocks of vectors.
    fn stride(&self) -> usize {
        (self.rows * self.line).next_multiple_of(4 * LANES)
    }

    /// The map that is made of `from`; none if that has values that are not finite or too large. What
    /// `after` is given: a few images of it as soon as they are there, where in it they begin, and two
    /// numbers a plane if there are to be some.
    pub fn map<R: Read>(
        &self,
        from: &R,
        numbers: bool,
        after: impl Fn(usize, &mut [f32], &mut [[f64; 2]]) + Sync + Send,
    ) -> Option<(Vec<f32>, Vec<[f64; 2]>)> {
        let ((ci, co), plane) = (self.channels, self.map.0 * self.map.1);
        let mut out = PooledBuffer(buffer_pool::take(self.n * co * plane));
        let mut all = vec![[0.0; 2]; if numbers { self.n * co } else { 0 }];
        let mut measured = all.chunks_mut(self.images * co);
        let tiles = out.0.chunks_mut(self.images * co * plane);
        let mut pieces: Vec<_> = tiles
            .map(|tile| (tile, measured.next().unwrap_or_default()))
            .collect();
        let work = self.n * ci * plane;
        let wild = AtomicBool::new(false);
        par_chunks(&mut pieces, 1, work, |t, pieces| {
            for (out, numbers) in pieces {
                if wild.load(Ordering::Relaxed) {
                    return;
                }
                let base = t * self.images * ci * plane;
                let made = match self.taps {
                    3 => self.piece::<Three, R>(from, base, out),
                    _ => self.piece::<Five, R>(from, base, out),
                };
                match made {
                    true => after(t * self.images * co * plane, out, numbers),
                    false => wild.store(true, Ordering::Relaxed),
                }
            }
        });
        drop(pieces);
        (!wild.into_inner()).then(|| (out.into_values(), all))
    }

    /// Makes some images, `out`, of those that begin `base` values into a map. Whether it could.
    fn piece<F: Form, R: Read>(&self, from: &R, base: usize, out: &mut [f32]) -> bool {
        let ((ci, co), (h, w)) = (self.channels, self.map);
        let images = out.len() / (co * h * w);
        let stride = self.stride();
        let largest = self.blocks.iter().map(|b| b.1).max().unwrap_or(0);
        let (apart_in, apart_out) = (ci * stride + GAP, largest * stride + GAP);
        let points = F::SIDE * F::SIDE;
        let lines = OUT * self.rows + F::TAPS - 1;
        let lengths = [
            images * lines * w,
            F::SIDE * self.line,
            lines * F::SIDE * self.line,
            points * apart_in,
            points * apart_out,
            OUT * OUT * self.line,
        ];
        scratch(lengths, |[pixels, raw, across, spread, products, tiles]| {
            for first in (0..h.div_ceil(OUT)).step_by(self.rows) {
                let rows = self.rows.min(h.div_ceil(OUT) - first);
                let band = Band {
                    of: self,
                    images,
                    first,
                    rows,
                };
                let tame = dispatch(Spread::<F, R> {
                    band,
                    from,
                    base,
                    pixels,
                    raw,
                    across,
                    points: spread,
                    apart: apart_in,
                    form: std::marker::PhantomData,
                });
                if !tame {
                    return false;
                }
                for &(start, size) in &self.blocks {
                    let weights = &self.packed[points * ci * start..][..points * ci * size];
                    for (point, weights) in weights.chunks_exact(ci * size).enumerate() {
                        let x = &spread[point * apart_in..][..ci * stride];
                        let y = &mut products[point * apart_out..][..size * stride];
                        product((x, ci), weights, (y, size), stride, rows * self.line);
                    }
                    dispatch(Gather::<F> {
                        band,
                        products,
                        apart: apart_out,
                        channels: (start, size),
                        tiles,
                        out,
                        form: std::marker::PhantomData,
                    });
                }
            }
            true
        })
    }
}

/// Some rows of tiles of some images.
#[derive(Clone, Copy)]
struct Band<'a> {
    of: &'a Winograd,
    images: usize,
    /// The first row of tiles, and how many.
    first: usize,
    rows: usize,
}

/// `B^T d B` of all tiles `d` of a band. Whether all that was read is finite and not too large.
struct Spread<'a, F, R> {
    band: Band<'a>,
    from: &'a R,
    base: usize,
    /// Scratch: the pixels of a channel, `[images][lines][columns]`.
    pixels: &'a mut [f32],
    /// Scratch: one line, `[side][line]`.
    raw: &'a mut [f32],
    /// Scratch: `[lines][side][line]`.
    across: &'a mut [f32],
    /// `[points][channels][stride]`, the points `apart` values apart.
    points: &'a mut [f32],
    apart: usize,
    form: std::marker::PhantomData<F>,
}

impl<F: Form, R: Read> WithSimd for Spread<'_, F, R> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let Band {
            of,
            images,
            first,
            rows,
        } = self.band;
        let ((ci, _), (h, w), line, stride) = (of.channels, of.map, of.line, of.stride());
        let (tiles, plane, side) = (w.div_ceil(OUT), h * w, F::SIDE);
        let (lines, margin) = (OUT * rows + F::TAPS - 1, F::TAPS / 2);
        // The map's lines from `top` to `end` are lines `skipped` and on of the band; the others are zero.
        let top = (OUT * first).saturating_sub(margin);
        let end = (OUT * first + lines - margin).min(h);
        let skipped = top + margin - OUT * first;
        let pixels = &mut self.pixels[..images * (end - top) * w];
        let raw = &mut self.raw[..side * line];
        let across = &mut self.across[..lines * side * line];
        raw.fill(0.0);
        across.fill(0.0);
        assert!(line.is_multiple_of(S::F32_LANES) && rows * line <= stride);
        assert!(ci * stride <= self.apart && side * side * self.apart <= self.points.len());
        let none = simd.splat_f32s(0.0);
        for c in 0..ci {
            for (m, pixels) in pixels.chunks_exact_mut((end - top) * w).enumerate() {
                let at = self.base + (m * ci + c) * plane + top * w;
                self.from.line(c, at, pixels);
            }
            if !tame(pixels) {
                return false;
            }
            for l in 0..end - top {
                for m in 0..images {
                    let x = &pixels[(m * (end - top) + l) * w..][..w];
                    part::<F>(x, raw, m * tiles, line);
                }
                let across = &mut across[(skipped + l) * side * line..][..side * line];
                for q in (0..line).step_by(S::F32_LANES) {
                    let mut d = [none; MOST];
                    for (j, d) in d.iter_mut().enumerate().take(side) {
                        // SAFETY: whole vectors of `line` fit, of which there are `side`.
                        *d = unsafe { load::<S>(raw, j * line + q) };
                    }
                    let sums = F::spread(simd, d);
                    for (j, &sum) in sums.iter().enumerate().take(side) {
                        // SAFETY: as above.
                        unsafe { store::<S>(across, j * line + q, sum) };
                    }
                }
            }
            for r in 0..rows {
                for j in 0..side {
                    for q in (0..line).step_by(S::F32_LANES) {
                        let mut d = [none; MOST];
                        for (k, d) in d.iter_mut().enumerate().take(side) {
                            let at = ((OUT * r + k) * side + j) * line + q;
                            // SAFETY: whole vectors of `line` fit, of which there are `lines * side`.
                            *d = unsafe { load::<S>(across, at) };
                        }
                        let sums = F::spread(simd, d);
                        for (i, &sum) in sums.iter().enumerate().take(side) {
                            let at = (side * i + j) * self.apart + c * stride + r * line + q;
                            // SAFETY: rows * line <= stride, ci * stride <= apart, and all points are
                            // in `points`, asserted above.
                            unsafe { store::<S>(self.points, at, sum) };
                        }
                    }
                }
            }
        }
        true
    }
}

/// Of one line of pixels, beyond which all is zero, those that each tile has: pixel `j` of all tiles to
/// `to[j * line + at..]`.
#[inline(always)]
fn part<F: Form>(x: &[f32], to: &mut [f32], at: usize, line: usize) {
    #[inline(always)]
    fn fixed<F: Form, const T: usize>(x: &[f32], to: &mut [f32], at: usize, line: usize) {
        let phases: [[f32; T]; OUT] =
            std::array::from_fn(|k| std::array::from_fn(|t| x[OUT * t + k]));
        for j in 0..F::SIDE {
            let from = j + OUT - F::TAPS / 2;
            let phase = phases[from % OUT];
            let tiles: [f32; T] = match from / OUT {
                0 => std::array::from_fn(|t| if t > 0 { phase[t - 1] } else { 0.0 }),
                1 => phase,
                _ => std::array::from_fn(|t| if t + 1 < T { phase[t + 1] } else { 0.0 }),
            };
            if let Some(to) = to[j * line + at..].first_chunk_mut::<T>() {
                *to = tiles;
            }
        }
    }
    match x.len() {
        32 => fixed::<F, 8>(&x[..32], to, at, line),
        16 => fixed::<F, 4>(&x[..16], to, at, line),
        8 => fixed::<F, 2>(&x[..8], to, at, line),
        w => {
            for j in 0..F::SIDE {
                for (t, to) in to[j * line + at..][..w.div_ceil(OUT)]
                    .iter_mut()
                    .enumerate()
                {
                    let pixel = (OUT * t + j).checked_sub(F::TAPS / 2);
                    *to = pixel.and_then(|i| x.get(i)).copied().unwrap_or(0.0);
                }
            }
        }
    }
}

/// `A^T m A` of all products `m` of a band, for a block of channels.
struct Gather<'a, F> {
    band: Band<'a>,
    /// `[points][channels of the block][stride]`, the points `apart` values apart.
    products: &'a [f32],
    apart: usize,
    /// First channel and size of the block.
    channels: (usize, usize),
    /// Scratch: the pixels of a row of tiles, `[4][4][line]`.
    tiles: &'a mut [f32],
    /// The images.
    out: &'a mut [f32],
    form: std::marker::PhantomData<F>,
}

impl<F: Form> WithSimd for Gather<'_, F> {
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
        let (across, plane, (start, size)) = (w.div_ceil(OUT), h * w, self.channels);
        let side = F::SIDE;
        assert!(line.is_multiple_of(S::F32_LANES) && rows * line <= stride);
        assert!(size * stride <= self.apart && side * side * self.apart <= self.products.len());
        assert!(OUT * OUT * line <= self.tiles.len());
        let none = simd.splat_f32s(0.0);
        for o in 0..size {
            for r in 0..rows {
                for q in (0..line).step_by(S::F32_LANES) {
                    let mut columns = [[none; MOST]; OUT];
                    for j in 0..side {
                        let mut m = [none; MOST];
                        for (i, m) in m.iter_mut().enumerate().take(side) {
                            let at = (side * i + j) * self.apart + o * stride + r * line + q;
                            // SAFETY: rows * line <= stride, size * stride <= apart, and all points
                            // are in `products`, asserted above.
                            *m = unsafe { load::<S>(self.products, at) };
                        }
                        let pixels = F::gather(simd, m);
                        for (column, pixel) in columns.iter_mut().zip(pixels) {
                            column[j] = pixel;
                        }
                    }
                    for (a, column) in columns.into_iter().enumerate() {
                        let pixels = F::gather(simd, column);
                        for (b, pixel) in pixels.into_iter().enumerate() {
                            // SAFETY: 16 * line values are in `tiles`, asserted above.
                            unsafe { store::<S>(self.tiles, (OUT * a + b) * line + q, pixel) };
                        }
                    }
                }
                let y = OUT * (first + r);
                for m in 0..images {
                    let to = (m * co + start + o) * plane + y * w;
                    for a in 0..(h - y).min(OUT) {
                        let from = &self.tiles[OUT * a * line..][..OUT * line];
                        weave(from, m * across, line, &mut self.out[to + a * w..][..w]);
                    }
                }
            }
        }
    }
}

/// One line of pixels of its tiles: pixel `b` of all tiles is in `from[b * line + at..]`.
#[inline(always)]
fn weave(from: &[f32], at: usize, line: usize, to: &mut [f32]) {
    #[inline(always)]
    fn fixed<const T: usize>(from: &[f32], at: usize, line: usize, to: &mut [f32]) {
        let pixels: [[f32; T]; OUT] = std::array::from_fn(|b| {
            let from = &from[b * line + at..][..T];
            std::array::from_fn(|t| from[t])
        });
        for t in 0..T {
            for (b, pixels) in pixels.iter().enumerate() {
                to[OUT * t + b] = pixels[t];
            }
        }
    }
    match to.len() {
        32 => fixed::<8>(from, at, line, &mut to[..32]),
        16 => fixed::<4>(from, at, line, &mut to[..16]),
        8 => fixed::<2>(from, at, line, &mut to[..8]),
        _ => {
            for (i, to) in to.iter_mut().enumerate() {
                *to = from[i % OUT * line + at + i / OUT];
            }
        }
    }
}
