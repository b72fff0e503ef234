//! Stride-1 convolutions that keep the map's size: forward, input gradient, weight gradient.
//!
//! A few images are laid side by side in a zero-padded scratch, one flat row per channel, so that
//! a convolution is a sum of shifted views of that row and small maps fill whole vectors. Taps
//! that can only ever see padding (the outer taps of a stretched conv) are left out; they would
//! add zeros. The input gradient is the same sum with the taps negated.

use super::{par_chunks, room, scratch};
use pulp::{Arch, Simd, WithSimd};

/// Shape of a stride-1, size-preserving convolution with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Kernel size.
    pub kernel: usize,
    /// Zero padding on each side; `2 * padding == dilation * (kernel - 1)`.
    pub padding: usize,
    /// Dilation.
    pub dilation: usize,
    /// Groups; divides both channel counts.
    pub groups: usize,
}

impl Geometry {
    /// A dense kernel of odd size `kernel` with padding `kernel / 2`.
    pub fn same(kernel: usize) -> Self {
        Self {
            kernel,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
        }
    }

    /// With `groups` groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }
}

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Images.
    pub n: usize,
    /// Channels in.
    pub c_in: usize,
    /// Channels out.
    pub c_out: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

/// Vectors of slack after each scratch row, so that blocks of four may run over its end.
const SLACK: usize = 64;
/// Images are put side by side until a row has this many values.
const MIN_ROW: usize = 256;
/// Weight gradients are summed in this many parts, whatever the number of threads.
const PARTS: usize = 8;

/// A kernel position that can see more than padding: its place in the kernel, its offset.
struct Tap {
    index: usize,
    offset: isize,
}

/// The flat padded layout of a tile of images.
struct Layout {
    h: usize,
    w: usize,
    /// Values from one row to the next.
    pitch: usize,
    /// Values from one image to the next.
    image: usize,
    /// Zeros before the first image.
    front: usize,
    /// Values of one channel's row, margins and slack included.
    stride: usize,
    /// Images in a full tile.
    tile: usize,
    taps: Vec<Tap>,
}

impl Layout {
    fn new(g: Geometry, s: Sizes) -> Self {
        let mut seen = Vec::new();
        let (mut py, mut px) = (0, 0);
        for ky in 0..g.kernel {
            for kx in 0..g.kernel {
                let dy = (ky * g.dilation) as isize - g.padding as isize;
                let dx = (kx * g.dilation) as isize - g.padding as isize;
                if dy.unsigned_abs() < s.h && dx.unsigned_abs() < s.w {
                    py = py.max(dy.unsigned_abs());
                    px = px.max(dx.unsigned_abs());
                    seen.push((ky * g.kernel + kx, dy, dx));
                }
            }
        }
        let pitch = s.w + px;
        let image = (s.h + py) * pitch;
        let front = py * pitch + px;
        let tile = (MIN_ROW / image).clamp(1, s.n.max(1));
        let taps = seen
            .into_iter()
            .map(|(index, dy, dx)| Tap {
                index,
                offset: dy * pitch as isize + dx,
            })
            .collect();
        let stride = front + tile * image + front + SLACK;
        Self {
            h: s.h,
            w: s.w,
            pitch,
            image,
            front,
            stride,
            tile,
            taps,
        }
    }

    /// Length of the flat output row of a tile of `images`.
    fn len(&self, images: usize) -> usize {
        images * self.image
    }

    /// Copies `channels` planes a image of `src` (NCHW, from channel `first` of `total`) into
    /// scratch rows whose first value lies `front` in; everything else is zero.
    fn pad(
        &self,
        src: &[f32],
        total: usize,
        first: usize,
        channels: usize,
        front: usize,
        dst: &mut [f32],
    ) {
        let plane = self.h * self.w;
        let images = src.len() / (total * plane);
        for (c, row) in dst.chunks_exact_mut(self.stride).take(channels).enumerate() {
            row.fill(0.0);
            for m in 0..images {
                let from = &src[(m * total + first + c) * plane..][..plane];
                let to = &mut row[front + m * self.image..];
                if self.pitch == self.w {
                    to[..plane].copy_from_slice(from);
                } else {
                    for (y, line) in from.chunks_exact(self.w).enumerate() {
                        to[y * self.pitch..][..self.w].copy_from_slice(line);
                    }
                }
            }
        }
    }

    /// Copies a flat output row of channel `c` (of `total`) back to NCHW.
    fn unpad(&self, row: &[f32], total: usize, c: usize, dst: &mut [f32]) {
        let plane = self.h * self.w;
        for m in 0..dst.len() / (total * plane) {
            let to = &mut dst[(m * total + c) * plane..][..plane];
            let from = &row[m * self.image..];
            if self.pitch == self.w {
                to.copy_from_slice(&from[..plane]);
            } else {
                for (y, line) in to.chunks_exact_mut(self.w).enumerate() {
                    line.copy_from_slice(&from[y * self.pitch..][..self.w]);
                }
            }
        }
    }
}

