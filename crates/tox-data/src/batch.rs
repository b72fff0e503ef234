//! Batches: normalised, randomly changed copies of some images of a split.
//!
//! The order of changes is that of the ENAS reference code (torchvision's transforms): a random
//! crop of the image padded with raw zeros (black), then a horizontal flip, then scaling to 0..=1
//! and normalisation, then cutout, whose zeros are therefore the channel means.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::dataset::{Normalise, Split};
use crate::spec::Augment;

/// What a network sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Normalised values in N, C, H, W order.
    pub pixels: Vec<f32>,
    /// Images, channels, height, width.
    pub shape: [usize; 4],
    /// One label an image.
    pub labels: Vec<u16>,
}

/// What is drawn for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Change {
    /// First row and column of the crop in the padded image, each 0..=2 pad.
    crop: (usize, usize),
    flip: bool,
    /// Centre (row, column) of the erased square.
    cutout: Option<(usize, usize)>,
}

impl Change {
    /// Draws row then column of the crop, the flip, row then column of the cutout; what is off
    /// draws nothing.
    fn draw(augment: &Augment, (h, w): (usize, usize), rng: &mut ChaCha8Rng) -> Self {
        let mut change = Self::default();
        if augment.crop > 0 {
            let offsets = 0..=2 * augment.crop;
            change.crop = (rng.random_range(offsets.clone()), rng.random_range(offsets));
        }
        change.flip = augment.flip && rng.random();
        if augment.cutout > 0 {
            change.cutout = Some((rng.random_range(0..h), rng.random_range(0..w)));
        }
        change
    }
}

impl Split {
    /// The images at `indices`, in their order, normalised and, with `augment`, changed at random
    /// (each image by draws of its own). `augment.valid` is for the caller to heed.
    ///
    /// # Panics
    /// If an index is not below [`Split::len`] or `normalise` has fewer entries than there are
    /// channels.
    pub fn batch(
        &self,
        indices: &[u32],
        normalise: &Normalise,
        augment: Option<(&Augment, &mut ChaCha8Rng)>,
    ) -> Batch {
        let [_, c, h, w] = self.images.shape;
        let stride = self.images.stride();
        let tables: Vec<[f32; 256]> = (0..c)
            .map(|channel| {
                let (mean, std) = (normalise.mean[channel], normalise.std[channel]);
                std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
            })
            .collect();
        let mut pixels = vec![0.0; indices.len() * stride];
        let mut labels = Vec::with_capacity(indices.len());
        let mut augment = augment;
        for (out, &index) in pixels.chunks_exact_mut(stride.max(1)).zip(indices) {
            let image = &self.images.pixels[index as usize * stride..][..stride];
            match &mut augment {
                None => {
                    for ((out, plane), table) in out
                        .chunks_exact_mut(h * w)
                        .zip(image.chunks_exact(h * w))
                        .zip(&tables)
                    {
                        for (out, &value) in out.iter_mut().zip(plane) {
                            *out = table[usize::from(value)];
                        }
                    }
                }
                Some((augment, rng)) => {
                    let change = Change::draw(augment, (h, w), rng);
                    changed(out, image, (h, w), &tables, augment, change);
                }
            }
        }
        labels.extend(indices.iter().map(|&index| self.labels[index as usize]));
        Batch {
            pixels,
            shape: [indices.len(), c, h, w],
            labels,
        }
    }
}

/// Writes `image` to `out`, cropped, flipped, normalised and cut out.
fn changed(
    out: &mut [f32],
    image: &[u8],
    (h, w): (usize, usize),
    tables: &[[f32; 256]],
    augment: &Augment,
    change: Change,
) {
    let pad = augment.crop;
    for (channel, table) in tables.iter().enumerate() {
        let image = &image[channel * h * w..][..h * w];
        let out = &mut out[channel * h * w..][..h * w];
        for row in 0..h {
            // Positions in the padded image; the image itself is at pad..pad + side.
            let y = row + change.crop.0;
            for column in 0..w {
                let source = if change.flip { w - 1 - column } else { column };
                let x = source + change.crop.1;
                let inside = (pad..pad + h).contains(&y) && (pad..pad + w).contains(&x);
                let value = if inside {
                    image[(y - pad) * w + x - pad]
                } else {
                    0
                };
                out[row * w + column] = table[usize::from(value)];
            }
        }
        if let Some((y, x)) = change.cutout {
            let rows = erased(y, augment.cutout, h);
            let columns = erased(x, augment.cutout, w);
            for row in rows {
                out[row * w..][columns.clone()].fill(0.0);
            }
        }
    }
}

/// The part of `centre - length / 2 .. centre - length / 2 + length` within `0..side`.
fn erased(centre: usize, length: usize, side: usize) -> std::ops::Range<usize> {
    let end = (centre + length - length / 2).min(side);
    centre.saturating_sub(length / 2)..end
}

