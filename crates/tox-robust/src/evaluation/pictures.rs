//! The images of an evaluation: bytes, as data sets hold them, or reals.

use super::EvaluationError;
use tox_data::Split;

/// Images with a label each.
#[derive(Clone, Copy)]
pub enum Pictures<'a> {
    /// Bytes, which over 255 are the pixels.
    Bytes(&'a Split),
    /// Pixels in 0..=1, as models that live elsewhere are given them.
    Reals {
        /// Rows of pixels.
        pixels: &'a [f32],
        /// Images, channels, height, width.
        shape: [usize; 4],
        /// A label each.
        labels: &'a [u16],
    },
}

impl<'a> From<&'a Split> for Pictures<'a> {
    fn from(split: &'a Split) -> Self {
        Self::Bytes(split)
    }
}

/// What two images have in common if their pixels are equal.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Bytes(&'a [u8]),
    Reals(Vec<u32>),
}

impl<'a> Pictures<'a> {
    /// Images, channels, height, width.
    pub fn shape(&self) -> [usize; 4] {
        match self {
            Self::Bytes(split) => split.images.shape,
            Self::Reals { shape, .. } => *shape,
        }
    }

    /// One an image.
    pub fn labels(&self) -> &'a [u16] {
        match *self {
            Self::Bytes(split) => &split.labels,
            Self::Reals { labels, .. } => labels,
        }
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let stride: usize = self.shape()[1..].iter().product();
        row * stride..(row + 1) * stride
    }

    /// Appends the pixels of an image.
    pub(super) fn append(&self, row: u32, to: &mut Vec<f32>) {
        let range = self.range(row as usize);
        match self {
            Self::Bytes(split) => {
                let bytes = &split.images.pixels[range];
                to.extend(bytes.iter().map(|&b| f32::from(b) / 255.0));
            }
            Self::Reals { pixels, .. } => to.extend_from_slice(&pixels[range]),
        }
    }

    /// To tell an image from others.
    pub(super) fn key(&self, row: u32) -> Key<'a> {
        let range = self.range(row as usize);
        match *self {
            Self::Bytes(split) => Key::Bytes(&split.images.pixels[range]),
            Self::Reals { pixels, .. } => {
                Key::Reals(pixels[range].iter().map(|v| v.to_bits()).collect())
            }
        }
    }

    /// Whether every pixel is a byte over 255, so that it says something what rounding to 8 bits leaves of
    /// a perturbation.
    pub(super) fn bytes(&self) -> bool {
        let byte = |v: &f32| ((v * 255.0).round() / 255.0 - v).abs() <= f32::EPSILON;
        match self {
            Self::Bytes(_) => true,
            Self::Reals { pixels, .. } => pixels.iter().all(byte),
        }
    }

    /// That there are as many pixels and labels as the shape says, and the former in 0..=1.
    pub(super) fn check(&self) -> Result<(), EvaluationError> {
        let Self::Reals { pixels, shape, .. } = self else {
            return Ok(());
        };
        let (expected, found) = (shape.iter().product::<usize>(), pixels.len());
        if expected != found {
            return Err(EvaluationError::Pixels {
                shape: *shape,
                found,
            });
        }
        match pixels.iter().find(|v| !(0.0..=1.0).contains(*v)) {
            Some(&found) => Err(EvaluationError::Outside { found }),
            None => Ok(()),
        }
    }
}
