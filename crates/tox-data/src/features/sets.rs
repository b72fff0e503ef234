//! The rows, and how they are written.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::atomic;
use crate::classes::Selection;
use crate::dataset::{Dataset, Images, Split};
use crate::error::DataError;
use crate::format::array::{Layout, Values, gather};
use crate::format::npy::Array;
use crate::format::npz::{Elements, Item, Writer};

/// Labelled rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// As many as `rows` x `columns`; images in C, H, W order whatever the file's layout is.
    pub values: Values,
    /// Number of rows.
    pub rows: usize,
    /// Features of a row.
    pub columns: usize,
    /// Channels, height and width of a row, if rows are images; their product is `columns`.
    pub shape: Option<[usize; 3]>,
    /// How the file held the rows, and how [`FeatureSets::save`] writes them.
    pub layout: Layout,
    /// One a row, below the number of `class_names`.
    pub labels: Vec<u16>,
    /// One name a class.
    pub class_names: Vec<String>,
}

/// A training set and, if the file has one, a test set with the same columns, classes and kind of
/// values.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSets {
    /// Training rows, of at least two classes.
    pub train: Features,
    /// Test rows.
    pub test: Option<Features>,
}

impl Features {
    /// The images of `split`, whose classes have these names.
    pub fn of(split: Split, class_names: Vec<String>) -> Self {
        let columns = split.images.stride();
        let [rows, c, h, w] = split.images.shape;
        Self {
            values: Values::Bytes(split.images.pixels),
            rows,
            columns,
            shape: Some([c, h, w]),
            layout: match c {
                1 => Layout::Grey,
                _ => Layout::ChannelsFirst,
            },
            labels: split.labels,
            class_names,
        }
    }

    /// A copy of the rows as images; none if they are floats or no images.
    pub fn images(&self) -> Option<Split> {
        let (Values::Bytes(pixels), Some([c, h, w])) = (&self.values, self.shape) else {
            return None;
        };
        Some(Split {
            images: Images {
                pixels: pixels.clone(),
                shape: [self.rows, c, h, w],
            },
            labels: self.labels.clone(),
        })
    }

    /// A copy of the rows at `rows`, in their order.
    ///
    /// # Panics
    /// If an index is not below `self.rows`.
    pub fn rows(&self, rows: &[usize]) -> Self {
        Self {
            values: match &self.values {
                Values::Bytes(values) => Values::Bytes(gather(values, self.columns, rows)),
                Values::Floats(values) => Values::Floats(gather(values, self.columns, rows)),
            },
            rows: rows.len(),
            labels: gather(&self.labels, 1, rows),
            class_names: self.class_names.clone(),
            ..*self
        }
    }

