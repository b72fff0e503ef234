//! A folder of class folders of PNG and JPEG images, either under `train/` and `test/` or flat.
//!
//! Classes are the folder names in byte order. Images come in the order of the BLAKE3 hash of
//! `class/file`, so that every stretch of them mixes the classes, a copy of the folder gives the
//! same order, and a new file moves no other. Of a flat folder the last fifth in that order
//! (rounded down, at least one) is the test set. Images are grey if all of them are, else all have
//! three channels; transparency is dropped and 16-bit images become 8-bit. Names that begin with a
//! dot and files of other types are skipped.

use std::fs;
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, ImageReader, Limits};

use crate::error::DataError;
use crate::files::Files;
use crate::resize;
use crate::set::{Images, Split};

/// Largest side of an image, in pixels; a header that says more is not believed.
const MAX_SIDE: u32 = 16_384;
/// Most memory that decoding one image may take: 1 GiB.
const MAX_DECODED: u64 = 1 << 30;

/// Image files with their classes, in the order described above.
type Listing = Vec<(PathBuf, u16)>;

/// Training and test set of the folder at `path`; `resize` (pixels) is applied to each image as it
/// is read, so that images of different sizes can meet. Images of classes that are not among
/// `keep` are not decoded.
pub(crate) fn load(
    path: &Path,
    resize: Option<usize>,
    keep: Option<&[u16]>,
) -> Result<Files, DataError> {
    let (class_names, mut train, mut test) = listing(path)?;
    if let Some(keep) = keep {
        train.retain(|(_, label)| keep.contains(label));
        test.retain(|(_, label)| keep.contains(label));
    }
    let count = train.len();
    let mut reader = Reader {
        resize,
        ..Reader::default()
    };
    for (file, label) in train.into_iter().chain(test) {
        reader.push(&file, label)?;
    }
    let mut train = reader.finish();
    let test = train.split_off(count);
    Ok(Files {
        train,
        test,
        class_names,
        normalise: None,
        notes: Vec::new(),
    })
}

/// Class names, and the files of the training and the test set.
pub(crate) fn listing(path: &Path) -> Result<(Vec<String>, Listing, Listing), DataError> {
    let (train, test) = (path.join("train"), path.join("test"));
    if train.is_dir() && test.is_dir() {
        let classes = classes(&train)?;
        for class in self::classes(&test)? {
            if !classes.contains(&class) {
                let known = classes.join(", ");
                return Err(DataError::FolderClass {
                    path: test.join(class),
                    known,
                });
            }
        }
        let (train, test) = (files(&train, &classes)?, files(&test, &classes)?);
        return Ok((classes, train, test));
    }
    let classes = classes(path)?;
    let mut train = files(path, &classes)?;
    let test = train.split_off(train.len() - (train.len() / 5).max(1));
    Ok((classes, train, test))
}

/// Names in `path` that do not begin with a dot, in byte order.
fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(DataError::read(path))? {
        let name = entry.map_err(DataError::read(path))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

fn classes(path: &Path) -> Result<Vec<String>, DataError> {
    let mut classes = names(path)?;
    classes.retain(|name| path.join(name).is_dir());
    match classes.len() {
        0 => Err(DataError::Folder {
            path: path.to_path_buf(),
            what: "class folders",
        }),
        count if count >= usize::from(u16::MAX) => Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "labels (class folders)".to_owned(),
            claimed: count.to_string(),
            limit: u64::from(u16::MAX),
        }),
        _ => Ok(classes),
    }
}

fn files(path: &Path, classes: &[String]) -> Result<Listing, DataError> {
    let mut files = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let folder = path.join(class);
        // A class may lack test images.
        for name in if folder.is_dir() {
            names(&folder)?
        } else {
            Vec::new()
        } {
            let lower = name.to_lowercase();
            if [".png", ".jpg", ".jpeg"]
                .iter()
                .any(|end| lower.ends_with(end))
            {
                let hash = blake3::hash(format!("{class}/{name}").as_bytes());
                files.push((*hash.as_bytes(), folder.join(name), label as u16));
            }
        }
    }
    files.sort_unstable();
    match files.is_empty() {
        true => Err(DataError::Folder {
            path: path.to_path_buf(),
            what: "images",
        }),
        false => Ok(files
            .into_iter()
            .map(|(_, file, label)| (file, label))
            .collect()),
    }
}

/// Collects decoded images, all of one size.
#[derive(Default)]
struct Reader {
    resize: Option<usize>,
    /// Three channels an image, in C, H, W order.
    pixels: Vec<u8>,
    labels: Vec<u16>,
    size: Option<(usize, usize)>,
    coloured: bool,
}

impl Reader {
    fn push(&mut self, path: &Path, label: u16) -> Result<(), DataError> {
        let decoded = decode(path)?;
        self.coloured |= !matches!(
            decoded.color(),
            ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16
        );
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

    fn finish(self) -> Split {
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

/// One image, its type told by its first bytes and not by its name.
fn decode(path: &Path) -> Result<DynamicImage, DataError> {
    let reader = ImageReader::open(path).map_err(DataError::read(path))?;
    let mut reader = reader
        .with_guessed_format()
        .map_err(DataError::read(path))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let failed = |reason: String| DataError::Image {
        path: path.to_path_buf(),
        reason,
    };
    reader.decode().map_err(|error| failed(error.to_string()))
}
