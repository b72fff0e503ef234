//! Projected gradient ascent of images up a loss of their logits, where the network runs: images, signs,
//! projections and what was found stay on a GPU until the end, which is the one time that its results are
//! waited for.

use crate::Device;
use burn::tensor::Tensor;

/// A loss of one image's logits that is raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raised<'a> {
    /// The cross-entropy against a label an image.
    CrossEntropy(&'a [u16]),
    /// The largest other logit less the label's.
    Margin(&'a [u16]),
    /// The divergence from the answers of these logits.
    Divergence(&'a [f32]),
}

/// Where an image may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds<'a> {
    /// No pixel below or above these; a step is as long in each pixel, by the gradient's sign.
    Box {
        /// Lowest pixels.
        low: &'a [f32],
        /// Highest pixels.
        high: &'a [f32],
    },
    /// Within this Euclidean distance of the clean images, and 0..=1; a step goes along the gradient.
    Sphere {
        /// Their middle.
        clean: &'a [f32],
        /// The distance.
        radius: f64,
    },
}

/// What the images are to their network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Images<'a> {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// By these of each channel they are normalised.
    pub mean: &'a [f32],
    pub std: &'a [f32],
}

/// An ascent of a batch of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent<'a> {
    /// Rows of pixels.
    pub start: &'a [f32],
    pub raised: Raised<'a>,
    pub bounds: Bounds<'a>,
    pub steps: usize,
    /// Length of a step.
    pub length: f64,
    /// Whether an image stops at the first of its points that is answered wrongly, which needs labels.
    pub stops: bool,
}

/// What an ascent came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Ascended {
    /// The last points; of an ascent that stops, the first that is answered wrongly or else the one of the
    /// largest margin.
    pub pixels: Vec<f32>,
    /// Of an ascent that stops, the pass in which each image was first answered wrongly, from 0, if it was.
    pub fooled: Vec<Option<u32>>,
    /// Of an ascent that stops, the margin of each kept point; minus infinity where no point had one.
    pub margins: Vec<f32>,
}

/// Runs it on a GPU, by `network`, which makes logits of normalised images on the device that it is given.
/// `None` on a CPU.
pub fn run(
    ascent: &Ascent<'_>,
    images: Images<'_>,
    device: &Device,
    network: &dyn Fn(Tensor<4>, &Device) -> Tensor<2>,
) -> Option<Ascended> {
    #[cfg(feature = "cube")]
    if crate::gpu::is(device) {
        return Some(crate::gpu::ascent::run(ascent, images, device, network));
    }
    let _ = (ascent, images, device, network);
    None
}