/// `y = conv(x, w)`. `x`: NCHW with `c_in`, `weight`: `[c_out, c_in / groups, k, k]`.
pub fn forward(x: &[f32], weight: &[f32], g: Geometry, s: Sizes) -> Vec<f32> {
    let layout = Layout::new(g, s);
    let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
    let at = |group: usize, o: usize, i: usize, tap: &Tap| {
        weight[((group * co + o) * ci + i) * kk + tap.index]
    };
    shifted_sum(x, &layout, s, s.c_out, g.groups, ci, co, 1, at)
}

/// The gradient of `conv(x, w)` with respect to `x`, from that of its output.
pub fn input_gradient(dy: &[f32], weight: &[f32], g: Geometry, s: Sizes) -> Vec<f32> {
    let layout = Layout::new(g, s);
    let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
    let at = |group: usize, i: usize, o: usize, tap: &Tap| {
        weight[((group * co + o) * ci + i) * kk + tap.index]
    };
    let swapped = Sizes {
        c_in: s.c_out,
        c_out: s.c_in,
        ..s
    };
    shifted_sum(dy, &layout, swapped, s.c_in, g.groups, co, ci, -1, at)
}

/// For each image and group: `out[o] = sum over i, taps of at(group, o, i, tap) * in[i]` shifted by
/// `sign * tap`.
#[allow(clippy::too_many_arguments)]
fn shifted_sum(
    x: &[f32],
    layout: &Layout,
    s: Sizes,
    c_out: usize,
    groups: usize,
    ci: usize,
    co: usize,
    sign: isize,
    at: impl Fn(usize, usize, usize, &Tap) -> f32,
) -> Vec<f32> {
    let plane = s.h * s.w;
    let offsets: Vec<usize> = layout
        .taps
        .iter()
        .map(|t| layout.front.wrapping_add_signed(sign * t.offset))
        .collect();
    let blocks = blocks(co);
    // Weights in the order in which the inner loop reads them: group, block, input, tap, output.
    let mut packed = Vec::with_capacity(groups * co * ci * offsets.len());
    for group in 0..groups {
        for &(first, size) in &blocks {
            for i in 0..ci {
                for tap in &layout.taps {
                    packed.extend((first..first + size).map(|o| at(group, o, i, tap)));
                }
            }
        }
    }
    let mut out = room::take(s.n * c_out * plane);
    let tile_in = layout.tile * s.c_in * plane;
    par_chunks(&mut out, layout.tile * c_out * plane, |t, out| {
        let x = &x[t * tile_in..(t * tile_in + tile_in).min(x.len())];
        let len = layout.len(out.len() / (c_out * plane));
        scratch(
            [ci * layout.stride, co * layout.stride],
            |[padded, rows]| {
                for group in 0..groups {
                    layout.pad(x, s.c_in, group * ci, ci, layout.front, padded);
                    let mut weights = &packed[group * co * ci * offsets.len()..];
                    for &(first, size) in &blocks {
                        let (block, rest) = weights.split_at(size * ci * offsets.len());
                        weights = rest;
                        let out = &mut rows[first * layout.stride..][..size * layout.stride];
                        let sum = ShiftedSum {
                            x: padded,
                            stride: layout.stride,
                            inputs: ci,
                            offsets: &offsets,
                            weights: block,
                            size,
                            out,
                            len,
                        };
                        Arch::new().dispatch(sum);
                    }
                    for o in 0..co {
                        let row = &rows[o * layout.stride..][..layout.stride];
                        layout.unpad(row, c_out, group * co + o, out);
                    }
                }
            },
        );
    });
    out
}

/// Channels in blocks for which the accumulators stay in registers: first channel and size of each.
fn blocks(channels: usize) -> Vec<(usize, usize)> {
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
    Arch::new().dispatch(Registers)
}

