//! Decoded images collected into a set: one size, and three channels if one of them has colours.

use std::path::Path;

use image::DynamicImage;

use super::picture::{self, Lost};
use crate::dataset::{Images, Split};
use crate::error::DataError;
use crate::resize;

/// Collects decoded images, all of one size.
#[derive(Default)]
pub(crate) struct Pictures {
    resize: Option<usize>,
    /// Three channels an image, in C, H, W order.
    pixels: Vec<u8>,
    labels: Vec<u16>,
    size: Option<(usize, usize)>,
    coloured: bool,
    /// How many images are grey, and how many lost what.
    grey: usize,
    transparent: usize,
    deep: usize,
    moving: usize,
    turned: usize,
    /// Largest value of those of 16 bits a channel.
    largest: u16,
}

/// Images of 16 bits a channel of which none has a larger value are of 12 bits or fewer, and almost black with 8.
const DARK: u16 = 1 << 12;

impl Pictures {
    /// None yet; `resize` (pixels) is applied to each as it comes, so that images of different sizes can meet.
    pub fn new(resize: Option<usize>) -> Self {
        Self {
            resize,
            ..Self::default()
        }
    }

    /// Adds one; `path` is what messages say.
    pub fn push(
        &mut self,
        path: &Path,
        (decoded, lost): (DynamicImage, Lost),
        label: u16,
    ) -> Result<(), DataError> {
        let grey = picture::is_grey(decoded.color());
        self.coloured |= !grey;
        self.grey += usize::from(grey);
        self.transparent += usize::from(lost.transparency);
        self.deep += usize::from(lost.depth);
        self.moving += usize::from(lost.frames);
        self.turned += usize::from(lost.turn);
        self.largest = self.largest.max(lost.largest.unwrap_or_default());
        let rgb = decoded.into_rgb8();
        let (h, w) = (rgb.height() as usize, rgb.width() as usize);
        let rgb = rgb.into_raw();
        let plane = |channel: usize| rgb.iter().skip(channel).step_by(3).copied();
        let pixels = (0..3).flat_map(plane).collect();
        let mut image = Images {
            pixels,
            shape: [1, 3, h, w],
        };
        if let Some(side @ 1..=1024) = self.resize {
            image = resize::resize(image, side);
        }
        let found = (image.shape[2], image.shape[3]);
        let expected = *self.size.get_or_insert(found);
        if found != expected {
            let size = |(h, w): (usize, usize)| format!("{h} x {w}");
            let (expected, found) = (size(expected), size(found));
            return Err(DataError::MixedSizes {
                path: path.to_path_buf(),
                expected,
                found,
            });
        }
        self.pixels.extend(image.pixels);
        self.labels.push(label);
        Ok(())
    }

    /// What was changed of how many images.
    pub fn notes(&self) -> Vec<String> {
        let grey = if self.coloured { self.grey } else { 0 };
        let counted = [
            (
                grey,
                "are grey among coloured ones: their three channels are equal",
            ),
            (
                self.transparent,
                "have transparent pixels: the colours below are taken",
            ),
            (self.deep, "have 16 bits a channel: rounded to 8"),
            (
                self.moving,
                "have several frames or pages: the first is taken",
            ),
            (
                self.turned,
                "say that they are to be turned (EXIF): they are not",
            ),
        ];
        let said = counted.into_iter().filter(|(count, _)| *count > 0);
        let said =
            said.map(|(count, what)| format!("{count} of {} images {what}", self.labels.len()));
        let dark = (self.deep > 0 && self.largest > 0 && self.largest < DARK).then(|| {
            format!(
                "no image of 16 bits a channel has a value above {}, of 65535: with 8 bits they are almost black;                  scale them by 65535 / {0} first",
                self.largest
            )
        });
        said.chain(dark).collect()
    }

    /// Grey if all are, else of three channels.
    pub fn finish(self) -> Split {
        let (h, w) = self.size.unwrap_or_default();
        let (pixels, channels) = match self.coloured {
            true => (self.pixels, 3),
            false => {
                let planes = self.pixels.chunks_exact((h * w).max(1));
                (planes.step_by(3).flatten().copied().collect(), 1)
            }
        };
        let images = Images {
            pixels,
            shape: [self.labels.len(), channels, h, w],
        };
        Split {
            images,
            labels: self.labels,
        }
    }
}
