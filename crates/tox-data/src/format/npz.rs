//! NumPy archives. Either `x_train`, `y_train`, `x_test`, `y_test`, or `images` and `labels`, of
//! which the last fifth (rounded down, at least one) in file order is the test set.
//!
//! Images have shape (N, H, W) for grey, or four dimensions: with 1 or 3 as the last size they are
//! N, H, W, C; with 1 or 3 as the second, N, C, H, W; with both or neither they are refused. Labels
//! have shape (N) or (N, 1). The number of classes is the largest label plus one.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::npy::Array;
use super::{dimensions, numbered};
use crate::error::DataError;
use crate::input::{Input, MAX_RATIO};
use crate::set::{Files, Images, Split};

/// Training and test set of the archive at `path`.
pub(crate) fn load(path: &Path) -> Result<Files, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    parse(path, BufReader::new(file))
}

/// The same of any bytes; `path` is what messages say.
pub(crate) fn parse(path: &Path, reader: impl Read + Seek) -> Result<Files, DataError> {
    let mut archive = ZipArchive::new(reader).map_err(|error| broken(path, &error))?;
    let single = archive.index_for_name("images.npy").is_some()
        && archive.index_for_name("x_train.npy").is_none();
    let (train, test) = if single {
        let all = split(path, &mut archive, "images", "labels")?;
        let border = all.len() - (all.len() / 5).max(1);
        (all.range(0, border), all.range(border, all.len()))
    } else {
        let train = split(path, &mut archive, "x_train", "y_train")?;
        (train, split(path, &mut archive, "x_test", "y_test")?)
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
    let class_names = numbered(classes);
    Ok(Files {
        train,
        test,
        class_names,
        normalise: None,
        notes: Vec::new(),
    })
}

fn split<R: Read + Seek>(
    path: &Path,
    archive: &mut ZipArchive<R>,
    images_key: &'static str,
    labels_key: &'static str,
) -> Result<Split, DataError> {
    let images = images(path, array(path, archive, images_key)?)?;
    let labels = array(path, archive, labels_key)?;
    if !matches!(labels.shape.as_slice(), [_] | [_, 1]) {
        return Err(DataError::NpyShape {
            path: path.to_path_buf(),
            key: labels.key,
            expected: "(N) or (N, 1)",
            found: labels.shape,
        });
    }
    let labels = labels.labels(path)?;
    if images.shape[0] != labels.len() {
        return Err(DataError::Counts {
            images_path: path.join(images_key),
            images: images.shape[0],
            labels_path: path.join(labels_key),
            labels: labels.len(),
        });
    }
    Ok(Split { images, labels })
}

fn array<R: Read + Seek>(
    path: &Path,
    archive: &mut ZipArchive<R>,
    key: &'static str,
) -> Result<Array, DataError> {
    let found: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let entry = archive
        .by_name(&format!("{key}.npy"))
        .map_err(|error| match error {
            ZipError::FileNotFound => {
                let mut found = found;
                found.sort_unstable();
                found.truncate(8);
                DataError::NpzKey {
                    path: path.to_path_buf(),
                    key,
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

fn images(path: &Path, array: Array) -> Result<Images, DataError> {
    let bad = |expected| DataError::NpyShape {
        path: path.to_path_buf(),
        key: array.key.clone(),
        expected,
        found: array.shape.clone(),
    };
    // Sizes were held against the file's before, so that they fit.
    let sizes: Vec<usize> = array.shape.iter().map(|&size| size as usize).collect();
    let coloured = |size: usize| size == 1 || size == 3;
    let (shape, channels_last) = match sizes[..] {
        [n, h, w] => ([n, 1, h, w], false),
        [n, h, w, c] if coloured(c) && !coloured(h) => ([n, c, h, w], true),
        [n, c, h, w] if coloured(c) && !coloured(w) => ([n, c, h, w], false),
        _ => {
            return Err(bad(
                "(N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3 in one place only",
            ));
        }
    };
    if shape.contains(&0) {
        return Err(DataError::Empty {
            path: path.join(&array.key),
        });
    }
    let mut pixels = array.pixels(path)?;
    let [_, c, h, w] = shape;
    if channels_last && c > 1 {
        let planes = |image: &[u8]| {
            (0..c * h * w)
                .map(|at| image[at % (h * w) * c + at / (h * w)])
                .collect::<Vec<u8>>()
        };
        pixels = pixels.chunks_exact(c * h * w).flat_map(planes).collect();
    }
    Ok(Images { pixels, shape })
}

fn broken(path: &Path, error: &ZipError) -> DataError {
    DataError::Npz {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}
