//! A convolution's gradients, by its weights and by its input.

use super::correlation::Correlation;
use super::dots::Dots;
use super::layout::{Layout, Tap};
use super::slide::{self, Channel};
use super::winograd::{self, Winograd};
use super::{Geometry, Gradient, Sizes, Source, Through};
use crate::kernels::{buffer_pool, dispatch, norm, par_chunks, scratch};

/// Most parts in which gradients are made, whatever the number of threads: each has sums of its own for
/// all weights. Of more threads than that, trials side by side make better use.
pub(super) const PARTS: usize = 8;

/// What is wanted of [`gradients`].
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The gradient by the input.
    pub input: bool,
    /// That by the weights.
    pub weight: bool,
    /// With that by the input, if a batch norm is applied to it: its [`norm::sums`].
    pub sums: bool,
    /// Added to the gradient by what the convolution reads: what others give it.
    pub plus: Option<&'a [f32]>,
}

/// What [`gradients`] makes.
#[derive(Default)]
pub struct Gradients {
    /// By the map that was read, or by what a batch norm made of it.
    pub input: Option<Vec<f32>>,
    /// By the weights; empty if that is not wanted.
    pub weight: Vec<f32>,
    /// If a batch norm is applied to the input, and they are wanted: its [`norm::sums`].
    pub sums: Vec<[f64; 2]>,
}

/// What one part of the images adds to.
struct Piece<'a> {
    weight: &'a mut [f32],
    dx: Option<&'a mut [f32]>,
    sums: Option<&'a mut [[f64; 2]]>,
}

/// The gradients of `conv(x, w)` from that of its output, by `x` and by `w` as they are wanted. Where both
/// go the direct way, a tile of both is padded once for both.
pub fn gradients(
    x: Source<'_>,
    dy: Gradient<'_>,
    weight: &[f32],
    g: Geometry,
    s: Sizes,
    wanted: Wanted<'_>,
) -> Gradients {
    s.check(g, x.map.len(), weight);
    let plane = s.h * s.w;
    let below = match x.through {
        Through::Norm(channels) if wanted.input && wanted.sums => Some(channels),
        _ => None,
    };
    let after = |at: usize, dx: &mut [f32], sums: &mut [[f64; 2]]| {
        if let Some(plus) = wanted.plus {
            norm::add(&plus[at..at + dx.len()], dx);
        }
        let x_map = &x.map[at..at + dx.len()];
        if matches!(x.through, Through::Relu) {
            norm::relu_backward(x_map, dx);
        }
        if let Some(channels) = below {
            norm::sums(x_map, dx, channels, plane, sums);
        }
    };
    let plane_out = s.out(g).0 * s.out(g).1;
    assert_eq!(
        dy.map.len(),
        s.n * s.c_out * plane_out,
        "values of the gradient"
    );
    let measured = below.is_some();
    let fewer = (wanted.input && winograd::suits(g, s)).then(|| Winograd::backward(g, s, weight));
    let input = fewer
        .flatten()
        .and_then(|way| way.map(&dy, measured, after));
    let weights = wanted
        .weight
        .then(|| winograd::weights(g, s, &x, &dy))
        .flatten();
    // What is wanted and was not made that way.
    let left = (
        wanted.input && input.is_none(),
        wanted.weight && weights.is_none(),
    );
    let direct =
        (left.0 || left.1).then(|| shifted(x, dy, weight, (g, s), left, measured && left.0, after));
    let mut made = direct.unwrap_or_default();
    if let Some((input, sums)) = input {
        (made.input, made.sums) = (Some(input), sums);
    }
    if let Some(weight) = weights {
        made.weight = weight;
    }
    made
}

