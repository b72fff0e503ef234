//! SVHN's cropped digits: photographed house numbers, a MATLAB file for training and one for test. The
//! label 10 is the digit 0. The set's 531,131 extra images are not used.

use std::path::Path;

use super::{Published, Remote, Source, locate, unofficial};
use crate::dataset::{Images, Normalise, Split};
use crate::error::DataError;
use crate::files::{Files, Origin};
use crate::format::{dimensions, mat, numbered};

const FILES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];
/// MD5, and bytes of which each has fewer.
const SUMS: [(&str, u64); 2] = [
    ("e26dedcc434d2e4c54c9b2d4a06d8373", 190 << 20),
    ("eb5a983be6a315427106f1b164d9cef3", 70 << 20),
];
const SIDE: usize = 32;

pub(crate) struct Svhn;

impl Svhn {
    fn split(&self, folder: &Path, file: &str) -> Result<Split, DataError> {
        let path = locate(self.name(), folder, file)?;
        let mut arrays = mat::arrays(&path, &["X", "y"], true)?;
        let images = images_of(&path, &mut arrays)?;
        let labels = take(&path, &mut arrays, "y")?.values;
        if images.shape[0] != labels.len() {
            return Err(DataError::Counts {
                images: images.shape[0],
                images_path: path.clone(),
                labels: labels.len(),
                labels_path: path,
            });
        }
        let label = |(at, &label): (usize, &u8)| match label {
            1..=10 => Ok(u16::from(label % 10)),
            _ => Err(DataError::Matlab {
                path: path.clone(),
                reason: format!("label {at} (counted from 0) is {label}, not 1 to 10"),
            }),
        };
        let labels = labels
            .iter()
            .enumerate()
            .map(label)
            .collect::<Result<_, _>>()?;
        Ok(Split { images, labels })
    }
}

/// Takes the array `name` out of `arrays`.
fn take(path: &Path, arrays: &mut Vec<mat::Array>, name: &str) -> Result<mat::Array, DataError> {
    let at = arrays.iter().position(|array| array.name == name);
    let at = at.ok_or_else(|| DataError::Matlab {
        path: path.to_path_buf(),
        reason: format!("no array `{name}`"),
    })?;
    Ok(arrays.swap_remove(at))
}

/// How many images an array of this shape has.
fn count(path: &Path, shape: &[usize]) -> Result<usize, DataError> {
    match *shape {
        [SIDE, SIDE, 3, 0] => Err(DataError::Empty {
            path: path.to_path_buf(),
        }),
        [SIDE, SIDE, 3, n] => Ok(n),
        // MATLAB drops a last dimension of 1.
        [SIDE, SIDE, 3] => Ok(1),
        _ => Err(DataError::Shape {
            path: path.to_path_buf(),
            expected: format!("{SIDE}x{SIDE}x3xN"),
            found: dimensions(shape),
        }),
    }
}

/// From height, width, channel and image, the first fastest, to images of planes of rows.
fn images_of(path: &Path, arrays: &mut Vec<mat::Array>) -> Result<Images, DataError> {
    let mat::Array {
        shape,
        values: mut pixels,
        ..
    } = take(path, arrays, "X")?;
    let shape = [count(path, &shape)?, 3, SIDE, SIDE];
    for plane in pixels.chunks_exact_mut(SIDE * SIDE) {
        for row in 0..SIDE {
            for column in 0..row {
                plane.swap(SIDE * row + column, SIDE * column + row);
            }
        }
    }
    Ok(Images { pixels, shape })
}

impl Published for Svhn {
    fn name(&self) -> &'static str {
        "svhn"
    }

    fn folder(&self) -> Option<&'static str> {
        Some(self.name())
    }

    fn licence(&self) -> &'static str {
        "for non-commercial use only; Netzer et al. 2011, ufldl.stanford.edu/housenumbers"
    }

    fn shape(&self) -> [usize; 3] {
        [3, SIDE, SIDE]
    }

    fn classes(&self) -> usize {
        10
    }

    fn source(&self) -> Option<Source> {
        let files = FILES.into_iter().zip(SUMS);
        Some(Source {
            name: self.name().to_owned(),
            base: "http://ufldl.stanford.edu/housenumbers".to_owned(),
            files: files
                .map(|(file, (sum, most))| Remote::md5(file, sum, most))
                .collect(),
            folder: self.name().to_owned(),
            contents: FILES.map(str::to_owned).to_vec(),
        })
    }

    fn counts(&self, folder: &Path) -> Result<[usize; 2], DataError> {
        let mut counts = [0; 2];
        for (found, file) in counts.iter_mut().zip(FILES) {
            let path = locate(self.name(), folder, file)?;
            let mut arrays = mat::arrays(&path, &["X"], false)?;
            *found = count(&path, &take(&path, &mut arrays, "X")?.shape)?;
        }
        Ok(counts)
    }

    fn load(&self, folder: &Path, _keep: Option<&[u16]>) -> Result<Files, DataError> {
        let [train, test] = FILES.map(|file| self.split(folder, file));
        let (train, test) = (train?, test?);
        let counts = [&train, &test].map(|split| split.labels.len());
        Ok(Files {
            // Published (nas-poisoning.md).
            normalise: Some(Normalise {
                mean: vec![0.4377, 0.4438, 0.4728],
                std: vec![0.1980, 0.2010, 0.1970],
            }),
            notes: unofficial(self.name(), counts, [73_257, 26_032]),
            ..Files::of([train, test], numbered(self.classes()), Origin::Known)
        })
    }
}
