//! Convolutions that keep the map's size, or halve it: forward, input gradient, weight gradient.
//!
//! A few images are laid side by side in a zero-padded scratch, one flat row per channel, so that
//! a convolution is a sum of shifted views of that row and small maps fill whole vectors. Taps
//! that can only ever see padding (the outer taps of a stretched conv) are left out; they would
//! add zeros. The input gradient is the same sum with the taps negated. A stride splits the input
//! into phases, a row each.
//!
//! On the way into the scratch a batch norm may be applied to the input, and the gradient of one to
//! the output's; on the way out, while a tile is in cache, what the next one needs is measured.

mod dots;
mod layout;
mod read;
mod slide;
mod sum;

use super::norm;
use super::{dispatch, par_chunks, room, scratch};
use dots::Dots;
use layout::{Layout, Tap};
use pulp::Simd;
pub use read::{Behind, Gradient, Source, Through};
use sum::Shifted;

/// Shape of a convolution with a square kernel that keeps the map's size, but for its stride.
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
    /// From one window to the next, in both directions. A side of `h` becomes `h.div_ceil(stride)`.
    pub stride: usize,
}

impl Geometry {
    /// A dense kernel of odd size `kernel` with padding `kernel / 2`.
    pub fn same(kernel: usize) -> Self {
        Self {
            kernel,
            padding: kernel / 2,
            dilation: 1,
            groups: 1,
            stride: 1,
        }
    }

    /// A kernel of odd size `kernel`, its taps `dilation` apart, with the padding that keeps the size.
    pub fn dilated(kernel: usize, dilation: usize) -> Self {
        Self {
            padding: dilation * (kernel / 2),
            dilation,
            ..Self::same(kernel)
        }
    }

    /// With `groups` groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// With stride `stride`.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
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
    /// Rows in.
    pub h: usize,
    /// Columns in.
    pub w: usize,
}

impl Sizes {
    /// Rows and columns out.
    pub fn out(self, g: Geometry) -> (usize, usize) {
        (self.h.div_ceil(g.stride), self.w.div_ceil(g.stride))
    }
}

/// Gradients are made in this many parts, whatever the number of threads.
const PARTS: usize = 8;

/// `y = conv(x, w)`. `x`: NCHW with `c_in`, `weight`: `[c_out, c_in / groups, k, k]`. With `measure`
/// also the [`norm::moments`] of the planes of `y`.
pub fn forward(
    x: Source<'_>,
    weight: &[f32],
    g: Geometry,
    s: Sizes,
    measure: bool,
) -> (Vec<f32>, Vec<[f64; 2]>) {
    let layout = Layout::new(g, s);
    let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
    let at = |group: usize, o: usize, i: usize, tap: &Tap| {
        weight[((group * co + o) * ci + i) * kk + tap.index]
    };
    let shifted = Shifted::forward(&layout, g.groups, (ci, co), at);
    let sliding = (ci, co) == (1, 1) && slide::slides(&layout, g.kernel);
    let (oh, ow) = s.out(g);
    let (plane_in, plane) = (s.h * s.w, oh * ow);
    let mut out = room::take(s.n * s.c_out * plane);
    let mut moments = vec![[0.0; 2]; if measure { s.n * s.c_out } else { 0 }];
    let (wide, narrow) = (ci * layout.input.phases.len(), co);
    let tile = |t: usize, out: &mut [f32]| {
        let images = out.len() / (s.c_out * plane);
        let (base, len) = (t * layout.tile * s.c_in * plane_in, layout.len(images));
        let scratched = if layout.flat { 0 } else { narrow * layout.row };
        scratch([wide * layout.row, scratched], |[padded, rows]| {
            for group in 0..g.groups {
                let (grid, tile) = (&layout.input, (base, images));
                layout.pad(grid, &x, tile, (s.c_in, group * ci), padded);
                if layout.flat {
                    let out = &mut out[group * co * plane..][..co * plane];
                    shifted.group(group, &layout, padded, out, len);
                    continue;
                }
                if sliding {
                    let (channel, weights) = (channel(&layout, g, images, padded), group * kk);
                    slide::correlate(channel, g.kernel, &weight[weights..weights + kk], rows);
                } else {
                    shifted.group(group, &layout, padded, rows, len);
                }
                for (o, row) in rows.chunks_exact(layout.row).enumerate() {
                    layout.unpad(&layout.output, 0, row, (s.c_out, group * co + o), out);
                }
            }
        });
    };
    let tiles = out.chunks_mut((layout.tile * s.c_out * plane).max(1));
    let mut measured = moments.chunks_mut((layout.tile * s.c_out).max(1));
    let mut pieces: Vec<_> = tiles.map(|tile| (tile, measured.next())).collect();
    par_chunks(&mut pieces, 1, x.map.len(), |t, piece| {
        for (out, moments) in piece {
            tile(t, out);
            if let Some(moments) = moments {
                norm::moments(out, plane, moments);
            }
        }
    });
    drop(pieces);
    (out, moments)
}

