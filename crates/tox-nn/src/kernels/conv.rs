//! Stride-1 convolutions that keep the map's size: forward, input gradient, weight gradient.
//!
//! A few images are laid side by side in a zero-padded scratch, one flat row per channel, so that
//! a convolution is a sum of shifted views of that row and small maps fill whole vectors. Taps
//! that can only ever see padding (the outer taps of a stretched conv) are left out; they would
//! add zeros. The input gradient is the same sum with the taps negated.

mod dots;
mod layout;
mod sum;

use super::{par_chunks, room, scratch};
use dots::Dots;
use layout::{Layout, Tap};
use pulp::{Arch, Simd};
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
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

/// Gradients are made in this many parts, whatever the number of threads.
const PARTS: usize = 8;

/// `y = conv(x, w)`. `x`: NCHW with `c_in`, `weight`: `[c_out, c_in / groups, k, k]`.
pub fn forward(x: &[f32], weight: &[f32], g: Geometry, s: Sizes) -> Vec<f32> {
    let layout = Layout::new(g, s);
    let (ci, co) = (s.c_in / g.groups, s.c_out / g.groups);
    let at = |group: usize, o: usize, i: usize, tap: &Tap| {
        weight[((group * co + o) * ci + i) * g.kernel * g.kernel + tap.index]
    };
    let shifted = Shifted::new(&layout, g.groups, (ci, co), 1, at);
    let plane = s.h * s.w;
    let mut out = room::take(s.n * s.c_out * plane);
    let tile_in = layout.tile * s.c_in * plane;
    par_chunks(
        &mut out,
        layout.tile * s.c_out * plane,
        x.len(),
        |t, out| {
            let x = &x[t * tile_in..(t * tile_in + tile_in).min(x.len())];
            let len = layout.len(out.len() / (s.c_out * plane));
            if layout.flat {
                let rows = x
                    .chunks_exact(ci * plane)
                    .zip(out.chunks_exact_mut(co * plane));
                for (group, (x, out)) in rows.enumerate() {
                    shifted.group(group, &layout, x, out, len);
                }
                return;
            }
            scratch(
                [ci * layout.stride, co * layout.stride],
                |[padded, rows]| {
                    for group in 0..g.groups {
                        layout.pad(x, s.c_in, group * ci, ci, layout.front, padded);
                        shifted.group(group, &layout, padded, rows, len);
                        for (o, row) in rows.chunks_exact(layout.stride).enumerate() {
                            layout.unpad(row, s.c_out, group * co + o, out);
                        }
                    }
                },
            );
        },
    );
    out
}

/// The gradients of `conv(x, w)` from that of its output: by `w`, and by `x` if it is wanted. A tile
/// of the output's gradient is padded once for both.
pub fn gradients(
    x: &[f32],
    dy: &[f32],
    weight: &[f32],
    g: Geometry,
    s: Sizes,
    by_input: bool,
) -> (Option<Vec<f32>>, Vec<f32>) {
    let layout = Layout::new(g, s);
    let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
    let at = |group: usize, i: usize, o: usize, tap: &Tap| {
        weight[((group * co + o) * ci + i) * kk + tap.index]
    };
    let shifted = by_input.then(|| Shifted::new(&layout, g.groups, (co, ci), -1, at));
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
    let (plane, size) = (s.h * s.w, g.groups * co * views.len());
    let tiles = s.n.div_ceil(layout.tile);
    let per_part = tiles.div_ceil(PARTS).max(1);
    let (tile_in, tile_out) = (layout.tile * s.c_in * plane, layout.tile * s.c_out * plane);
    let mut parts = vec![0.0; tiles.div_ceil(per_part) * size];
    let mut dx = by_input.then(|| room::take(x.len()));
    let part = |part: usize, sums: &mut [f32], mut dx: Option<&mut [f32]>| {
        let [wide, narrow] = [ci, co].map(|channels| channels * layout.stride);
        scratch([wide, narrow, wide], |[padded, gradient, rows]| {
            for t in part * per_part..((part + 1) * per_part).min(tiles) {
                let x = &x[t * tile_in..(t * tile_in + tile_in).min(x.len())];
                let dy = &dy[t * tile_out..(t * tile_out + tile_out).min(dy.len())];
                let len = layout.len(x.len() / (s.c_in * plane));
                let at = (t - part * per_part) * tile_in;
                let mut dx = dx.as_deref_mut().map(|dx| &mut dx[at..at + x.len()]);
                for group in 0..g.groups {
                    let (x, dy): (&[f32], &[f32]) = if layout.flat {
                        let (x, dy) = (&x[group * ci * plane..], &dy[group * co * plane..]);
                        (&x[..ci * plane], &dy[..co * plane])
                    } else {
                        layout.pad(x, s.c_in, group * ci, ci, layout.front, padded);
                        layout.pad(dy, s.c_out, group * co, co, layout.front, gradient);
                        (padded, gradient)
                    };
                    Arch::new().dispatch(Dots {
                        x,
                        views: &views,
                        dy,
                        front: layout.front,
                        stride: layout.stride,
                        sums: &mut sums[group * co * views.len()..][..co * views.len()],
                        len,
                    });
                    let Some((shifted, dx)) = shifted.as_ref().zip(dx.as_deref_mut()) else {
                        continue;
                    };
                    if layout.flat {
                        let dx = &mut dx[group * ci * plane..][..ci * plane];
                        shifted.group(group, &layout, dy, dx, len);
                        continue;
                    }
                    shifted.group(group, &layout, dy, rows, len);
                    for (i, row) in rows.chunks_exact(layout.stride).enumerate() {
                        layout.unpad(row, s.c_in, group * ci + i, dx);
                    }
                }
            }
        });
    };
    let mut pieces: Vec<Option<&mut [f32]>> = match &mut dx {
        Some(dx) => dx
            .chunks_mut((per_part * tile_in).max(1))
            .map(Some)
            .collect(),
        None => Vec::new(),
    };
    pieces.resize_with(tiles.div_ceil(per_part), || None);
    let sums = parts.chunks_mut(size.max(1));
    let mut pieces: Vec<_> = sums.zip(pieces).collect();
    par_chunks(&mut pieces, 1, x.len(), |i, piece| {
        for (sums, dx) in piece {
            part(i, sums, dx.as_deref_mut());
        }
    });
    let mut gradient = vec![0.0; s.c_out * ci * kk];
    for part in parts.chunks_exact(size.max(1)) {
        for (pair, sums) in part.chunks_exact(layout.taps.len().max(1)).enumerate() {
            for (tap, sum) in layout.taps.iter().zip(sums) {
                gradient[pair * kk + tap.index] += sum;
            }
        }
    }
    (dx, gradient)
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
