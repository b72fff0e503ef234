//! NumPy archives. For image sets either `x_train`, `y_train`, `x_test`, `y_test`, or `images` and
//! `labels`, of which the last fifth (rounded down, at least one) in file order is the test set.
//!
//! Images have shape (N, H, W) for grey, or four dimensions: with 1 or 3 as the last size they are
//! N, H, W, C; with 1 or 3 as the second, N, C, H, W; with both or neither they are refused. Labels
//! have shape (N) or (N, 1). The number of classes is the largest label plus one.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::npy::{self, Array};
use super::{dimensions, numbered};
use crate::error::DataError;
use crate::features::Layout;
use crate::files::Files;
use crate::input::{Input, MAX_RATIO};
use crate::set::{Images, Split};

/// Training and test set of the archive at `path`.
pub(crate) fn load(path: &Path) -> Result<Files, DataError> {
    let expected = "x_train, y_train, x_test and y_test, or images and labels";
    let mut archive = Archive::open(path, expected)?;
    let (train, test) = if archive.has("images") && !archive.has("x_train") {
        let mut all = split(&mut archive, "images", "labels")?;
        let test = all.split_off(all.len() - (all.len() / 5).max(1));
        (all, test)
    } else {
        let train = split(&mut archive, "x_train", "y_train")?;
        (train, split(&mut archive, "x_test", "y_test")?)
    };
    let (expected, found) = (&train.images.shape[1..], &test.images.shape[1..]);
    if expected != found {
        return Err(DataError::Shape {
            path: path.to_path_buf(),
            expected: dimensions(expected),
            found: dimensions(found),
        });
    }
    let largest = train.labels.iter().chain(&test.labels).max();
    let classes = largest.map_or(0, |&label| usize::from(label) + 1);
    Ok(Files {
        train,
        test,
        class_names: numbered(classes),
        normalise: None,
        notes: Vec::new(),
    })
}

fn split<R: Read + Seek>(
    archive: &mut Archive<R>,
    images_key: &'static str,
    labels_key: &'static str,
) -> Result<Split, DataError> {
    let array = archive.array(images_key)?;
    let path = &archive.path;
    let (layout, shape) = pictures(path, &array)?;
    let mut pixels = array.pixels(path)?;
    if layout == Layout::ChannelsLast {
        pixels = transposed(&pixels, shape[2] * shape[3], shape[1]);
    }
    let images = Images { pixels, shape };
    let labels = archive.labels(labels_key, images_key, shape[0])?;
    Ok(Split { images, labels })
}

/// An archive being read.
pub(crate) struct Archive<R> {
    pub path: PathBuf,
    zip: ZipArchive<R>,
    /// The arrays it should hold, for messages.
    expected: &'static str,
}

