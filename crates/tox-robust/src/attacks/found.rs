//! What an attack returns, and the rule of what fooled means.

use crate::oracle::Points;

/// What an attack found, an entry (a row of pixels) an example in the order of its points.
/// [`Batch::finish`](super::Batch::finish) makes it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// An image that the network misclassifies where `fooled`, else the one of the largest margin
    /// among those tried; always allowed by the ball, to the last bit.
    pub pixels: Vec<f32>,
    /// Whether the attack found an error; the logits that show it were computed on the very pixels
    /// that are stored.
    pub fooled: Vec<bool>,
    /// Forward passes that the example took part in; those of a [`pullback`] count.
    ///
    /// [`pullback`]: crate::oracle::Oracle::pullback
    pub forward: Vec<u32>,
    /// Backward passes that it took part in.
    pub backward: Vec<u32>,
}

impl Found {
    /// Before the first pass: nothing.
    pub(super) fn of(points: Points<'_>) -> Self {
        let n = points.len();
        Self {
            pixels: points.pixels.to_vec(),
            fooled: vec![false; n],
            forward: vec![0; n],
            backward: vec![0; n],
        }
    }
}

/// The class that logits predict: the largest, of equal ones the first; none where one is NaN.
pub fn predicted(logits: &[f32]) -> Option<usize> {
    let mut best = None;
    for (class, &z) in logits.iter().enumerate() {
        if z.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, most)| z > most) {
            best = Some((class, z));
        }
    }
    best.map(|(class, _)| class)
}
