//! The flat padded layout of a tile of images.

use super::read::{Read, copy};
use super::{Geometry, Sizes};
use crate::kernels::dispatch;
use pulp::{Simd, WithSimd};

/// Values of slack after each scratch row, so that blocks of four vectors may run over its end.
const SLACK: usize = 64;
/// Images are put side by side until a row has this many values.
const MIN_ROW: usize = 256;

/// A kernel position that can see more than padding.
pub struct Tap {
    /// Place in the kernel.
    pub index: usize,
    /// Which row of a channel it reads.
    pub phase: usize,
    /// Where its view begins, from that of the centre.
    pub offset: isize,
}

/// How planes become rows. A stride of `step` splits the input into `step` times `step` phases, the
/// pixels that lie `step` apart: a row each, over which the convolution goes in steps of one.
pub struct Grid {
    /// Rows of pixels.
    pub h: usize,
    /// Columns of pixels.
    pub w: usize,
    /// From one pixel of a phase to the next.
    pub step: usize,
    /// First row and column of each phase.
    pub phases: Vec<(usize, usize)>,
}

impl Grid {
    /// Pixels of a plane.
    pub fn plane(&self) -> usize {
        self.h * self.w
    }
}

/// The flat padded layout of a tile of images.
pub struct Layout {
    /// Planes of the input. A phase that no tap sees has no row.
    pub input: Grid,
    /// Planes of the output.
    pub output: Grid,
    /// Values from one row of pixels to the next.
    pub pitch: usize,
    /// Values from one image to the next.
    pub image: usize,
    /// Zeros before the first image.
    pub front: usize,
    /// Values of one flat row, margins and slack included.
    pub row: usize,
    /// Images in a full tile.
    pub tile: usize,
    /// Whether rows are planes, so that sums can be written where they belong: a single tap, that sees
    /// the pixel itself, and planes of whole blocks of vectors. Planes are read through the scratch all
    /// the same: one after the other, where a block of sums would read a vector of each in turn.
    pub flat: bool,
    /// The taps that can see an image.
    pub taps: Vec<Tap>,
}

impl Layout {
    pub fn new(g: Geometry, s: Sizes) -> Self {
        let (oh, ow) = s.out(g);
        let (mut py, mut px) = (0, 0);
        let (mut phases, mut seen) = (Vec::new(), Vec::new());
        let step = g.stride as isize;
        for ky in 0..g.kernel {
            for kx in 0..g.kernel {
                let dy = (ky * g.dilation) as isize - g.padding as isize;
                let dx = (kx * g.dilation) as isize - g.padding as isize;
                if dy.unsigned_abs() < s.h && dx.unsigned_abs() < s.w {
                    let at = (dy.rem_euclid(step) as usize, dx.rem_euclid(step) as usize);
                    let phase = phases.iter().position(|p| *p == at).unwrap_or_else(|| {
                        phases.push(at);
                        phases.len() - 1
                    });
                    let (dy, dx) = (dy.div_euclid(step), dx.div_euclid(step));
                    py = py.max(dy.unsigned_abs());
                    px = px.max(dx.unsigned_abs());
                    seen.push((ky * g.kernel + kx, phase, dy, dx));
                }
            }
        }
        let pitch = ow + px;
        let image = (oh + py) * pitch;
        let front = py * pitch + px;
        let tile = (MIN_ROW / image).clamp(1, s.n.max(1));
        let taps = seen.into_iter().map(|(index, phase, dy, dx)| Tap {
            index,
            phase,
            offset: dy * pitch as isize + dx,
        });
        let taps = taps.collect();
        let row = front + tile * image + front + SLACK;
        let flat = g.stride == 1 && (py, px) == (0, 0) && image.is_multiple_of(SLACK);
        let (tile, row) = if flat { (1, image) } else { (tile, row) };
        Self {
            input: Grid {
                h: s.h,
                w: s.w,
                step: g.stride,
                phases,
            },
            output: Grid {
                h: oh,
                w: ow,
                step: 1,
                phases: vec![(0, 0)],
            },
            pitch,
            image,
            front,
            row,
            tile,
            flat,
            taps,
        }
    }

    /// Length of the flat output row of a tile of `images`.
    pub fn len(&self, images: usize) -> usize {
        images * self.image
    }

    /// Reads planes of a tile of `images` images, of `total` channels each, that begins `base` values
    /// into a map, into scratch rows whose first value lies `front` in; everything else is zero. A
    /// channel from `first` on has as many rows as the grid has phases.
    pub fn pad<R: Read>(
        &self,
        grid: &Grid,
        from: &R,
        (base, images): (usize, usize),
        (total, first): (usize, usize),
        rows: &mut [f32],
    ) {
        dispatch(Pad {
            layout: self,
            grid,
            from,
            base,
            images,
            total,
            first,
            rows,
        });
    }

    /// Copies a flat row, phase `phase` of channel `c` (of `total`), back to a tile's NCHW.
    pub fn unpad(
        &self,
        grid: &Grid,
        phase: usize,
        row: &[f32],
        (total, c): (usize, usize),
        to: &mut [f32],
    ) {
        let (plane, (top, left)) = (grid.plane(), grid.phases[phase]);
        for m in 0..to.len() / (total * plane) {
            let to = &mut to[(m * total + c) * plane..][..plane];
            let from = &row[m * self.image..];
            if grid.step == 1 && self.pitch == grid.w {
                to.copy_from_slice(&from[..plane]);
                continue;
            }
            let lines = to.chunks_exact_mut(grid.w).skip(top).step_by(grid.step);
            for (y, line) in lines.enumerate() {
                let from = &from[y * self.pitch..];
                if grid.step == 1 {
                    copy(&from[..grid.w], line);
                } else {
                    let pixels = line.iter_mut().skip(left).step_by(grid.step);
                    pixels.zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

struct Pad<'a, R> {
    layout: &'a Layout,
    grid: &'a Grid,
    from: &'a R,
    base: usize,
    images: usize,
    total: usize,
    first: usize,
    rows: &'a mut [f32],
}

impl<R: Read> WithSimd for Pad<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (layout, grid) = (self.layout, self.grid);
        let (w, plane, pitch) = (grid.w, grid.plane(), layout.pitch);
        let mut line = vec![0.0; if grid.step == 1 { 0 } else { w }];
        let channels = self.rows.chunks_exact_mut(grid.phases.len() * layout.row);
        for (c, rows) in (self.first..).zip(channels) {
            if !layout.flat {
                rows.fill(0.0);
            }
            for m in 0..self.images {
                let at = self.base + (m * self.total + c) * plane;
                let to = layout.front + m * layout.image;
                if grid.step > 1 {
                    for y in 0..grid.h {
                        self.from.line(c, at + y * w, &mut line);
                        for (phase, &(top, left)) in grid.phases.iter().enumerate() {
                            if y % grid.step == top {
                                let to = phase * layout.row + to + y / grid.step * pitch;
                                let pixels = line.iter().skip(left).step_by(grid.step);
                                let to = rows[to..].iter_mut();
                                to.zip(pixels).for_each(|(to, from)| *to = *from);
                            }
                        }
                    }
                } else if pitch == w {
                    self.from.line(c, at, &mut rows[to..to + plane]);
                } else {
                    for y in 0..grid.h {
                        let to = to + y * pitch;
                        self.from.line(c, at + y * w, &mut rows[to..to + w]);
                    }
                }
            }
        }
    }
}
