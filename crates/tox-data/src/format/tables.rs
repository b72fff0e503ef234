//! The rows and labels of a file of arrays, sorted into training, validation and test.

use std::path::PathBuf;

use super::dimensions;
use super::labels::{Classes, Labels};
use super::npy::Array;
use super::roles::Parts;
use super::rows::{self, Grid};
use super::source::{Kind, Opened, Source};
use crate::dataset::{Images, Split};
use crate::error::DataError;
use crate::raw::{Files, Origin};

/// Rows and their labels, as the file has them.
pub(crate) struct Table {
    pub rows: Array,
    pub labels: Labels,
}

/// What a file of arrays holds.
pub(crate) struct Tables {
    pub path: PathBuf,
    pub source: Source,
    pub parts: Parts,
    pub train: Table,
    pub valid: Option<Table>,
    pub test: Option<Table>,
    pub classes: Classes,
    pub notes: Vec<String>,
}

impl Tables {
    /// Reads `data`, which is of `kind`; `label` is the column of labels of a table.
    pub fn open(data: &str, kind: Kind, label: Option<&str>) -> Result<Self, DataError> {
        let Opened {
            mut source,
            path,
            mut notes,
        } = Opened::of(data, kind, label)?;
        let parts = Parts::of(&path, &source.keys())?;
        let mut table = |pair: &super::roles::Pair| -> Result<Table, DataError> {
            let rows = source.array(&pair.rows)?;
            let count = rows.shape.first().copied().unwrap_or(0);
            let labels = source.array(&pair.labels)?;
            let labels = Labels::read(&path, labels, (&pair.rows, count))?;
            Ok(Table { rows, labels })
        };
        let train = table(&parts.train)?;
        let valid = parts.valid.as_ref().map(&mut table).transpose()?;
        let test = parts.test.as_ref().map(&mut table).transpose()?;
        let names = match &parts.class_names {
            Some(key) => Some(source.array(key)?).filter(|names| names.kind.is_text()),
            None => None,
        };
        let names = names.map(|names| names.texts().collect::<Vec<_>>());
        let all: Vec<&Labels> = [Some(&train), valid.as_ref(), test.as_ref()]
            .into_iter()
            .flatten()
            .map(|table| &table.labels)
            .collect();
        let (classes, said) = Classes::of(&path, &all, names)?;
        notes.extend(said);
        let unread: Vec<String> = parts
            .further
            .iter()
            .filter(|key| *key != "feature_names")
            .cloned()
            .collect();
        if !unread.is_empty() {
            notes.push(format!(
                "arrays that are neither rows nor labels, and are not used: {}",
                super::some(&unread)
            ));
        }
        Ok(Self {
            path,
            source,
            parts,
            train,
            valid,
            test,
            classes,
            notes,
        })
    }

    /// As 8-bit images. Validation images follow the training images; without test images the validation
    /// images are these, or else the last fifth (rounded down, at least one) of the training images.
    pub fn images(self) -> Result<Files, DataError> {
        let Self {
            path,
            train,
            valid,
            test,
            classes,
            mut notes,
            parts,
            ..
        } = self;
        let there = [valid.is_some(), test.is_some()];
        let (mut arrays, mut labels) = (Vec::new(), Vec::new());
        for table in [Some(train), valid, test].into_iter().flatten() {
            let (grid, note) = Grid::of_images(&path, &table.rows)?;
            notes.extend(note);
            labels.push(classes.numbers(&table.labels));
            arrays.push((table.rows, grid));
        }
        let grids: Vec<Grid> = arrays.iter().map(|(_, grid)| *grid).collect();
        let (pixels, said) = rows::pixels(&path, arrays)?;
        notes.extend(said);
        let mut splits = Vec::new();
        for ((pixels, grid), labels) in pixels.into_iter().zip(&grids).zip(labels) {
            let shape = [grid.rows, grid.colours(), grid.height, grid.width];
            let images = Images { pixels, shape };
            splits.push(Split { images, labels });
        }
        for split in &splits {
            let (expected, found) = (&splits[0].images.shape[1..], &split.images.shape[1..]);
            if expected != found {
                return Err(DataError::Shape {
                    path,
                    expected: dimensions(expected),
                    found: dimensions(found),
                });
            }
        }
        let mut splits = splits.into_iter();
        let mut next = |there: bool| if there { splits.next() } else { None };
        let (train, valid, test) = (next(true), next(there[0]), next(there[1]));
        let Some(mut train) = train else {
            return Err(DataError::Empty { path });
        };
        let name = |pair: &Option<super::roles::Pair>| {
            pair.as_ref().map_or("", |pair| &pair.rows).to_owned()
        };
        let mut files = Files {
            train: Split::none(&train),
            test: Split::none(&train),
            class_names: classes.names,
            normalise: None,
            notes: Vec::new(),
            origin: Origin::Files,
            valid: 0,
        };
        files.test = match (valid, test) {
            (Some(valid), Some(test)) => {
                notes.push(format!(
                    "the {} images of `{}` follow the training images: `valid` = {} takes just them for \
                     validation",
                    valid.len(),
                    name(&parts.valid),
                    valid.len()
                ));
                files.valid = valid.len();
                train.append(valid);
                test
            }
            (Some(valid), None) => {
                notes.push(format!(
                    "there are no test images: those of `{}` are",
                    name(&parts.valid)
                ));
                valid
            }
            (None, Some(test)) => test,
            (None, None) => {
                files.origin = Origin::OneFile;
                let count = (train.len() / 5).max(1);
                notes.push(format!(
                    "there are no test images: the last fifth of `{}`, {count} images, is taken for them",
                    parts.train.rows
                ));
                train.split_off(train.len() - count)
            }
        };
        files.train = train;
        files.notes = notes;
        Ok(files)
    }
}
