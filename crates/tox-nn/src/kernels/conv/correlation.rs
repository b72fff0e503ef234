//! One correlation of padded rows: the convolution, or its gradient by one phase of the input.

use super::layout::{Grid, Layout, Tap};
use super::slide::{self, Channel};
use super::sum::Shifted;
use super::{Geometry, Sizes};

/// What each group of padded rows is summed to, and where that goes.
pub struct Correlation<'a> {
    layout: &'a Layout,
    geometry: Geometry,
    way: Way,
    /// The planes that are written.
    to: &'a Grid,
    /// Their phase.
    phase: usize,
    /// Their channels, of all groups.
    channels: usize,
}

enum Way {
    /// Sums of shifted views.
    Shifted(Shifted),
    /// Depthwise: the kernel of each channel.
    Slide(Vec<f32>),
}

impl<'a> Correlation<'a> {
    /// The convolution.
    pub fn forward(layout: &'a Layout, g: Geometry, s: Sizes, weight: &[f32]) -> Self {
        let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
        let at = |group: usize, o: usize, i: usize, tap: &Tap| {
            weight[((group * co + o) * ci + i) * kk + tap.index]
        };
        let way = match (ci, co) == (1, 1) && slide::slides(layout, g.kernel) {
            true => Way::Slide(weight.to_vec()),
            false => Way::Shifted(Shifted::forward(layout, g.groups, (ci, co), at)),
        };
        Self {
            layout,
            geometry: g,
            way,
            to: &layout.output,
            phase: 0,
            channels: s.c_out,
        }
    }

    /// The gradient by one phase of the input.
    pub fn backward(
        layout: &'a Layout,
        phase: usize,
        g: Geometry,
        s: Sizes,
        weight: &[f32],
    ) -> Self {
        let (ci, co, kk) = (s.c_in / g.groups, s.c_out / g.groups, g.kernel * g.kernel);
        let at = |group: usize, i: usize, o: usize, tap: &Tap| {
            weight[((group * co + o) * ci + i) * kk + tap.index]
        };
        let way = match (ci, co) == (1, 1) && slide::slides(layout, g.kernel) {
            // The kernels turned by 180 degrees.
            true => {
                let kernels = weight.chunks_exact(kk);
                Way::Slide(kernels.flat_map(|k| k.iter().rev().copied()).collect())
            }
            false => Way::Shifted(Shifted::backward(layout, phase, g.groups, (co, ci), at)),
        };
        Self {
            layout,
            geometry: g,
            way,
            to: &layout.input,
            phase,
            channels: s.c_in,
        }
    }

    /// Values of scratch that [`Self::apply`] needs for its rows.
    pub fn scratch(&self) -> usize {
        match self.layout.flat {
            true => 0,
            false => self.channels / self.geometry.groups * self.layout.row,
        }
    }

    /// Sums the padded rows of `group`, of a tile of `images`, into its channels of that tile of the
    /// map `out`.
    pub fn apply(
        &self,
        group: usize,
        images: usize,
        padded: &[f32],
        rows: &mut [f32],
        out: &mut [f32],
    ) {
        let (layout, g) = (self.layout, self.geometry);
        let channels = self.channels / g.groups;
        match &self.way {
            Way::Shifted(shifted) if layout.flat => {
                let plane = self.to.plane();
                let out = &mut out[group * channels * plane..][..channels * plane];
                return shifted.group(group, layout, padded, out, layout.len(images));
            }
            Way::Shifted(shifted) => {
                shifted.group(group, layout, padded, rows, layout.len(images));
            }
            Way::Slide(kernels) => {
                let kk = g.kernel * g.kernel;
                let channel = Channel {
                    layout,
                    images,
                    dilation: g.dilation,
                    x: padded,
                };
                slide::correlate(channel, g.kernel, &kernels[group * kk..][..kk], rows);
            }
        }
        for (c, row) in rows.chunks_exact(layout.row).enumerate() {
            let channel = (self.channels, group * channels + c);
            layout.unpad(self.to, self.phase, row, channel, out);
        }
    }
}
