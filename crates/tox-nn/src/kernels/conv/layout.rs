//! The flat padded layout of a tile of images.

use super::{Geometry, Sizes};

/// Values of slack after each scratch row, so that blocks of four may run over its end.
const SLACK: usize = 64;
/// Images are put side by side until a row has this many values.
const MIN_ROW: usize = 256;
/// A kernel position that can see more than padding: its place in the kernel, its offset.
pub struct Tap {
    /// Place in the kernel.
    pub index: usize,
    /// Where its view begins, from that of the centre.
    pub offset: isize,
}

/// The flat padded layout of a tile of images.
pub struct Layout {
    h: usize,
    w: usize,
    /// Values from one row to the next.
    pitch: usize,
    /// Values from one image to the next.
    image: usize,
    /// Zeros before the first image.
    pub front: usize,
    /// Values of one channel's row, margins and slack included.
    pub stride: usize,
    /// Images in a full tile.
    pub tile: usize,
    /// Whether planes can be read and written where they lie: a single tap, that sees the pixel
    /// itself, and planes of whole blocks of vectors.
    pub flat: bool,
    /// The taps that can see an image.
    pub taps: Vec<Tap>,
}

impl Layout {
    pub fn new(g: Geometry, s: Sizes) -> Self {
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
        let taps: Vec<Tap> = seen
            .into_iter()
            .map(|(index, dy, dx)| Tap {
                index,
                offset: dy * pitch as isize + dx,
            })
            .collect();
        let stride = front + tile * image + front + SLACK;
        let flat = (py, px) == (0, 0) && image.is_multiple_of(SLACK);
        let (tile, stride) = if flat { (1, image) } else { (tile, stride) };
        Self {
            h: s.h,
            w: s.w,
            pitch,
            image,
            front,
            stride,
            tile,
            flat,
            taps,
        }
    }

    /// Length of the flat output row of a tile of `images`.
    pub fn len(&self, images: usize) -> usize {
        images * self.image
    }

    /// Copies `channels` planes a image of `src` (NCHW, from channel `first` of `total`) into
    /// scratch rows whose first value lies `front` in; everything else is zero.
    pub fn pad(
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
    pub fn unpad(&self, row: &[f32], total: usize, c: usize, dst: &mut [f32]) {
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
