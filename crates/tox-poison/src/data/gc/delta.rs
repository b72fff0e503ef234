//! The perturbation: its box, its optimiser, and what is left of it in 8 bits.

use std::ops::Range;
use tox_data::{Batch, Normalise, Split};
use tox_nn::optim::Adam;
use tox_nn::params::{ParamId, Params};

/// `0..n` in as few parts of at most `size` as there can be, equal up to one. A small last batch
/// would have batch statistics of its own.
pub(super) fn parts(n: usize, size: usize) -> Vec<Range<usize>> {
    let count = n.div_ceil(size.max(1)).max(1);
    (0..count)
        .map(|i| i * n / count..(i + 1) * n / count)
        .collect()
}

/// What is added to the poison's images, normalised as they are: one plain Adam over all of it, of
/// which each batch moves its rows.
pub(super) struct Delta {
    /// The images that are poisoned, as they were.
    clean: Split,
    normalise: Normalise,
    bound: u8,
    batches: Vec<(ParamId, Range<usize>)>,
    /// All deltas, batch after batch.
    pub params: Params,
    /// Its steps are set before each, since an iteration is one step of all batches.
    pub adam: Adam,
}

impl Delta {
    pub fn new(clean: Split, normalise: Normalise, bound: u8, batch: usize) -> Self {
        let (mut params, [_, c, h, w]) = (Params::default(), clean.images.shape);
        let batches = parts(clean.len(), batch).into_iter().enumerate();
        let batches = batches.map(|(i, rows)| {
            let shape = [rows.len(), c, h, w];
            let zeros = vec![0.0; shape.iter().product()];
            (params.add(format!("delta.{i}"), shape, zeros), rows)
        });
        let batches = batches.collect();
        Self {
            // PyTorch's defaults.
            adam: Adam::new(&params, 0.9, 0.999, 1e-8),
            clean,
            normalise,
            bound,
            batches,
            params,
        }
    }

    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Batch `i` of the clean images plus what is added.
    pub fn batch(&self, i: usize) -> Batch {
        let (id, rows) = &self.batches[i];
        let mut batch = unchanged(&self.clean, rows, &self.normalise);
        let delta = &self.params.values[self.params.entry(*id).range()];
        for (pixel, delta) in batch.pixels.iter_mut().zip(delta) {
            *pixel += delta;
        }
        batch
    }

    /// Adam's step number `step`, from 1, of batch `i`; then back into the box.
    pub fn step(&mut self, i: usize, step: usize, gradient: Vec<f32>, lr: f64) {
        let (id, rows) = &self.batches[i];
        self.adam.steps = step as u32 - 1;
        let (params, gradients) = (&mut self.params, [(*id, gradient)]);
        self.adam.step(params, &gradients, lr as f32, 1.0);
        let stride = self.clean.images.stride();
        let pixels = &self.clean.images.pixels[rows.start * stride..rows.end * stride];
        let range = self.params.entry(*id).range();
        for (at, (delta, pixel)) in self.params.values[range].iter_mut().zip(pixels).enumerate() {
            let step = unit(at, &self.clean, &self.normalise);
            let [low, high] = reach(*pixel, self.bound).map(|change| f64::from(change) * step);
            *delta = f64::from(*delta).clamp(low, high) as f32;
        }
    }

    /// Batch `i` of images that [`Delta::rounded`] gave.
    pub fn rounded_batch(&self, i: usize, rounded: &Split) -> Batch {
        unchanged(rounded, &self.batches[i].1, &self.normalise)
    }

    /// The clean images plus `deltas`, rounded to 8 bits. The published code truncates instead, so
    /// that a pixel may end a step lower, and 17 steps from where it was.
    pub fn rounded(&self, deltas: &[f32]) -> Split {
        let mut rounded = self.clean.clone();
        let pixels = rounded.images.pixels.iter_mut().zip(deltas);
        for (at, (pixel, delta)) in pixels.enumerate() {
            let [low, high] = reach(*pixel, self.bound);
            let change = f64::from(*delta) / unit(at, &self.clean, &self.normalise);
            let change = (change.round() as i16).clamp(low, high);
            *pixel = (i16::from(*pixel) + change).clamp(0, 255) as u8;
        }
        rounded
    }
}

fn unchanged(images: &Split, rows: &Range<usize>, normalise: &Normalise) -> Batch {
    let rows: Vec<u32> = rows.clone().map(|row| row as u32).collect();
    images.batch(&rows, normalise, None)
}

/// A step of an 8-bit pixel in normalised units; `at` counts the values of whole images.
fn unit(at: usize, images: &Split, normalise: &Normalise) -> f64 {
    let [_, c, h, w] = images.images.shape;
    1.0 / (255.0 * f64::from(normalise.std[at / (h * w) % c]))
}

/// How far a pixel may go down and up: by the bound, and within 0..=255.
fn reach(pixel: u8, bound: u8) -> [i16; 2] {
    let [pixel, bound] = [pixel, bound].map(i16::from);
    [-bound.min(pixel), bound.min(255 - pixel)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_up_to_one() {
        assert_eq!(parts(10, 5), [0..5, 5..10]);
        assert_eq!(parts(11, 5), [0..3, 3..7, 7..11]);
        assert_eq!(parts(3, 64).len(), 1);
        assert_eq!(parts(3, 64)[0], 0..3);
        assert_eq!(parts(65, 64), [0..32, 32..65]);
    }

    #[test]
    fn pixels_stay_within_bound_and_range() {
        assert_eq!(reach(100, 16), [-16, 16]);
        assert_eq!(reach(3, 16), [-3, 16]);
        assert_eq!(reach(250, 16), [-16, 5]);
        assert_eq!(reach(0, 255), [0, 255]);
    }
}
