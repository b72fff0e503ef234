//! IDX, the format of MNIST and Fashion-MNIST: a big-endian header, then bytes; plain or `.gz`.

use std::path::{Path, PathBuf};

use super::dimensions;
use crate::dataset::{Images, Normalise, Split};
use crate::error::DataError;
use crate::files::{Files, Origin};
use crate::input::{Input, check_labels};

/// Names of images and labels, of training and test, without `.gz`.
pub(crate) const FILES: [[&str; 2]; 2] = [
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
];

/// The file `file` of the data set `name` in `folder`, plain or else with `.gz`.
pub(crate) fn find(name: &str, folder: &Path, file: &str) -> Result<PathBuf, DataError> {
    let path = folder.join(format!("{file}.gz"));
    let places = [folder.join(file), path.clone()];
    let found = places.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| DataError::Missing {
        name: name.to_owned(),
        path,
    })
}

/// The four files in `folder`, with as many classes as there are `class_names`.
pub(crate) fn load(
    name: &str,
    folder: &Path,
    class_names: Vec<String>,
    normalise: Normalise,
) -> Result<Files, DataError> {
    let classes = class_names.len();
    let split = |[images, labels]: [&str; 2]| {
        let images_path = find(name, folder, images)?;
        let labels_path = find(name, folder, labels)?;
        let images = images_in(Input::open(&images_path)?)?;
        let labels = labels_in(Input::open(&labels_path)?)?;
        if images.shape[0] != labels.len() {
            return Err(DataError::Counts {
                images: images.shape[0],
                images_path,
                labels: labels.len(),
                labels_path,
            });
        }
        check_labels(&labels_path, &labels, classes)?;
        Ok((Split { images, labels }, images_path))
    };
    let ((train, _), (test, path)) = (split(FILES[0])?, split(FILES[1])?);
    let (expected, found) = (&train.images.shape[1..], &test.images.shape[1..]);
    if expected != found {
        let (expected, found) = (dimensions(expected), dimensions(found));
        return Err(DataError::Shape {
            path,
            expected,
            found,
        });
    }
    Ok(Files {
        normalise: Some(normalise),
        ..Files::of([train, test], class_names, Origin::Known)
    })
}

/// Sizes of the `N` dimensions, after the magic `00 00 08 N` (unsigned bytes).
fn sizes<const N: usize>(input: &mut Input, what: &'static str) -> Result<[usize; N], DataError> {
    let magic = input.header(4, "the magic number")?;
    let expected = [0, 0, 8, N as u8];
    if magic != expected {
        let hint = if magic.starts_with(&[0x1f, 0x8b]) {
            " (gzip: name it .gz)"
        } else {
            ""
        };
        return Err(DataError::Magic {
            path: input.path.clone(),
            format: what,
            expected: format!("{expected:02x?}"),
            found: format!("{magic:02x?}{hint}"),
        });
    }
    let header = input.header(4 * N, "the header")?;
    Ok(std::array::from_fn(|index| {
        header[4 * index..][..4]
            .iter()
            .fold(0, |size, &byte| size << 8 | usize::from(byte))
    }))
}

/// Images of one channel, from a three-dimensional file.
pub(crate) fn images_in(mut input: Input) -> Result<Images, DataError> {
    let [n, h, w] = sizes::<3>(&mut input, "an IDX file of images")?;
    let path = input.path.clone();
    let pixels = input.rest(n as u128 * h as u128 * w as u128, "pixels")?;
    match pixels.is_empty() {
        true => Err(DataError::Empty { path }),
        false => Ok(Images {
            pixels,
            shape: [n, 1, h, w],
        }),
    }
}

/// Labels, from a one-dimensional file.
pub(crate) fn labels_in(mut input: Input) -> Result<Vec<u16>, DataError> {
    let [n] = sizes::<1>(&mut input, "an IDX file of labels")?;
    Ok(input
        .rest(n as u128, "labels")?
        .into_iter()
        .map(u16::from)
        .collect())
}

/// Number of images and their height and width, by the header alone.
pub(crate) fn peek(path: &Path) -> Result<[usize; 3], DataError> {
    sizes::<3>(&mut Input::open(path)?, "an IDX file of images")
}