impl Archive<BufReader<File>> {
    pub fn open(path: &Path, expected: &'static str) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        Self::new(path, BufReader::new(file), expected)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// An archive of any bytes; `path` is what messages say.
    pub fn new(path: &Path, reader: R, expected: &'static str) -> Result<Self, DataError> {
        Ok(Self {
            path: path.to_path_buf(),
            zip: ZipArchive::new(reader).map_err(|error| broken(path, &error))?,
            expected,
        })
    }

    /// Whether there is an array called `key`.
    pub fn has(&self, key: &str) -> bool {
        self.zip.index_for_name(&format!("{key}.npy")).is_some()
    }

    /// The array called `key`.
    pub fn array(&mut self, key: &'static str) -> Result<Array, DataError> {
        let (path, expected) = (&self.path, self.expected);
        let found: Vec<String> = self.zip.file_names().map(str::to_owned).collect();
        let entry = self
            .zip
            .by_name(&format!("{key}.npy"))
            .map_err(|error| match error {
                ZipError::FileNotFound => {
                    let mut found = found;
                    found.sort_unstable();
                    found.truncate(8);
                    DataError::NpzKey {
                        path: path.clone(),
                        key,
                        expected,
                        found: found.join(", "),
                    }
                }
                error => broken(path, &error),
            })?;
        // The archive's own word on the size, held against what its compressed bytes can make.
        let left = entry
            .size()
            .min(entry.compressed_size().saturating_mul(MAX_RATIO));
        Array::read(key, Input::plain(path, entry, left))
    }

    /// The labels called `key` of the `rows` rows of the array `rows_key`.
    pub fn labels(
        &mut self,
        key: &'static str,
        rows_key: &'static str,
        rows: usize,
    ) -> Result<Vec<u16>, DataError> {
        let labels = self.array(key)?;
        let path = &self.path;
        if !matches!(labels.shape.as_slice(), [_] | [_, 1]) {
            return Err(DataError::NpyShape {
                path: path.clone(),
                key: labels.key,
                expected: "(N) or (N, 1)",
                found: labels.shape,
            });
        }
        let labels = labels.labels(path)?;
        match labels.len() == rows {
            true => Ok(labels),
            false => Err(DataError::Counts {
                images_path: path.join(rows_key),
                images: rows,
                labels_path: path.join(key),
                labels: labels.len(),
            }),
        }
    }
}

/// Layout of an array of images, and their number, channels, height and width.
pub(crate) fn pictures(path: &Path, array: &Array) -> Result<(Layout, [usize; 4]), DataError> {
    // Sizes were held against the file's before, so that they fit.
    let sizes: Vec<usize> = array.shape.iter().map(|&size| size as usize).collect();
    let coloured = |size: usize| size == 1 || size == 3;
    let (layout, shape) = match sizes[..] {
        [n, h, w] => (Layout::Grey, [n, 1, h, w]),
        [n, h, w, c] if coloured(c) && !coloured(h) => (Layout::ChannelsLast, [n, c, h, w]),
        [n, c, h, w] if coloured(c) && !coloured(w) => (Layout::ChannelsFirst, [n, c, h, w]),
        _ => {
            return Err(DataError::NpyShape {
                path: path.to_path_buf(),
                key: array.key.clone(),
                expected: "(N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3 in one place \
                           only",
                found: array.shape.clone(),
            });
        }
    };
    if shape.contains(&0) {
        return Err(DataError::Empty {
            path: path.join(&array.key),
        });
    }
    Ok((layout, shape))
}

/// Each stretch of `a` x `b` values, read as `a` rows, as `b` rows.
pub(crate) fn transposed<T: Copy>(values: &[T], a: usize, b: usize) -> Vec<T> {
    if a == 1 || b == 1 {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(values.len());
    for item in values.chunks_exact(a * b) {
        out.extend((0..b).flat_map(|column| item[column..].iter().step_by(b)));
    }
    out
}

fn broken(path: &Path, error: &ZipError) -> DataError {
    DataError::Npz {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}

/// Elements to write.
pub(crate) enum Elements<'a> {
    /// As `uint8`.
    Bytes(&'a [u8]),
    /// As `float32`.
    Floats(&'a [f32]),
    /// As `int64`, which PyTorch takes for indices and labels.
    Integers(Vec<i64>),
}

/// An array to write.
pub(crate) struct Item<'a> {
    pub key: &'static str,
    pub shape: Vec<usize>,
    pub elements: Elements<'a>,
}

/// Writes an archive of `items`, deflated; the same items give the same bytes.
pub(crate) fn write<W: Write + Seek>(writer: W, items: &[Item]) -> io::Result<W> {
    let mut zip = ZipWriter::new(writer);
    for item in items {
        let (descr, width) = match item.elements {
            Elements::Bytes(_) => ("|u1", 1),
            Elements::Floats(_) => ("<f4", 4),
            Elements::Integers(_) => ("<i8", 8),
        };
        let bytes = item.shape.iter().product::<usize>() as u64 * width;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            // Sizes near 4 GiB need the long form, also if deflating adds a little.
            .large_file(bytes >= 0xf000_0000);
        zip.start_file(format!("{}.npy", item.key), options)?;
        zip.write_all(&npy::header(descr, &item.shape))?;
        match &item.elements {
            Elements::Bytes(values) => zip.write_all(values)?,
            Elements::Floats(values) => {
                for values in values.chunks(1 << 14) {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    zip.write_all(&bytes.collect::<Vec<u8>>())?;
                }
            }
            Elements::Integers(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                zip.write_all(&bytes.collect::<Vec<u8>>())?;
            }
        }
    }
    Ok(zip.finish()?)
}