struct ShiftedSum<'a> {
    /// Padded input rows, `stride` apart.
    x: &'a [f32],
    stride: usize,
    inputs: usize,
    /// Where each tap's view begins in a row.
    offsets: &'a [usize],
    /// `[inputs][offsets][size]`.
    weights: &'a [f32],
    /// Output rows, `stride` apart.
    size: usize,
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
        assert!(furthest <= self.stride && end <= self.stride);
        assert!(self.inputs * self.stride <= self.x.len());
        assert!(ROWS * self.stride <= self.out.len());
        for j in (0..end).step_by(step) {
            let mut sums = [[simd.splat_f32s(0.0); VECS]; ROWS];
            let mut weights = self.weights.chunks_exact(ROWS);
            for i in 0..self.inputs {
                for &offset in self.offsets {
                    let at = i * self.stride + offset + j;
                    let mut x = [simd.splat_f32s(0.0); VECS];
                    for (v, x) in x.iter_mut().enumerate() {
                        // SAFETY: at + step <= i * stride + furthest <= x.len(), asserted above.
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

/// # Safety
/// `at + S::F32_LANES <= from.len()`.
#[inline(always)]
unsafe fn load<S: Simd>(from: &[f32], at: usize) -> S::f32s {
    // SAFETY: in bounds by the caller; `f32s` is plain old data; unaligned reads are allowed.
    unsafe { from.as_ptr().add(at).cast::<S::f32s>().read_unaligned() }
}

/// # Safety
/// `at + S::F32_LANES <= to.len()`.
#[inline(always)]
unsafe fn store<S: Simd>(to: &mut [f32], at: usize, value: S::f32s) {
    // SAFETY: as in `load`.
    unsafe {
        to.as_mut_ptr()
            .add(at)
            .cast::<S::f32s>()
            .write_unaligned(value)
    }
}

/// The gradient of `conv(x, w)` with respect to `w`, from that of its output.
pub fn weight_gradient(x: &[f32], dy: &[f32], g: Geometry, s: Sizes) -> Vec<f32> {
    let layout = Layout::new(g, s);
    let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
    let plane = s.h * s.w;
    // One view a pair of input channel and tap; a gradient is the dot product of a view and dy.
    let views: Vec<usize> = (0..ci)
        .flat_map(|i| {
            let start = i * layout.stride + layout.front;
            layout
                .taps
                .iter()
                .map(move |t| start.wrapping_add_signed(t.offset))
        })
        .collect();
    let size = g.groups * co * views.len();
    let tiles = s.n.div_ceil(layout.tile);
    let per_part = tiles.div_ceil(PARTS).max(1);
    let (tile_in, tile_out) = (layout.tile * s.c_in * plane, layout.tile * s.c_out * plane);
    let mut parts = vec![0.0; tiles.div_ceil(per_part) * size];
    par_chunks(&mut parts, size, |part, sums| {
        scratch(
            [ci * layout.stride, co * layout.stride],
            |[padded, rows]| {
                for t in part * per_part..((part + 1) * per_part).min(tiles) {
                    let x = &x[t * tile_in..(t * tile_in + tile_in).min(x.len())];
                    let dy = &dy[t * tile_out..(t * tile_out + tile_out).min(dy.len())];
                    let len = layout.len(x.len() / (s.c_in * plane));
                    for group in 0..g.groups {
                        layout.pad(x, s.c_in, group * ci, ci, layout.front, padded);
                        layout.pad(dy, s.c_out, group * co, co, 0, rows);
                        let sums = &mut sums[group * co * views.len()..][..co * views.len()];
                        let stride = layout.stride;
                        Arch::new().dispatch(Dots {
                            x: padded,
                            views: &views,
                            dy: rows,
                            stride,
                            sums,
                            len,
                        });
                    }
                }
            },
        );
    });
    let mut gradient = vec![0.0; s.c_out * ci * kk];
    for part in parts.chunks_exact(size.max(1)) {
        for (pair, sums) in part.chunks_exact(layout.taps.len().max(1)).enumerate() {
            for (tap, sum) in layout.taps.iter().zip(sums) {
                gradient[pair * kk + tap.index] += sum;
            }
        }
    }
    gradient
}

struct Dots<'a> {
    x: &'a [f32],
    /// Where each view begins in `x`.
    views: &'a [usize],
    /// Rows of the output's gradient, `stride` apart, zero in the padding.
    dy: &'a [f32],
    stride: usize,
    /// `[rows][views]`, added to.
    sums: &'a mut [f32],
    len: usize,
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
        assert!(end <= self.stride && (r + ROWS) * self.stride <= self.dy.len());
        let mut sums = [[simd.splat_f32s(0.0); VIEWS]; ROWS];
        for j in (0..end).step_by(S::F32_LANES) {
            let mut x = [simd.splat_f32s(0.0); VIEWS];
            for (x, start) in x.iter_mut().zip(starts) {
                // SAFETY: start + end <= x.len(), asserted above.
                *x = unsafe { load::<S>(self.x, start + j) };
            }
            for (k, sums) in sums.iter_mut().enumerate() {
                // SAFETY: end <= stride and the rows fit in dy, asserted above.
                let dy = unsafe { load::<S>(self.dy, (r + k) * self.stride + j) };
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
