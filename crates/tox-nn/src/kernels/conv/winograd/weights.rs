//! The gradient by the weights: `G^T [sum of (B^T d B)(A y A^T)] G` over all tiles, `d` the pixels in and
//! `y` the gradient of those out.
//!
//! Vectors are of channels, for the sums go over tiles.

use super::form::{Five, Form, MOST, OUT, Three};
use super::{GAP, suits, tame};
use crate::kernels::conv::gradients::PARTS;
use crate::kernels::conv::read::Read;
use crate::kernels::conv::{Geometry, Sizes, load, store};
use crate::kernels::{dispatch, par_chunks, scratch};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tiles that are multiplied at a time, so that all that is made of them stays in cache.
const BAND: usize = 32;

/// The gradient; none if the geometry does not suit, or if what is read has values that are not finite or
/// too large.
pub fn weights<X: Read, Y: Read>(g: Geometry, s: Sizes, x: &X, dy: &Y) -> Option<Vec<f32>> {
    match (suits(g, s), g.kernel) {
        (false, _) => None,
        (true, 3) => made::<Three, X, Y>(s, x, dy),
        (true, _) => made::<Five, X, Y>(s, x, dy),
    }
}

/// How the work is cut.
#[derive(Clone, Copy)]
struct Cut {
    s: Sizes,
    /// Rows of tiles in a band, and images.
    rows: usize,
    images: usize,
    /// Channels in, filled up to whole vectors, and out.
    width: usize,
    height: usize,
}

impl Cut {
    /// Tiles of a band.
    fn tiles(self) -> usize {
        self.images * self.rows * self.s.w.div_ceil(OUT)
    }
}

fn made<F: Form, X: Read, Y: Read>(s: Sizes, x: &X, dy: &Y) -> Option<Vec<f32>> {
    let (down, across) = (s.h.div_ceil(OUT), s.w.div_ceil(OUT));
    let cut = Cut {
        s,
        rows: (BAND / across).clamp(1, down),
        images: (BAND / (down * across)).clamp(1, s.n.max(1)),
        width: s.c_in.next_multiple_of(lanes()),
        height: s.c_out.next_multiple_of(lanes()),
    };
    let size = F::TAPS * F::TAPS * s.c_out * cut.width;
    let per_part = s.n.div_ceil(PARTS).next_multiple_of(cut.images).max(1);
    let number = s.n.div_ceil(per_part);
    let mut parts = vec![0.0; number * size];
    let wild = AtomicBool::new(false);
    par_chunks(&mut parts, size, s.n * s.c_in * s.h * s.w, |p, kernels| {
        let images = (p * per_part, s.n.min((p + 1) * per_part));
        if !part::<F, X, Y>(cut, x, dy, images, kernels, &wild) {
            wild.store(true, Ordering::Relaxed);
        }
    });
    if wild.into_inner() {
        return None;
    }
    // From taps first to the order of weights.
    let kk = F::TAPS * F::TAPS;
    let mut gradient = vec![0.0; s.c_out * s.c_in * kk];
    for part in parts.chunks_exact(size) {
        for (pair, gradient) in gradient.chunks_exact_mut(kk).enumerate() {
            let at = pair / s.c_in * cut.width + pair % s.c_in;
            let taps = part[at..].iter().step_by(s.c_out * cut.width);
            gradient
                .iter_mut()
                .zip(taps)
                .for_each(|(sum, tap)| *sum += tap);
        }
    }
    Some(gradient)
}

/// `G^T m G` of the sums `m` of all pairs of channels.
struct Kernels<'a, F> {
    /// `[points][pairs]`, whole vectors of pairs.
    sums: &'a [f32],
    /// `[taps][pairs]`.
    kernels: &'a mut [f32],
    form: PhantomData<F>,
}

