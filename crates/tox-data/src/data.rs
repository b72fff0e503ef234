//! Data as a trial uses them, images or a table of numbers.

use crate::dataset::{Dataset, Images, Split};
use crate::features::{Features, Values};
use crate::row_set::RowSet;

/// A table of numbers as a trial uses it: subset and split. Its columns are in their own units.
#[derive(Clone, Debug)]
pub struct TableSet {
    /// The file name of the path given.
    pub name: String,
    /// Training rows.
    pub train: Features,
    /// Validation rows.
    pub valid: Features,
    /// Test rows.
    pub test: Features,
    /// One name a class.
    pub class_names: Vec<String>,
    /// One name a column, where the file names them.
    pub columns: Option<Vec<String>>,
    /// [`TableSet::content_hash`] of what was loaded.
    pub hash: String,
    /// What a reader of results must know about this copy of the data, one sentence each.
    pub notes: Vec<String>,
}

impl TableSet {
    /// BLAKE3 (hexadecimal) over sizes, values and labels of the three splits in their order. Compute it
    /// again after changing a split.
    pub fn content_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 table v1");
        for part in [&self.train, &self.valid, &self.test] {
            hasher.update(part.hash().as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Images or a table of numbers.
#[derive(Clone, Debug)]
pub enum Data {
    Images(Dataset),
    Table(TableSet),
}

/// A reference to [`Data`], or to the images or the table of which they would be.
#[derive(Clone, Copy, Debug)]
pub enum DataRef<'a> {
    Images(&'a Dataset),
    Table(&'a TableSet),
}

impl Data {
    /// A reference to the images or to the table.
    pub fn as_ref(&self) -> DataRef<'_> {
        match self {
            Self::Images(data) => DataRef::Images(data),
            Self::Table(data) => DataRef::Table(data),
        }
    }

    /// Computes the hash anew, after a change.
    pub fn name_by_content(&mut self) {
        match self {
            Self::Images(data) => data.hash = data.content_hash(),
            Self::Table(data) => data.hash = data.content_hash(),
        }
    }
}

impl<'a> From<&'a Dataset> for DataRef<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self::Images(data)
    }
}

impl<'a> From<&'a TableSet> for DataRef<'a> {
    fn from(data: &'a TableSet) -> Self {
        Self::Table(data)
    }
}

impl<'a> From<&'a Data> for DataRef<'a> {
    fn from(data: &'a Data) -> Self {
        data.as_ref()
    }
}

impl<'a> DataRef<'a> {
    /// The images; none of a table.
    pub fn images(self) -> Option<&'a Dataset> {
        match self {
            Self::Images(data) => Some(data),
            Self::Table(_) => None,
        }
    }

    /// The known name, or the file name of the path given.
    pub fn name(self) -> &'a str {
        match self {
            Self::Images(data) => &data.name,
            Self::Table(data) => &data.name,
        }
    }

    /// The content hash of what was loaded.
    pub fn hash(self) -> &'a str {
        match self {
            Self::Images(data) => &data.hash,
            Self::Table(data) => &data.hash,
        }
    }

    /// What a reader of results must know, one sentence each.
    pub fn notes(self) -> &'a [String] {
        match self {
            Self::Images(data) => &data.notes,
            Self::Table(data) => &data.notes,
        }
    }

    /// One name a class.
    pub fn class_names(self) -> &'a [String] {
        match self {
            Self::Images(data) => &data.class_names,
            Self::Table(data) => &data.class_names,
        }
    }

    /// Labels of the training, validation and test rows.
    pub fn labels(self) -> [&'a [u16]; 3] {
        match self {
            Self::Images(data) => {
                [&data.train, &data.valid, &data.test].map(|split| &split.labels[..])
            }
            Self::Table(data) => {
                [&data.train, &data.valid, &data.test].map(|rows| &rows.labels[..])
            }
        }
    }

    /// Error in percent of a constant prediction of the test set's most frequent class; 100 if there is
    /// no test row.
    pub fn chance_error(self) -> f64 {
        crate::majority::error(self.labels()[2])
    }

    /// A copy of the training rows.
    pub fn train(self) -> Features {
        match self {
            Self::Images(data) => Features::of(data.train.clone(), data.class_names.clone()),
            Self::Table(data) => data.train.clone(),
        }
    }

    /// A copy of the training, validation and test rows.
    pub fn splits(self) -> [Features; 3] {
        match self {
            Self::Images(data) => [&data.train, &data.valid, &data.test]
                .map(|split| Features::of(split.clone(), data.class_names.clone())),
            Self::Table(data) => [&data.train, &data.valid, &data.test].map(Features::clone),
        }
    }

    /// What a search learns from, its training rows followed by its validation rows. A copy.
    pub fn pool(self) -> Features {
        match self {
            Self::Images(data) => data.pool(),
            Self::Table(data) => {
                let mut pool = data.train.clone();
                pool.append(data.valid.clone());
                pool
            }
        }
    }

    /// A copy with other training rows and, if there are some, other validation rows, of the same kind. The
    /// hash stays that of what was loaded.
    ///
    /// # Panics
    /// If rows of images are no 8-bit images.
    pub fn replaced(self, train: Features, valid: Option<Features>) -> Data {
        match self {
            Self::Images(data) => Data::Images(Dataset {
                train: images(train),
                valid: valid.map_or_else(|| data.valid.clone(), images),
                test: data.test.clone(),
                name: data.name.clone(),
                classes: data.classes,
                class_names: data.class_names.clone(),
                normalise: data.normalise.clone(),
                hash: data.hash.clone(),
                notes: data.notes.clone(),
            }),
            Self::Table(data) => Data::Table(TableSet {
                train,
                valid: valid.unwrap_or_else(|| data.valid.clone()),
                test: data.test.clone(),
                name: data.name.clone(),
                class_names: data.class_names.clone(),
                columns: data.columns.clone(),
                hash: data.hash.clone(),
                notes: data.notes.clone(),
            }),
        }
    }

    /// A copy of all.
    pub fn to_owned(self) -> Data {
        match self {
            Self::Images(data) => Data::Images(data.clone()),
            Self::Table(data) => Data::Table(data.clone()),
        }
    }
}

fn images(rows: Features) -> Split {
    let (Values::Bytes(pixels), Some([c, h, w])) = (rows.values, rows.shape) else {
        unreachable!("rows of images are images");
    };
    Split {
        images: Images {
            pixels,
            shape: [rows.rows, c, h, w],
        },
        labels: rows.labels,
    }
}
