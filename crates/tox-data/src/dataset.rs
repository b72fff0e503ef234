//! Images with labels, and the three splits that a trial sees.

use std::path::Path;

use crate::error::DataError;
use crate::format::array::gather;

/// 8-bit images, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Values 0..=255 in N, C, H, W order; as many as the product of `shape`.
    pub pixels: Vec<u8>,
    /// Images, channels (1 or 3), height, width.
    pub shape: [usize; 4],
}

/// Images and the label of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The images.
    pub images: Images,
    /// One label an image, each below the data set's `classes`.
    pub labels: Vec<u16>,
}

/// Mean and standard deviation of each channel, of pixels scaled to 0..=1.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalise {
    /// Subtracted first.
    pub mean: Vec<f32>,
    /// Divided by next; never 0.
    pub std: Vec<f32>,
}

/// A data set as a trial uses it: subset, resized, split.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The known name, or the file name of the path given.
    pub name: String,
    /// Training images.
    pub train: Split,
    /// Validation images.
    pub valid: Split,
    /// Test images.
    pub test: Split,
    pub classes: usize,
    /// One name a class.
    pub class_names: Vec<String>,
    /// One entry a channel of the images as used.
    pub normalise: Normalise,
    /// [`Dataset::content_hash`] of what was loaded.
    pub hash: String,
    /// What a reader of results must know about this copy of the data, one sentence each.
    pub notes: Vec<String>,
}

impl Images {
    /// Writes image `row` as a PNG file.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn write_png(&self, row: usize, path: &Path) -> Result<(), DataError> {
        let [_, c, h, w] = self.shape;
        let image = &self.pixels[row * self.stride()..][..self.stride()];
        let planes = |at: usize| (0..c).map(move |channel| image[channel * h * w + at]);
        let bytes: Vec<u8> = (0..h * w).flat_map(planes).collect();
        let colour = match c {
            1 => image::ExtendedColorType::L8,
            _ => image::ExtendedColorType::Rgb8,
        };
        let saved = image::save_buffer_with_format(
            path,
            &bytes,
            w as u32,
            h as u32,
            colour,
            image::ImageFormat::Png,
        );
        saved.map_err(|source| DataError::Write {
            path: path.to_path_buf(),
            source: std::io::Error::other(source),
        })
    }

    /// Bytes of one image.
    pub fn stride(&self) -> usize {
        self.shape[1] * self.shape[2] * self.shape[3]
    }
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.shape[0]
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the images at `rows`, in their order.
    ///
    /// # Panics
    /// If an index is not below [`Split::len`].
    pub fn rows(&self, rows: &[usize]) -> Self {
        let [_, c, h, w] = self.images.shape;
        Self {
            images: Images {
                pixels: gather(&self.images.pixels, self.images.stride(), rows),
                shape: [rows.len(), c, h, w],
            },
            labels: gather(&self.labels, 1, rows),
        }
    }
}

impl Normalise {
    /// Leaves pixels in 0..=1 as they are.
    pub fn identity(channels: usize) -> Self {
        Self {
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
        }
    }

    /// Measures `images`, in f64; a channel without variance gets a standard deviation of 1.
    pub fn measured(images: &Images) -> Self {
        let [n, c, h, w] = images.shape;
        let mut normalise = Self {
            mean: Vec::new(),
            std: Vec::new(),
        };
        for channel in 0..c {
            let mut counts = [0u64; 256];
            for image in 0..n {
                let start = (image * c + channel) * h * w;
                for &value in &images.pixels[start..start + h * w] {
                    counts[usize::from(value)] += 1;
                }
            }
            let total = ((n * h * w) as f64).max(1.0);
            let moment = |centre: f64, power: i32| {
                let sum = counts.iter().enumerate().map(|(value, &count)| {
                    count as f64 * (value as f64 / 255.0 - centre).powi(power)
                });
                sum.sum::<f64>() / total
            };
            let mean = moment(0.0, 1);
            let std = moment(mean, 2).sqrt();
            normalise.mean.push(mean as f32);
            normalise
                .std
                .push(if std > 1e-9 { std as f32 } else { 1.0 });
        }
        normalise
    }
}

impl Dataset {
    /// Error in percent of a constant prediction of the test set's most frequent class; 100 if
    /// there is no test image.
    pub fn chance_error(&self) -> f64 {
        crate::majority::error(&self.test.labels)
    }

    /// BLAKE3 (hexadecimal) over shape, pixels and labels of the three splits in their order, and
    /// so over the borders between them too. Compute it again after changing a split.
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 data set v1");
        for split in [&self.train, &self.valid, &self.test] {
            for size in split.images.shape {
                hasher.update(&(size as u64).to_le_bytes());
            }
            hasher.update(&split.images.pixels);
            hasher.update(&(split.labels.len() as u64).to_le_bytes());
            for label in &split.labels {
                hasher.update(&label.to_le_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}