impl<F: Form> WithSimd for Kernels<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (side, taps) = (F::SIDE, F::TAPS);
        let pairs = self.kernels.len() / (taps * taps);
        assert!(pairs.is_multiple_of(S::F32_LANES) && self.sums.len() == side * side * pairs);
        let none = simd.splat_f32s(0.0);
        for pair in (0..pairs).step_by(S::F32_LANES) {
            let mut kernel = [[none; 5]; 5];
            for i in 0..side {
                let mut line = [none; 5];
                for j in 0..side {
                    // SAFETY: all points have whole vectors of pairs, asserted above.
                    let sum = unsafe { load::<S>(self.sums, (i * side + j) * pairs + pair) };
                    for (value, factor) in line.iter_mut().zip(F::KERNEL[j]) {
                        let factor = simd.splat_f32s(factor as f32);
                        *value = simd.mul_add_e_f32s(factor, sum, *value);
                    }
                }
                for (row, factor) in kernel.iter_mut().zip(F::KERNEL[i]) {
                    let factor = simd.splat_f32s(factor as f32);
                    for (value, line) in row.iter_mut().zip(line) {
                        *value = simd.mul_add_e_f32s(factor, line, *value);
                    }
                }
            }
            for (y, row) in kernel.iter().enumerate().take(taps) {
                for (x, &value) in row.iter().enumerate().take(taps) {
                    // SAFETY: as above.
                    unsafe { store::<S>(self.kernels, (y * taps + x) * pairs + pair, value) };
                }
            }
        }
    }
}

/// Makes the gradient of one part of the images, `[taps][channels out][channels in]`. Whether it could.
fn part<F: Form, X: Read, Y: Read>(
    cut: Cut,
    x: &X,
    dy: &Y,
    (from, to): (usize, usize),
    kernels: &mut [f32],
    wild: &AtomicBool,
) -> bool {
    let (s, points, tiles) = (cut.s, F::SIDE * F::SIDE, cut.tiles());
    let (down, across) = (s.h.div_ceil(OUT), s.w.div_ceil(OUT));
    let apart = [cut.width, cut.height].map(|channels| tiles * channels + GAP);
    let lines = OUT * cut.rows + F::TAPS - 1;
    let lengths = [
        lanes() * s.w,
        lanes() * (OUT * across + F::TAPS - 1),
        lanes() * lines * F::SIDE * across,
        points * apart[0],
        points * apart[1],
        points * s.c_out * cut.width,
    ];
    scratch(lengths, |[pixels, line, spread, d, y, sums]| {
        sums.fill(0.0);
        for first_image in (from..to).step_by(cut.images) {
            let images = cut.images.min(to - first_image);
            for first in (0..down).step_by(cut.rows) {
                if wild.load(Ordering::Relaxed) {
                    return false;
                }
                let rows = cut.rows.min(down - first);
                let band = Band {
                    s,
                    images: (first_image, images),
                    rows: (first, rows),
                };
                let tame = dispatch(Lift::<F, X, false> {
                    band,
                    from: x,
                    channels: s.c_in,
                    scratch: [&mut *pixels, &mut *line, &mut *spread],
                    points: d,
                    apart: apart[0],
                    form: PhantomData,
                }) && dispatch(Lift::<F, Y, true> {
                    band,
                    from: dy,
                    channels: s.c_out,
                    scratch: [&mut *pixels, &mut *line, &mut *spread],
                    points: y,
                    apart: apart[1],
                    form: PhantomData,
                });
                if !tame {
                    return false;
                }
                let tiles = images * rows * across;
                for (point, sums) in sums.chunks_exact_mut(s.c_out * cut.width).enumerate() {
                    dispatch(Outer {
                        y: &y[point * apart[1]..][..tiles * cut.height],
                        height: cut.height,
                        d: &d[point * apart[0]..][..tiles * cut.width],
                        width: cut.width,
                        sums,
                    });
                }
            }
        }
        dispatch(Kernels::<F> {
            sums,
            kernels,
            form: PhantomData,
        });
        true
    })
}

/// Values of a vector of the instruction set in use.
fn lanes() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    dispatch(Width)
}

/// Some rows of tiles of some images: where they begin, and how many.
#[derive(Clone, Copy)]
struct Band {
    s: Sizes,
    images: (usize, usize),
    rows: (usize, usize),
}