    /// Takes the rows from `at` on away, into a set of their own.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn split_off(&mut self, at: usize) -> Self {
        let values = match &mut self.values {
            Values::Bytes(values) => Values::Bytes(values.split_off(at * self.columns)),
            Values::Floats(values) => Values::Floats(values.split_off(at * self.columns)),
        };
        let rows = self.rows - at;
        self.rows = at;
        Self {
            values,
            rows,
            labels: self.labels.split_off(at),
            class_names: self.class_names.clone(),
            ..*self
        }
    }

    /// Turns 8-bit values v into floats v / 255; floats stay as they are.
    pub fn into_floats(mut self) -> Self {
        if let Values::Bytes(values) = &self.values {
            let floats = values.iter().map(|&value| f32::from(value) / 255.0);
            self.values = Values::Floats(floats.collect());
        }
        self
    }

    /// BLAKE3 (hexadecimal) over kind of values, sizes, values and labels; the layout of the file
    /// and the names of classes do not count.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 feature set v1");
        for size in [self.rows, self.columns] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        match &self.values {
            Values::Bytes(values) => {
                hasher.update(b"uint8").update(values);
            }
            Values::Floats(values) => {
                hasher.update(b"float32");
                for values in values.chunks(1 << 14) {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    hasher.update(&bytes.collect::<Vec<u8>>());
                }
            }
        }
        for label in &self.labels {
            hasher.update(&label.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Keeps the rows of the classes selected.
    pub(super) fn select(&mut self, selection: &Selection) {
        let names = selection.names(&self.class_names);
        *self = self.rows(&selection.rows(&self.labels));
        selection.relabel(&mut self.labels);
        self.class_names = names;
    }

    /// The two arrays of this (arranged) set to write.
    fn items(&self, rows_key: &'static str, labels_key: &'static str) -> [Item<'_>; 2] {
        let [c, h, w] = self.shape.unwrap_or([1, 1, self.columns]);
        let shape = match self.layout {
            Layout::Columns => vec![self.rows, self.columns],
            Layout::Grey => vec![self.rows, h, w],
            Layout::ChannelsFirst => vec![self.rows, c, h, w],
            Layout::ChannelsLast => vec![self.rows, h, w, c],
        };
        let rows = Item {
            key: rows_key,
            shape,
            elements: match &self.values {
                Values::Bytes(values) => Elements::Bytes(values),
                Values::Floats(values) => Elements::Floats(values),
            },
        };
        let labels = self.labels.iter().map(|&label| i64::from(label));
        let labels = Item {
            key: labels_key,
            shape: vec![self.rows],
            elements: Elements::Integers(labels.collect()),
        };
        [rows, labels]
    }

    /// The rows as the file's layout orders them.
    fn arranged(&self) -> Self {
        let mut arranged = self.clone();
        if let (Layout::ChannelsLast, Some([c, h, w])) = (self.layout, self.shape) {
            arranged.values = match &self.values {
                Values::Bytes(values) => Values::Bytes(transposed(values, c, h * w)),
                Values::Floats(values) => Values::Floats(transposed(values, c, h * w)),
            };
        }
        arranged
    }
}

/// Each stretch of `a` x `b` values, read as `a` rows, as `b` rows.
fn transposed<T: Copy>(values: &[T], a: usize, b: usize) -> Vec<T> {
    if a == 1 || b == 1 {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(values.len());
    for item in values.chunks_exact(a * b) {
        out.extend((0..b).flat_map(|column| item[column..].iter().step_by(b)));
    }
    out
}

impl FeatureSets {
    /// Training and test images of `dataset`. Its validation images are left out: load it with
    /// `valid` = 0 to have them among the training images.
    ///
    /// # Errors
    /// A training set of one class.
    pub fn of(dataset: Dataset) -> Result<Self, DataError> {
        let test = (!dataset.test.is_empty())
            .then(|| Features::of(dataset.test, dataset.class_names.clone()));
        let train = Features::of(dataset.train, dataset.class_names);
        Self { train, test }.checked(&dataset.name)
    }

    pub(super) fn checked(self, name: &str) -> Result<Self, DataError> {
        let labels = &self.train.labels;
        match labels.iter().any(|label| *label != labels[0]) {
            true => Ok(self),
            false => Err(DataError::OneClass {
                name: name.to_owned(),
            }),
        }
    }

    /// Writes `x_train`, `y_train` and, with a test set, `x_test` and `y_test` to the archive at
    /// `path`, atomically: rows as the file had them laid out, labels as int64; and `class_names`, if
    /// they are not numbers. The same sets give the same bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let train = self.train.arranged();
        let test = self.test.as_ref().map(Features::arranged);
        let mut items: Vec<Item> = train.items("x_train", "y_train").into();
        if let Some(test) = &test {
            items.extend(test.items("x_test", "y_test"));
        }
        let names = &self.train.class_names;
        let numbers = names.iter().all(|name| name.parse::<i64>().is_ok());
        let names = (!numbers).then(|| Array::of_texts("class_names", names));
        let write = |out: &mut std::fs::File| {
            let mut writer = Writer::new(BufWriter::new(out));
            for item in &items {
                writer.item(item)?;
            }
            if let Some(names) = &names {
                writer.member("class_names.npy", &names.file())?;
            }
            writer.finish()?.flush()
        };
        atomic::write_named(path, write).map_err(|source| DataError::Write {
            path: path.to_path_buf(),
            source,
        })
    }
}
