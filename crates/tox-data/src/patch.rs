//! Poison patches: which rows of a training set an attack replaced, by what, and under which label.
//!
//! A patch is a file, `.npz` or `.safetensors`, of up to three arrays: `indices` (n; rows of the
//! training set, from 0) and `labels` (n) as int64, and `values` (n x columns, images in C, H, W
//! order) as float32, or as uint8 where an attack makes 8-bit images. An attack on labels alone has
//! no `values`: its rows keep theirs. For the searches, which train on two parts of a [`Dataset`],
//! the training set is [`Dataset::pool`]. Beside it lies its manifest, `NAME.json` where `NAME` is the patch's whole file name:
//! what made it, and the hashes of the patch and of the clean training set. Nothing is believed:
//! [`Patch::load`] holds the file against the manifest, [`Patch::apply`] both against the set.

mod error;
mod manifest;
mod points;

pub use error::PatchError;
pub use manifest::{Kind, Manifest, Units};

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::dataset::Dataset;
use crate::features::sets::Features;
use crate::format::array::Values;
use crate::input::{Input, MAX_BYTES};
use manifest::FORMAT;
use points::{Format, Points};

/// Most bytes of a manifest.
const MAX_MANIFEST: u64 = 1 << 20;

/// Poison points, each in the place of a training row. What it holds has been checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    points: Points,
    manifest: Manifest,
}

impl Patch {
    /// The patch of `train`, still clean, that puts a row of `values` (`train.columns` each: in
    /// 0..=1, pixel / 255, if the set is 8-bit) and a label in the place of each row of `indices`.
    /// `attack` and `settings` say what made it.
    ///
    /// # Errors
    /// No points, counts that do not pair up, an index or a label that the set does not have, an
    /// index twice, a value that is not finite or, for 8-bit sets, not in 0..=1.
    pub fn new(
        train: &Features,
        indices: Vec<u64>,
        labels: Vec<u16>,
        values: Vec<f32>,
        attack: &str,
        settings: serde_json::Value,
    ) -> Result<Self, PatchError> {
        let points = Points {
            indices,
            labels,
            values: Some(Values::Floats(values)),
        };
        Self::made(train, points, attack, settings)
    }

    /// The patch of `train`, still clean, that gives each row of `indices` another label; the rows
    /// keep their values.
    ///
    /// # Errors
    /// As [`Patch::new`].
    pub fn of_labels(
        train: &Features,
        indices: Vec<u64>,
        labels: Vec<u16>,
        attack: &str,
        settings: serde_json::Value,
    ) -> Result<Self, PatchError> {
        let points = Points {
            indices,
            labels,
            values: None,
        };
        Self::made(train, points, attack, settings)
    }

    /// The patch of `train`, still clean and 8-bit, that replaces each row of `indices` by 8-bit
    /// values (`train.columns` each); the rows keep their labels.
    ///
    /// # Errors
    /// As [`Patch::new`], and a set of floats.
    pub fn of_images(
        train: &Features,
        indices: Vec<u64>,
        values: Vec<u8>,
        attack: &str,
        settings: serde_json::Value,
    ) -> Result<Self, PatchError> {
        let label = |&index: &u64| train.labels.get(index as usize).copied().unwrap_or(0);
        let points = Points {
            labels: indices.iter().map(label).collect(),
            indices,
            values: Some(Values::Bytes(values)),
        };
        Self::made(train, points, attack, settings)
    }

    fn made(
        train: &Features,
        points: Points,
        attack: &str,
        settings: serde_json::Value,
    ) -> Result<Self, PatchError> {
        let mut manifest = Manifest {
            format: FORMAT.to_owned(),
            attack: attack.to_owned(),
            settings,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            points: points.indices.len(),
            flipped: 0,
            train_rows: train.rows,
            columns: train.columns,
            shape: train.shape,
            classes: train.class_names.len(),
            units: Units::of(train),
            values: Kind::of(points.values.as_ref()),
            train_hash: train.hash(),
            patch_hash: String::new(),
        };
        let wrong = |what| PatchError::Points { what };
        points.check(&manifest).map_err(wrong)?;
        manifest.flipped = points.flipped(train);
        Ok(Self { points, manifest })
    }

    /// Rows of the training set replaced, each once.
    pub fn indices(&self) -> &[u64] {
        &self.points.indices
    }

    /// Labels of the points.
    pub fn labels(&self) -> &[u16] {
        &self.points.labels
    }

    /// The points, row after row: floats in [`Manifest::units`] or bytes; none if rows keep theirs.
    pub fn values(&self) -> Option<&Values> {
        self.points.values.as_ref()
    }