/// All points of all tiles of a band: `A y A^T` of the gradient if `BACK`, else `B^T d B`. Whether all that
/// was read is finite and not too large.
struct Lift<'a, F, R, const BACK: bool> {
    band: Band,
    from: &'a R,
    channels: usize,
    /// For a vector of channels: `[channels][columns]`, `[columns][channels]`, `[lines][tiles][side][channels]`.
    scratch: [&'a mut [f32]; 3],
    /// `[points][tiles][channels]`, the points `apart` values apart.
    points: &'a mut [f32],
    apart: usize,
    form: PhantomData<F>,
}

impl<F: Form, R: Read, const BACK: bool> WithSimd for Lift<'_, F, R, BACK> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> bool {
        let (s, (first, rows), lanes) = (self.band.s, self.band.rows, S::F32_LANES);
        let (across, side) = (s.w.div_ceil(OUT), F::SIDE);
        let (margin, taken) = match BACK {
            true => (0, OUT),
            false => (F::TAPS / 2, side),
        };
        let lines = OUT * (rows - 1) + taken;
        let width = self.channels.next_multiple_of(lanes);
        let [pixels, line, spread] = self.scratch;
        let pixels = &mut pixels[..lanes * s.w];
        let line = &mut line[..lanes * (OUT * (across - 1) + taken)];
        let spread = &mut spread[..lanes * lines * across * side];
        let tiles = self.band.images.1 * rows * across;
        assert!(tiles * width <= self.apart && side * side * self.apart <= self.points.len());
        let none = simd.splat_f32s(0.0);
        for m in 0..self.band.images.1 {
            for block in (0..self.channels).step_by(lanes) {
                let channels = lanes.min(self.channels - block);
                pixels.fill(0.0);
                line.fill(0.0);
                for l in 0..lines {
                    let to = &mut spread[l * across * side * lanes..][..across * side * lanes];
                    let row = (OUT * first + l).checked_sub(margin);
                    let Some(row) = row.filter(|row| *row < s.h) else {
                        to.fill(0.0);
                        continue;
                    };
                    for (c, pixels) in pixels.chunks_exact_mut(s.w).enumerate().take(channels) {
                        let plane = (self.band.images.0 + m) * self.channels + block + c;
                        self.from.line(block + c, (plane * s.h + row) * s.w, pixels);
                    }
                    if !tame(pixels) {
                        return false;
                    }
                    turn::<S>(pixels, s.w, &mut line[margin * lanes..][..s.w * lanes]);
                    for t in 0..across {
                        let mut d = [none; MOST];
                        for (k, d) in d.iter_mut().enumerate().take(taken) {
                            // SAFETY: OUT * (across - 1) + taken vectors are in `line`.
                            *d = unsafe { load::<S>(line, (OUT * t + k) * lanes) };
                        }
                        for (j, &sum) in points::<F, S, BACK>(simd, d).iter().enumerate().take(side)
                        {
                            // SAFETY: across * side vectors are in `to`.
                            unsafe { store::<S>(to, (t * side + j) * lanes, sum) };
                        }
                    }
                }
                for r in 0..rows {
                    for t in 0..across {
                        let tile = (m * rows + r) * across + t;
                        for j in 0..side {
                            let mut d = [none; MOST];
                            for (k, d) in d.iter_mut().enumerate().take(taken) {
                                let at = (((OUT * r + k) * across + t) * side + j) * lanes;
                                // SAFETY: OUT * (rows - 1) + taken lines are in `spread`.
                                *d = unsafe { load::<S>(spread, at) };
                            }
                            for (i, &sum) in
                                points::<F, S, BACK>(simd, d).iter().enumerate().take(side)
                            {
                                let at = (i * side + j) * self.apart + tile * width + block;
                                // SAFETY: tiles * width <= apart, and all points are in `points`,
                                // asserted above.
                                unsafe { store::<S>(self.points, at, sum) };
                            }
                        }
                    }
                }
            }
        }
        true
    }
}

/// In one direction.
#[inline(always)]
fn points<F: Form, S: Simd, const BACK: bool>(simd: S, d: [S::f32s; MOST]) -> [S::f32s; MOST] {
    match BACK {
        true => F::back(simd, [d[0], d[1], d[2], d[3]]),
        false => F::spread(simd, d),
    }
}

