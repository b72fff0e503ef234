//! Convolutions that keep the map's size, but for their stride: forward, input gradient, weight
//! gradient.
//!
//! A few images are laid side by side in a zero-padded scratch, one flat row per channel, so that
//! a convolution is a sum of shifted views of that row and small maps fill whole vectors. Taps
//! that can only ever see padding (the outer taps of a stretched conv) are left out; with finite
//! weights they would add zeros. The input gradient is the same sum with the taps negated. A stride
//! splits the input into phases, a row each.
//!
//! Dense 3x3 and 5x5 convolutions with enough channels may be done with fewer products instead
//! ([`Geometry::winograd`]).
//!
//! On the way into the scratch a batch norm may be applied to the input, and the gradient of one to
//! the output's; on the way out, while a tile is in cache, what the next one needs is measured.

mod correlation;
mod dots;
mod gradients;
mod layout;
mod read;
mod slide;
mod sum;
mod winograd;

use super::norm;
use super::{buffer_pool, par_chunks, scratch};
use correlation::Correlation;
pub use gradients::{Gradients, Wanted, gradients};
use layout::Layout;
use pulp::Simd;
pub use read::{Behind, Gradient, Source, Through};
pub use winograd::FEWEST as FEWEST_OF_WINOGRAD;
use winograd::Winograd;

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
    /// Whether it may be done with fewer products, by Winograd's F(4x4, 3x3) and F(4x4, 5x5), where that is
    /// faster: for a dense 3x3 or 5x5 kernel of stride 1 with 16 channels or more. It loses a digit. Maps with
    /// values that are not finite are done with all products, so NaN goes where it goes without.
    pub winograd: bool,
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
            winograd: false,
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

    /// That may be done with fewer products: see the field.
    pub fn winograd(self) -> Self {
        Self {
            winograd: true,
            ..self
        }
    }

    /// With stride `stride`.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
}

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
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

    /// Panics unless a map of `x` values and `weight` are of these sizes and `g` fits them: buffers are
    /// used again, and a wrong one would show what they last held.
    fn check(self, g: Geometry, x: usize, weight: &[f32]) {
        assert!(g.stride > 0 && g.groups > 0 && 2 * g.padding == g.dilation * (g.kernel - 1));
        assert!(self.c_in.is_multiple_of(g.groups) && self.c_out.is_multiple_of(g.groups));
        assert_eq!(
            x,
            self.n * self.c_in * self.h * self.w,
            "values of the input"
        );
        let weights = self.c_out * self.c_in / g.groups * g.kernel * g.kernel;
        assert_eq!(weight.len(), weights, "values of the weight");
    }
}

/// `y = conv(x, w)`, to which `plus` is added. `x`: NCHW with `c_in`, `weight`: `[c_out, c_in / groups, k, k]`.
/// With `measure` also the [`norm::moments`] of the planes of `y`.
pub fn forward(
    x: Source<'_>,
    weight: &[f32],
    g: Geometry,
    s: Sizes,
    (plus, measure): (Option<&[f32]>, bool),
) -> (Vec<f32>, Vec<[f64; 2]>) {
    s.check(g, x.map.len(), weight);
    let plane = s.out(g).0 * s.out(g).1;
    let after = |at: usize, out: &mut [f32], moments: &mut [[f64; 2]]| {
        if let Some(plus) = plus {
            norm::add(&plus[at..at + out.len()], out);
        }
        if !moments.is_empty() {
            norm::moments(out, plane, moments);
        }
    };
    let fewer = winograd::suits(g, s).then(|| Winograd::forward(g, s, weight));
    if let Some(made) = fewer.flatten().and_then(|way| way.map(&x, measure, after)) {
        return made;
    }
    let layout = Layout::new(g, s);
    let correlation = Correlation::forward(&layout, g, s, weight);
    let ci = s.c_in / g.groups;
    let plane_in = layout.input.plane();
    let mut out = buffer_pool::take(s.n * s.c_out * plane);
    let mut moments = vec![[0.0; 2]; if measure { s.n * s.c_out } else { 0 }];
    let lengths = [
        ci * layout.input.phases.len() * layout.row,
        correlation.scratch(),
    ];
    let size = layout.tile * s.c_out * plane;
    let tiles = out.chunks_mut(size.max(1));
    let mut measured = moments.chunks_mut((layout.tile * s.c_out).max(1));
    let mut pieces: Vec<_> = tiles
        .map(|tile| (tile, measured.next().unwrap_or_default()))
        .collect();
    par_chunks(&mut pieces, 1, x.map.len(), |t, piece| {
        for (out, moments) in piece {
            let images = out.len() / (s.c_out * plane);
            let from = (t * layout.tile * s.c_in * plane_in, images);
            scratch(lengths, |[padded, rows]| {
                for group in 0..g.groups {
                    layout.pad(&layout.input, &x, from, (s.c_in, group * ci), padded);
                    correlation.apply(group, images, padded, rows, out);
                }
            });
            after(t * size, out, moments);
        }
    });
    drop(pieces);
    (out, moments)
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
