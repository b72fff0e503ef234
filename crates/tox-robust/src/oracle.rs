//! What an attack may ask of a network.

use tox_nn::ascent::{Ascended, Ascent};

/// Given logits, the derivative of a loss by each.
pub type Cotangent<'a> = dyn FnMut(&[f32]) -> Vec<f32> + 'a;

/// A classifier of images whose pixels lie in 0..=1; normalisation is a part of it. Images are rows
/// of `c * h * w` pixels, logits rows of `classes`, both row-major; what a row gives does not depend
/// on the other rows.
pub trait Oracle {
    /// Channels, height, width of an image.
    fn shape(&self) -> [usize; 3];

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Logits, `[n, classes]`, of `n` images.
    fn logits(&self, pixels: &[f32]) -> Vec<f32>;

    /// Logits, and the gradient by the pixels, `[n, c * h * w]`, of the sum of logits times their
    /// cotangents: `cotangent` is given the logits and returns as many numbers, the derivative of a
    /// loss by them. One forward and one backward pass.
    fn pullback(&self, pixels: &[f32], cotangent: &mut Cotangent<'_>) -> (Vec<f32>, Vec<f32>);

    /// A whole ascent where the network runs, with one wait at its end: on a GPU. `None` elsewhere, where its
    /// steps are made one by one.
    fn ascend(&self, _ascent: &Ascent<'_>) -> Option<Ascended> {
        None
    }

    /// Whether [`Oracle::pullback`] gives gradients. A model that answers with logits alone can be judged by
    /// black boxes; nothing else asks it for a gradient.
    fn has_gradient(&self) -> bool {
        true
    }

    /// Whether it answers no more: attacks end at once, and what they return means nothing.
    fn stopped(&self) -> bool {
        false
    }

    /// Values of an image, `c * h * w`.
    fn size(&self) -> usize {
        self.shape().iter().product()
    }
}

/// Images under attack.
///
/// ```
/// use tox_robust::Points;
///
/// let points = Points::new(&[0.1, 0.9, 0.5, 0.5], &[0, 1]);
/// assert_eq!((points.len(), points.row(1)), (2, 1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Points<'a> {
    /// Rows of pixels in 0..=1.
    pub pixels: &'a [f32],
    /// One label an image, each below the oracle's classes.
    pub labels: &'a [u16],
    /// Which row of its data set each image is: the key of its random streams, so that what is drawn
    /// for an image does not depend on the batch that it is in. Empty: 0, 1, 2, ...
    pub rows: &'a [u32],
}

impl<'a> Points<'a> {
    /// All images of a small set: rows of pixels in 0..=1 and a label each.
    pub fn new(pixels: &'a [f32], labels: &'a [u16]) -> Self {
        Self {
            pixels,
            labels,
            rows: &[],
        }
    }

    /// The row of image `i`.
    pub fn row(&self, i: usize) -> u32 {
        self.rows.get(i).copied().unwrap_or(i as u32)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}