/// The numbers `0..n` in random order.
pub fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    order.shuffle(rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Images;
    use crate::rng::stream;

    /// One 3x3 image, 1..=9, whose normalised values are the raw ones.
    fn nine() -> (Split, Normalise, Vec<[f32; 256]>) {
        let images = Images {
            pixels: (1..=9).collect(),
            shape: [1, 1, 3, 3],
        };
        let table = std::array::from_fn(|value| value as f32);
        let normalise = Normalise {
            mean: vec![0.0],
            std: vec![1.0 / 255.0],
        };
        (
            Split {
                images,
                labels: vec![4],
            },
            normalise,
            vec![table],
        )
    }

    fn apply(augment: &Augment, change: Change) -> Vec<f32> {
        let (split, _, tables) = nine();
        let mut out = vec![-1.0; 9];
        changed(
            &mut out,
            &split.images.pixels,
            (3, 3),
            &tables,
            augment,
            change,
        );
        out
    }

    #[test]
    fn a_crop_shifts_and_fills_with_raw_zeros() {
        let augment = Augment {
            crop: 1,
            ..Augment::default()
        };
        let crop = |crop| {
            apply(
                &augment,
                Change {
                    crop,
                    ..Change::default()
                },
            )
        };
        assert_eq!(crop((1, 1)), [1., 2., 3., 4., 5., 6., 7., 8., 9.]);
        assert_eq!(crop((0, 1)), [0., 0., 0., 1., 2., 3., 4., 5., 6.]);
        assert_eq!(crop((2, 2)), [5., 6., 0., 8., 9., 0., 0., 0., 0.]);
    }

    #[test]
    fn a_flip_mirrors_the_cropped_image() {
        let augment = Augment {
            crop: 1,
            flip: true,
            ..Augment::default()
        };
        let change = Change {
            crop: (1, 2),
            flip: true,
            cutout: None,
        };
        assert_eq!(
            apply(&augment, change),
            [0., 3., 2., 0., 6., 5., 0., 9., 8.]
        );
    }

    #[test]
    fn cutout_is_a_square_clipped_at_the_border() {
        let augment = Augment {
            cutout: 2,
            ..Augment::default()
        };
        let cut = |at| {
            apply(
                &augment,
                Change {
                    cutout: Some(at),
                    ..Change::default()
                },
            )
        };
        assert_eq!(cut((1, 1)), [0., 0., 3., 0., 0., 6., 7., 8., 9.]);
        assert_eq!(cut((0, 0)), [0., 2., 3., 4., 5., 6., 7., 8., 9.]);
        assert_eq!(cut((2, 2)), [1., 2., 3., 4., 0., 0., 7., 0., 0.]);
    }

    #[test]
    fn padding_is_normalised_and_cutout_is_zero_after_it() {
        let (split, _, _) = nine();
        let normalise = Normalise {
            mean: vec![0.5],
            std: vec![0.25],
        };
        let augment = Augment {
            crop: 2,
            cutout: 1,
            ..Augment::default()
        };
        let mut rng = stream(1, "test", &[]);
        let mut seen = Vec::new();
        for _ in 0..50 {
            seen.extend(
                split
                    .batch(&[0], &normalise, Some((&augment, &mut rng)))
                    .pixels,
            );
        }
        assert!(seen.contains(&-2.0), "black padding is (0 - 0.5) / 0.25");
        assert_eq!(seen.iter().filter(|&&value| value == 0.0).count(), 50);
    }

    #[test]
    fn values_are_normalised_by_hand_and_follow_the_indices() {
        let images = Images {
            pixels: vec![0, 255, 51, 102],
            shape: [2, 2, 1, 1],
        };
        let split = Split {
            images,
            labels: vec![7, 8],
        };
        let normalise = Normalise {
            mean: vec![0.5, 0.2],
            std: vec![0.25, 0.4],
        };
        let batch = split.batch(&[1, 0, 1], &normalise, None);
        assert_eq!(batch.shape, [3, 2, 1, 1]);
        assert_eq!(batch.labels, [8, 7, 8]);
        for (found, expected) in batch.pixels.iter().zip([-1.2, 0.5, -2.0, 2.0, -1.2, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn draws_cover_their_ranges_and_repeat_with_the_stream() {
        let augment = Augment {
            crop: 2,
            flip: true,
            cutout: 2,
            valid: false,
        };
        let draws = |seed| {
            let mut rng = stream(seed, "test", &[]);
            (0..300)
                .map(|_| Change::draw(&augment, (3, 4), &mut rng))
                .collect::<Vec<_>>()
        };
        let all = draws(1);
        assert_eq!(all, draws(1));
        assert_ne!(all, draws(2));
        for value in 0..=4 {
            assert!(all.iter().any(|change| change.crop.0 == value));
            assert!(all.iter().any(|change| change.crop.1 == value));
        }
        assert!(
            all.iter()
                .all(|change| change.crop.0 <= 4 && change.crop.1 <= 4)
        );
        assert!(all.iter().any(|change| change.cutout == Some((2, 3))));
        let flips = all.iter().filter(|change| change.flip).count();
        assert!((100..200).contains(&flips), "{flips}");
        let mut order = shuffled(100, &mut stream(1, "test", &[]));
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