    /// What is known beside the numbers.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the manifest of the patch at `path` lies.
    pub fn manifest_path(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".json");
        PathBuf::from(name)
    }

    /// Writes the patch to `path` (`.npz` or `.safetensors`) and then its manifest beside it, each
    /// atomically; notes the file's hash in the manifest. The same patch gives the same bytes.
    ///
    /// # Errors
    /// Another extension, or a file that cannot be written.
    pub fn save(&mut self, path: &Path) -> Result<(), PatchError> {
        let bytes = self.points.encode(path)?;
        self.manifest.patch_hash = blake3::hash(&bytes).to_hex().to_string();
        let beside = Self::manifest_path(path);
        let manifest = serde_json::to_string_pretty(&self.manifest);
        let manifest = manifest.map_err(|error| PatchError::Write {
            path: beside.clone(),
            source: error.into(),
        })?;
        let manifest = manifest + "\n";
        for (path, bytes) in [(path, &bytes[..]), (&beside, manifest.as_bytes())] {
            atomic::write(path, |file| file.write_all(bytes)).map_err(|source| {
                PatchError::Write {
                    path: path.to_path_buf(),
                    source,
                }
            })?;
        }
        Ok(())
    }

    /// Reads the patch at `path` and its manifest, and holds one against the other.
    ///
    /// # Errors
    /// Another extension, a file that is missing or damaged, numbers out of range, and anything
    /// that the manifest says otherwise.
    pub fn load(path: &Path) -> Result<Self, PatchError> {
        Format::of(path)?;
        let beside = Self::manifest_path(path);
        let text = Input::open(&beside)?.all(MAX_MANIFEST, "a manifest")?;
        let unreadable = |what| PatchError::Manifest {
            path: beside.clone(),
            what,
        };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if manifest.format != FORMAT {
            let found = &manifest.format;
            return Err(unreadable(format!(
                "expected the format {FORMAT:?}, found {found:?}"
            )));
        }
        let bytes = Input::open(path)?.all(MAX_BYTES, "a patch")?;
        let damaged = |what| PatchError::Damaged {
            path: path.to_path_buf(),
            what,
        };
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if hash != manifest.patch_hash {
            let expected = &manifest.patch_hash;
            return Err(damaged(format!("BLAKE3 {hash}, expected {expected}")));
        }
        let (points, columns) = Points::decode(path, &bytes)?;
        if let Some(columns) = columns.filter(|columns| *columns != manifest.columns) {
            let expected = manifest.columns;
            return Err(damaged(format!("{columns} columns, expected {expected}")));
        }
        points.check(&manifest).map_err(damaged)?;
        Ok(Self { points, manifest })
    }

    /// Poisons `train`, which must be the clean set that the patch was made for. In an 8-bit set
    /// each value v becomes `round(255 v)`.
    ///
    /// # Errors
    /// Another training set, or a manifest that counts flipped labels wrongly; `train` is then
    /// untouched.
    pub fn apply(&self, train: &mut Features) -> Result<(), PatchError> {
        self.check_set(train)?;
        self.place(train);
        Ok(())
    }

    /// As [`Patch::apply`], but an 8-bit set becomes floats (pixel / 255) first, so that nothing is
    /// rounded.
    ///
    /// # Errors
    /// As [`Patch::apply`].
    pub fn apply_unrounded(&self, train: Features) -> Result<Features, PatchError> {
        self.check_set(&train)?;
        let mut train = train.into_floats();
        self.place(&mut train);
        Ok(train)
    }

    /// Poisons the images that a search trains and validates on, before any augmentation: the patch
    /// must have been made for [`Dataset::pool`] of the clean `data`. Test images, normalisation and
    /// [`Dataset::hash`], which says what was loaded, stay.
    ///
    /// # Errors
    /// As [`Patch::apply`].
    pub fn apply_to(&self, data: &mut Dataset) -> Result<(), PatchError> {
        let mut pool = data.pool();
        self.apply(&mut pool)?;
        data.set_pool(pool);
        Ok(())
    }

    /// Whether `train` is the clean set that this was made for.
    fn check_set(&self, train: &Features) -> Result<(), PatchError> {
        let manifest = &self.manifest;
        let other = |what| PatchError::OtherSet { what };
        let expected = [manifest.train_rows, manifest.columns, manifest.classes];
        let found = [train.rows, train.columns, train.class_names.len()];
        if expected != found || manifest.units != Units::of(train) || manifest.shape != train.shape
        {
            let describe =
                |[rows, columns, classes]: [usize; 3], shape: Option<[usize; 3]>, units| {
                    let kind = match units {
                        Units::Unit => "8-bit",
                        Units::Own => "float",
                    };
                    let image = match shape {
                        Some([c, h, w]) => format!(" ({c} x {h} x {w})"),
                        None => String::new(),
                    };
                    format!("{rows} rows of {columns}{image} {kind} values in {classes} classes")
                };
            return Err(other(format!(
                "expected {}, found {}",
                describe(expected, manifest.shape, manifest.units),
                describe(found, train.shape, Units::of(train))
            )));
        }
        let (expected, found) = (&manifest.train_hash, train.hash());
        if *expected != found {
            return Err(other(format!("expected BLAKE3 {expected}, found {found}")));
        }
        let (expected, found) = (manifest.flipped, self.points.flipped(train));
        if expected != found {
            return Err(other(format!(
                "its manifest counts {expected} flipped labels, these rows make it {found}"
            )));
        }
        Ok(())
    }

    /// Puts the points into a set that has been checked.
    fn place(&self, train: &mut Features) {
        let columns = train.columns;
        for (at, (&index, &label)) in (self.points.indices.iter())
            .zip(&self.points.labels)
            .enumerate()
        {
            let row = index as usize;
            train.labels[row] = label;
            let Some(values) = &self.points.values else {
                continue;
            };
            let (to, from) = (row * columns, at * columns);
            match (&mut train.values, values) {
                (Values::Floats(train), Values::Floats(values)) => {
                    train[to..][..columns].copy_from_slice(&values[from..][..columns]);
                }
                (Values::Bytes(train), Values::Bytes(values)) => {
                    train[to..][..columns].copy_from_slice(&values[from..][..columns]);
                }
                (Values::Bytes(train), Values::Floats(values)) => {
                    let pairs = train[to..][..columns].iter_mut().zip(&values[from..]);
                    pairs.for_each(|(byte, value)| *byte = (255.0 * value).round() as u8);
                }
                (Values::Floats(train), Values::Bytes(values)) => {
                    let pairs = train[to..][..columns].iter_mut().zip(&values[from..]);
                    pairs.for_each(|(value, byte)| *value = f32::from(*byte) / 255.0);
                }
            }
        }
    }
}