/// By sums of shifted views, `sums` if they are `measured` by `after`.
fn shifted(
    x: Source<'_>,
    dy: Gradient<'_>,
    weight: &[f32],
    (g, s): (Geometry, Sizes),
    (by_input, by_weight): (bool, bool),
    measured: bool,
    after: impl Fn(usize, &mut [f32], &mut [[f64; 2]]) + Sync + Send,
) -> Gradients {
    let layout = Layout::new(g, s);
    let (plane, plane_out) = (layout.input.plane(), layout.output.plane());
    assert_eq!(
        dy.map.len(),
        s.n * s.c_out * plane_out,
        "values of the gradient"
    );
    let phases = layout.input.phases.len();
    let corrections = (0..if by_input { phases } else { 0 })
        .map(|phase| Correlation::backward(&layout, phase, g, s, weight))
        .collect::<Vec<_>>();
    let products = by_weight.then(|| Products::new(&layout, g, s));
    let size = products.as_ref().map_or(0, |p| g.groups * p.size());
    let tiles = s.n.div_ceil(layout.tile);
    let per_part = tiles.div_ceil(PARTS).max(1);
    let number = tiles.div_ceil(per_part);
    let (tile_in, tile_out) = (
        layout.tile * s.c_in * plane,
        layout.tile * s.c_out * plane_out,
    );
    let (ci, co) = (s.c_in / g.groups, s.c_out / g.groups);
    let rows = corrections.first().map_or(0, Correlation::scratch);
    let lengths = [ci * phases * layout.row, co * layout.row, rows];
    let mut parts = vec![0.0; number * size];
    let mut dx = by_input.then(|| buffer_pool::take(x.map.len()));
    let mut norm_sums = vec![[0.0; 2]; if measured { s.n * s.c_in } else { 0 }];
    let work = |part: usize, piece: &mut Piece<'_>| {
        for (i, t) in (part * per_part..((part + 1) * per_part).min(tiles)).enumerate() {
            let images = layout.tile.min(s.n - t * layout.tile);
            let size = images * s.c_in * plane;
            let dx = piece.dx.as_deref_mut();
            let mut dx = dx.map(|dx| &mut dx[i * tile_in..][..size]);
            // The input's pixels that no tap sees.
            if let Some(dx) = dx.as_deref_mut().filter(|_| phases < g.stride * g.stride) {
                dx.fill(0.0);
            }
            scratch(lengths, |[padded, gradient, rows]| {
                for group in 0..g.groups {
                    let from = (t * tile_out, images);
                    layout.pad(&layout.output, &dy, from, (s.c_out, group * co), gradient);
                    if let Some(products) = &products {
                        let from = (t * tile_in, images);
                        layout.pad(&layout.input, &x, from, (s.c_in, group * ci), padded);
                        let sums = &mut piece.weight[group * products.size()..][..products.size()];
                        products.add(images, padded, gradient, sums);
                    }
                    if let Some(dx) = dx.as_deref_mut() {
                        for correlation in &corrections {
                            correlation.apply(group, images, gradient, rows, dx);
                        }
                    }
                }
            });
            let Some(dx) = dx else { continue };
            let sums = match piece.sums.as_deref_mut() {
                Some(sums) => &mut sums[i * layout.tile * s.c_in..][..images * s.c_in],
                None => &mut [],
            };
            after(t * tile_in, dx, sums);
        }
    };
    let mut inputs = dx
        .iter_mut()
        .flat_map(|dx| dx.chunks_mut((per_part * tile_in).max(1)));
    let mut sums = norm_sums.chunks_mut((per_part * layout.tile * s.c_in).max(1));
    let mut weights = parts.chunks_mut(size.max(1));
    let piece = |_| Piece {
        weight: weights.next().unwrap_or_default(),
        dx: inputs.next(),
        sums: sums.next(),
    };
    let mut pieces: Vec<Piece<'_>> = (0..number).map(piece).collect();
    drop(inputs);
    par_chunks(&mut pieces, 1, x.map.len(), |i, piece| {
        for piece in piece {
            work(i, piece);
        }
    });
    drop(pieces);
    let weight = products.map_or_else(Vec::new, |products| {
        let mut gradient = vec![0.0; weight.len()];
        for part in parts.chunks_exact(size.max(1)) {
            products.spread(part, &mut gradient);
        }
        gradient
    });
    Gradients {
        input: dx,
        weight,
        sums: norm_sums,
    }
}

/// The products of the input, as each tap sees it, with the output's gradient: the weight gradient of one
/// group.
struct Products<'a> {
    layout: &'a Layout,
    geometry: Geometry,
    /// Channels out of a group.
    co: usize,
    /// One view a pair of input channel and tap; a gradient is the dot product of a view and dy.
    views: Vec<usize>,
    sliding: bool,
}

impl<'a> Products<'a> {
    fn new(layout: &'a Layout, g: Geometry, s: Sizes) -> Self {
        let (ci, co) = (s.c_in / g.groups, s.c_out / g.groups);
        let channel = |i: usize| i * layout.input.phases.len() * layout.row + layout.front;
        let view =
            |i: usize, t: &Tap| (channel(i) + t.phase * layout.row).wrapping_add_signed(t.offset);
        let views = (0..ci).flat_map(|i| layout.taps.iter().map(move |t| view(i, t)));
        Self {
            layout,
            geometry: g,
            co,
            views: views.collect(),
            sliding: (ci, co) == (1, 1) && slide::slides(layout, g.kernel),
        }
    }

    /// Sums that a group has.
    fn size(&self) -> usize {
        self.co * self.views.len()
    }

    /// Adds those of a tile of `images` to `sums`.
    fn add(&self, images: usize, padded: &[f32], gradient: &[f32], sums: &mut [f32]) {
        let layout = self.layout;
        if self.sliding {
            let channel = Channel {
                layout,
                images,
                dilation: self.geometry.dilation,
                x: padded,
            };
            return slide::products(channel, self.geometry.kernel, gradient, sums);
        }
        dispatch(Dots {
            x: padded,
            views: &self.views,
            dy: gradient,
            front: layout.front,
            stride: layout.row,
            sums,
            len: layout.len(images),
        });
    }

    /// Adds the sums of all groups to the places of their weights.
    fn spread(&self, sums: &[f32], gradient: &mut [f32]) {
        let (taps, kk) = (
            &self.layout.taps,
            self.geometry.kernel * self.geometry.kernel,
        );
        for (pair, sums) in sums.chunks_exact(taps.len().max(1)).enumerate() {
            for (tap, sum) in taps.iter().zip(sums) {
                gradient[pair * kk + tap.index] += sum;
            }
        }
    }
}
