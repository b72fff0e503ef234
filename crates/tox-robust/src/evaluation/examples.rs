//! What attacks found, image by image, for those who want more than shares.

use crate::attacks::predicted;
use crate::ball::Norm;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Buffers;

/// The images of an evaluation one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// The class that the network predicts of each image as it is; none where a logit is NaN.
    pub clean: Vec<Option<u16>>,
    /// By attack, of each image the error that it found.
    pub found: Vec<Vec<Option<Error>>>,
    /// Of each image the first attack, in their order, that found one.
    pub by: Vec<Option<usize>>,
    /// Rows of pixels: the image with which that attack fools, else the clean one.
    pub pixels: Vec<f32>,
}

/// An error that an attack found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// The class that the network then predicts; none where a logit is NaN.
    pub prediction: Option<u16>,
    /// How far the image was moved, in the ball's norm.
    pub distance: f64,
}

/// What is known so far, as a checkpoint's header has it; the pixels are its buffer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub clean: Vec<Option<u16>>,
    /// By attack and image.
    pub found: Vec<Vec<Option<Error>>>,
    /// Of images that an attack fooled, in the order in which they were, their places.
    pub order: Vec<usize>,
}

/// The name of the buffer.
const PIXELS: &str = "examples";

/// Keeps what is found.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    pub kept: Kept,
    /// Of `kept.order`, rows of pixels.
    pixels: Vec<f32>,
}

impl Keeper {
    pub fn new(attacks: usize, images: usize) -> Self {
        let kept = Kept {
            found: vec![vec![None; images]; attacks],
            ..Kept::default()
        };
        let pixels = Vec::new();
        Self { kept, pixels }
    }

    /// Takes in the logits of the next images as they are.
    pub fn classified(&mut self, logits: &[f32], classes: usize) {
        self.kept
            .clean
            .extend(logits.chunks_exact(classes).map(class));
    }

    /// Takes in an image with which attack `attack` fools.
    pub fn fooled(
        &mut self,
        (attack, place): (usize, usize),
        logits: &[f32],
        (x, clean): (&[f32], &[f32]),
        norm: Norm,
    ) {
        self.kept.found[attack][place] = Some(Error {
            prediction: class(logits),
            distance: distance(x, clean, norm),
        });
        if !self.kept.order.contains(&place) {
            self.kept.order.push(place);
            self.pixels.extend_from_slice(x);
        }
    }

    pub fn buffers(&self) -> Vec<(&'static str, &[f32])> {
        vec![(PIXELS, &self.pixels)]
    }

    /// Goes on from a checkpoint of `images` images of `size` values.
    pub fn resume(
        &mut self,
        kept: Kept,
        buffers: &mut Buffers,
        [images, size]: [usize; 2],
    ) -> Result<(), String> {
        let pixels = buffers.remove(PIXELS).unwrap_or_default();
        let fits = kept.found.len() == self.kept.found.len()
            && kept.found.iter().all(|found| found.len() == images)
            && kept.clean.len() <= images
            && kept.order.iter().all(|place| *place < images)
            && pixels.len() == kept.order.len() * size;
        if !fits {
            return Err(format!(
                "its adversarial examples do not fit {images} images"
            ));
        }
        (self.kept, self.pixels) = (kept, pixels);
        Ok(())
    }

    /// All of them; `clean` are the pixels of all images.
    pub fn finish(self, clean: Vec<f32>) -> Examples {
        let Kept {
            clean: classes,
            found,
            order,
        } = self.kept;
        let mut pixels = clean;
        let size = pixels.len() / classes.len().max(1);
        for (place, x) in order.iter().zip(self.pixels.chunks_exact(size.max(1))) {
            pixels[place * size..][..size].copy_from_slice(x);
        }
        let first = |place: usize| found.iter().position(|found| found[place].is_some());
        Examples {
            by: (0..classes.len()).map(first).collect(),
            clean: classes,
            found,
            pixels,
        }
    }
}

fn class(logits: &[f32]) -> Option<u16> {
    predicted(logits).and_then(|class| u16::try_from(class).ok())
}

fn distance(x: &[f32], clean: &[f32], norm: Norm) -> f64 {
    let moved = x
        .iter()
        .zip(clean)
        .map(|(x, c)| (f64::from(*x) - f64::from(*c)).abs());
    match norm {
        Norm::Linf => moved.fold(0.0, f64::max),
        Norm::L2 => moved.map(|d| d * d).sum::<f64>().sqrt(),
    }
}