/// What [`gradients`] makes.
pub struct Gradients {
    /// By the map that was read, or by what a batch norm made of it.
    pub input: Option<Vec<f32>>,
    /// By the weights.
    pub weight: Vec<f32>,
    /// If a batch norm is applied to the input, and its gradient is wanted: its [`norm::sums`].
    pub sums: Vec<[f64; 2]>,
}

/// The gradients of `conv(x, w)` from that of its output: by `w`, and by `x` if it is wanted. A tile
/// of both is padded once for both.
pub fn gradients(
    x: Source<'_>,
    dy: Gradient<'_>,
    weight: &[f32],
    g: Geometry,
    s: Sizes,
    by_input: bool,
) -> Gradients {
    let layout = Layout::new(g, s);
    let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
    let at = |group: usize, i: usize, o: usize, tap: &Tap| {
        weight[((group * co + o) * ci + i) * kk + tap.index]
    };
    let phases = layout.input.phases.len();
    let shifted: Vec<Shifted> = (0..if by_input { phases } else { 0 })
        .map(|phase| Shifted::backward(&layout, phase, g.groups, (co, ci), at))
        .collect();
    let sliding = (ci, co) == (1, 1) && slide::slides(&layout, g.kernel);
    // A channel's kernel turned by 180 degrees, for the gradient by its input.
    let turned: Vec<f32> = match sliding {
        true => weight
            .chunks_exact(kk)
            .flat_map(|k| k.iter().rev().copied())
            .collect(),
        false => Vec::new(),
    };
    // One view a pair of input channel and tap; a gradient is the dot product of a view and dy.
    let views: Vec<usize> = (0..ci)
        .flat_map(|i| {
            let channel = i * phases * layout.row + layout.front;
            let view = |t: &Tap| (channel + t.phase * layout.row).wrapping_add_signed(t.offset);
            layout.taps.iter().map(view).collect::<Vec<_>>()
        })
        .collect();
    let (plane, size) = (s.h * s.w, g.groups * co * views.len());
    let plane_out = layout.output.h * layout.output.w;
    let tiles = s.n.div_ceil(layout.tile);
    let per_part = tiles.div_ceil(PARTS).max(1);
    let (tile_in, tile_out) = (
        layout.tile * s.c_in * plane,
        layout.tile * s.c_out * plane_out,
    );
    let mut parts = vec![0.0; tiles.div_ceil(per_part) * size];
    let mut dx = by_input.then(|| room::take(x.map.len()));
    let below = match x.through {
        Through::Norm(channels) if by_input => Some(channels),
        _ => None,
    };
    let mut norm_sums = vec![[0.0; 2]; below.map_or(0, |_| s.n * s.c_in)];
    let part = |part: usize, piece: &mut Piece<'_>| {
        let [wide, narrow, rows] = [ci * phases, co, ci].map(|rows| rows * layout.row);
        scratch([wide, narrow, rows], |[padded, gradient, rows]| {
            for t in part * per_part..((part + 1) * per_part).min(tiles) {
                let (first_in, first_out) = (t * tile_in, t * tile_out);
                let images = layout.tile.min(s.n - t * layout.tile);
                let len = layout.len(images);
                let here = (t - part * per_part) * tile_in;
                let mut dx = piece.dx.as_deref_mut();
                let mut dx = dx
                    .as_mut()
                    .map(|dx| &mut dx[here..here + images * s.c_in * plane]);
                for group in 0..g.groups {
                    let (grid, from) = (&layout.input, (first_in, images));
                    layout.pad(grid, &x, from, (s.c_in, group * ci), padded);
                    let (grid, from) = (&layout.output, (first_out, images));
                    layout.pad(grid, &dy, from, (s.c_out, group * co), gradient);
                    let sums = &mut piece.weight[group * co * views.len()..][..co * views.len()];
                    if sliding {
                        let channel = channel(&layout, g, images, padded);
                        slide::products(channel, g.kernel, gradient, sums);
                    } else {
                        dispatch(Dots {
                            x: padded,
                            views: &views,
                            dy: gradient,
                            front: layout.front,
                            stride: layout.row,
                            sums,
                            len,
                        });
                    }
                    let Some(dx) = dx.as_deref_mut() else {
                        continue;
                    };
                    if group == 0 && phases < g.stride * g.stride {
                        dx.fill(0.0); // No tap sees the other phases.
                    }
                    for (phase, shifted) in shifted.iter().enumerate() {
                        if layout.flat {
                            let dx = &mut dx[group * ci * plane..][..ci * plane];
                            shifted.group(group, &layout, gradient, dx, len);
                            continue;
                        }
                        if sliding {
                            let channel = channel(&layout, g, images, gradient);
                            slide::correlate(channel, g.kernel, &turned[group * kk..][..kk], rows);
                        } else {
                            shifted.group(group, &layout, gradient, rows, len);
                        }
                        for (i, row) in rows.chunks_exact(layout.row).enumerate() {
                            let channel = (s.c_in, group * ci + i);
                            layout.unpad(&layout.input, phase, row, channel, dx);
                        }
                    }
                }
                let Some(dx) = dx else { continue };
                let x_map = &x.map[first_in..first_in + dx.len()];
                if matches!(x.through, Through::Relu) {
                    let dead = x_map.iter().map(|x| *x <= 0.0);
                    dx.iter_mut()
                        .zip(dead)
                        .for_each(|(dx, dead)| *dx = if dead { 0.0 } else { *dx });
                }
                if let Some((channels, sums)) = below.zip(piece.sums.as_mut()) {
                    let here = (t - part * per_part) * layout.tile * s.c_in;
                    let sums = &mut sums[here..here + images * s.c_in];
                    norm::sums(x_map, dx, channels, plane, sums);
                }
            }
        });
    };
    let mut inputs = dx
        .iter_mut()
        .flat_map(|dx| dx.chunks_mut((per_part * tile_in).max(1)));
    let mut sums = norm_sums.chunks_mut((per_part * layout.tile * s.c_in).max(1));
    let mut pieces: Vec<Piece<'_>> = parts
        .chunks_mut(size.max(1))
        .map(|weight| Piece {
            weight,
            dx: inputs.next(),
            sums: sums.next(),
        })
        .collect();
    drop(inputs);
    par_chunks(&mut pieces, 1, x.map.len(), |i, piece| {
        for piece in piece {
            part(i, piece);
        }
    });
    drop(pieces);
    let mut gradient = vec![0.0; s.c_out * ci * kk];
    for part in parts.chunks_exact(size.max(1)) {
        for (pair, sums) in part.chunks_exact(layout.taps.len().max(1)).enumerate() {
            for (tap, sum) in layout.taps.iter().zip(sums) {
                gradient[pair * kk + tap.index] += sum;
            }
        }
    }
    Gradients {
        input: dx,
        weight: gradient,
        sums: norm_sums,
    }
}

fn channel<'a>(layout: &'a Layout, g: Geometry, images: usize, x: &'a [f32]) -> slide::Channel<'a> {
    slide::Channel {
        layout,
        images,
        dilation: g.dilation,
        x,
    }
}

/// What one part of the images adds to.
struct Piece<'a> {
    weight: &'a mut [f32],
    dx: Option<&'a mut [f32]>,
    sums: Option<&'a mut [[f64; 2]]>,
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