/// Pixels of channels, `[channels][columns]`, to channels of pixels.
#[inline(always)]
fn turn<S: Simd>(from: &[f32], w: usize, to: &mut [f32]) {
    #[inline(always)]
    fn fixed<const L: usize>(from: &[f32], w: usize, to: &mut [f32]) {
        let (to, _) = to.as_chunks_mut::<L>();
        let rows: [&[f32]; L] = std::array::from_fn(|c| &from[c * w..][..w]);
        for (x, to) in to.iter_mut().enumerate().take(w) {
            *to = std::array::from_fn(|c| rows[c][x]);
        }
    }
    match S::F32_LANES {
        16 => fixed::<16>(from, w, to),
        8 => fixed::<8>(from, w, to),
        4 => fixed::<4>(from, w, to),
        lanes => {
            for (i, to) in to.iter_mut().enumerate() {
                *to = from[i % lanes * w + i / lanes];
            }
        }
    }
}

/// Adds to each sum of a pair of channels the products of all tiles.
struct Outer<'a> {
    /// `[tiles][height]`.
    y: &'a [f32],
    height: usize,
    /// `[tiles][width]`.
    d: &'a [f32],
    width: usize,
    /// `[channels out][width]`.
    sums: &'a mut [f32],
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.sums.len() / self.width;
        let vectors = self.width / S::F32_LANES;
        let most = if S::REGISTER_COUNT >= 32 { 8 } else { 4 };
        let mut r = 0;
        while r < rows {
            let size = [most, 4]
                .into_iter()
                .find(|&size| size <= rows - r)
                .unwrap_or(1);
            let mut v = 0;
            while v < vectors {
                let left = vectors - v;
                let vecs = if left.is_multiple_of(3) {
                    3
                } else {
                    left.min(2)
                };
                match (size, vecs) {
                    (8, 3) => self.run::<S, 8, 3>(simd, r, v),
                    (8, 2) => self.run::<S, 8, 2>(simd, r, v),
                    (8, _) => self.run::<S, 8, 1>(simd, r, v),
                    (4, 3) => self.run::<S, 4, 3>(simd, r, v),
                    (4, 2) => self.run::<S, 4, 2>(simd, r, v),
                    (4, _) => self.run::<S, 4, 1>(simd, r, v),
                    (_, 3) => self.run::<S, 1, 3>(simd, r, v),
                    (_, 2) => self.run::<S, 1, 2>(simd, r, v),
                    _ => self.run::<S, 1, 1>(simd, r, v),
                }
                v += vecs;
            }
            r += size;
        }
    }
}

impl Outer<'_> {
    /// `ROWS` channels out, `VECS` vectors of channels in.
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECS: usize>(&mut self, simd: S, r: usize, v: usize) {
        let (width, from) = (self.width, r * self.width + v * S::F32_LANES);
        let at = |row: usize, vec: usize| from + row * width + vec * S::F32_LANES;
        assert!(r + ROWS <= self.height && (v + VECS) * S::F32_LANES <= self.width);
        assert!((r + ROWS) * self.width <= self.sums.len());
        let mut sums = [[simd.splat_f32s(0.0); VECS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (vec, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the rows and the vectors fit, asserted above.
                *sum = unsafe { load::<S>(self.sums, at(row, vec)) };
            }
        }
        let tiles = self
            .y
            .chunks_exact(self.height)
            .zip(self.d.chunks_exact(self.width));
        for (y, d) in tiles {
            let y = &y[r..][..ROWS];
            let mut x = [simd.splat_f32s(0.0); VECS];
            for (vec, x) in x.iter_mut().enumerate() {
                // SAFETY: v + VECS vectors fit in a row, asserted above.
                *x = unsafe { load::<S>(d, (v + vec) * S::F32_LANES) };
            }
            for (sums, &y) in sums.iter_mut().zip(y) {
                let y = simd.splat_f32s(y);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_e_f32s(y, x, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (vec, &sum) in sums.iter().enumerate() {
                // SAFETY: as above.
                unsafe { store::<S>(self.sums, at(row, vec), sum) };
            }
        }
    }
}
