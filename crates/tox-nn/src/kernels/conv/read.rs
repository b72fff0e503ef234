//! What a convolution reads: a map, or a map that a batch norm, or the gradient of one, is applied to
//! on the way, so that neither is ever written to memory.

use crate::kernels::norm::Channel;

/// Copies a line of pixels. Of the usual lengths without a call, which would cost more than the copy.
#[inline(always)]
pub fn copy(from: &[f32], to: &mut [f32]) {
    #[inline(always)]
    fn fixed<const N: usize>(from: &[f32], to: &mut [f32]) {
        if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
            *to = *from;
        }
    }
    assert_eq!(from.len(), to.len());
    match from.len() {
        32 => fixed::<32>(from, to),
        16 => fixed::<16>(from, to),
        8 => fixed::<8>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// A map as its reader sees it.
pub trait Read: Sync {
    /// The values from the `at`-th on, which belong to channel `channel`.
    fn line(&self, channel: usize, at: usize, to: &mut [f32]);
}

/// The input of a convolution.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The map, NCHW.
    pub map: &'a [f32],
    /// What is applied to it.
    pub through: Through<'a>,
}

/// What is applied to a map on the way into a convolution.
#[derive(Clone, Copy)]
pub enum Through<'a> {
    /// Nothing.
    Nothing,
    /// ReLU.
    Relu,
    /// A batch norm, one entry a channel.
    Norm(&'a [Channel]),
}

impl<'a> From<&'a [f32]> for Source<'a> {
    fn from(map: &'a [f32]) -> Self {
        let through = Through::Nothing;
        Self { map, through }
    }
}

impl Read for Source<'_> {
    #[inline(always)]
    fn line(&self, channel: usize, at: usize, to: &mut [f32]) {
        let from = &self.map[at..at + to.len()];
        match self.through {
            Through::Nothing => copy(from, to),
            Through::Relu => {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = if *from <= 0.0 { 0.0 } else { *from };
                }
            }
            Through::Norm(channels) => {
                let channel = channels[channel];
                for (to, from) in to.iter_mut().zip(from) {
                    *to = channel.value(*from);
                }
            }
        }
    }
}

/// The gradient of a convolution's output.
#[derive(Clone, Copy)]
pub struct Gradient<'a> {
    /// That of the output, or of the batch norm behind it.
    pub map: &'a [f32],
    /// The batch norm behind the convolution.
    pub norm: Option<Behind<'a>>,
}

/// A batch norm, one entry a channel, as its gradient needs it.
#[derive(Clone, Copy)]
pub struct Behind<'a> {
    /// Its input.
    pub y: &'a [f32],
    /// What it does.
    pub channels: &'a [Channel],
    /// Its [`Totals::means`](crate::kernels::norm::Totals::means).
    pub means: &'a [[f32; 2]],
}

impl<'a> From<&'a [f32]> for Gradient<'a> {
    fn from(map: &'a [f32]) -> Self {
        Self { map, norm: None }
    }
}

impl Read for Gradient<'_> {
    #[inline(always)]
    fn line(&self, channel: usize, at: usize, to: &mut [f32]) {
        let from = &self.map[at..at + to.len()];
        match self.norm {
            None => copy(from, to),
            Some(behind) => {
                let (channel, means) = (behind.channels[channel], behind.means[channel]);
                let y = &behind.y[at..at + to.len()];
                for ((to, dy), y) in to.iter_mut().zip(from).zip(y) {
                    *to = channel.gradient(*y, *dy, means);
                }
            }
        }
    }
}
