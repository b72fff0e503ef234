//! The rows and labels of a file of arrays, sorted into training, validation and test.

use std::path::PathBuf;

use super::array::Values;
use super::columns;
use super::dimensions;
use super::formats::Format;
use super::labels::{Classes, Labels};
use super::npy::Array;
use super::roles::Parts;
use super::rows::{self, Grid};
use super::source::Source;
use crate::dataset::{Images, Split};
use crate::error::DataError;
use crate::features::sets::Features;
use crate::files::{Files, Origin};
use crate::published::unknown;
use crate::row_set::RowSet;

/// The array of names of columns.
const NAMES: &str = "feature_names";

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
    /// Names of the columns, if the file has them.
    pub columns: Option<Vec<String>>,
    pub notes: Vec<String>,
}

impl Tables {
    /// Reads `data`, which is of `format`; `label` is the column of labels of a table.
    pub fn open(data: &str, format: &dyn Format, label: Option<&str>) -> Result<Self, DataError> {
        let path = PathBuf::from(data);
        if format.is_one_file() && !path.exists() {
            return Err(unknown(data));
        }
        if let Some(label) = label.filter(|_| !format.has_columns()) {
            return Err(DataError::LabelColumn {
                path,
                label: label.to_owned(),
                expected: "a CSV or Parquet file, whose columns have names: leave the label's out"
                    .to_owned(),
            });
        }
        let (mut source, mut notes) = format.open(data, label)?;
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
        let columns = match parts.further.iter().any(|key| key == NAMES) {
            true => Some(source.array(NAMES)?).filter(|names| names.kind.is_text()),
            false => None,
        };
        let columns = columns.map(|names| names.texts().collect::<Vec<_>>());
        let width = train
            .rows
            .shape
            .get(1..)
            .map(|sides| sides.iter().product());
        let columns = columns.filter(|names| Some(names.len()) == width);
        let unread: Vec<String> = parts
            .further
            .iter()
            .filter(|key| *key != NAMES)
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
            columns,
            notes,
        })
    }

    /// Whether rows are no images, but plain rows of numbers.
    pub fn is_flat(&self) -> bool {
        self.train.rows.shape.len() == 2
    }

    /// As rows of numbers. Validation rows follow the training rows; without test rows the validation rows
    /// are these, or else the last fifth (rounded down, at least one) of the training rows.
    pub fn rows(&self, columns: Option<Vec<String>>) -> Result<Files<Features>, DataError> {
        let tables = [Some(&self.train), self.valid.as_ref(), self.test.as_ref()];
        let (parts, said) = features(self, &tables)?;
        let files = self.files(parts, said)?;
        Ok(Files { columns, ..files })
    }

    /// As 8-bit images, their parts as those of [`Tables::rows`].
    pub fn images(mut self) -> Result<Files, DataError> {
        let path = self.path.clone();
        let there = [true, self.valid.is_some(), self.test.is_some()];
        let mut notes = Vec::new();
        let (mut arrays, mut labels) = (Vec::new(), Vec::new());
        for table in [
            Some(&mut self.train),
            self.valid.as_mut(),
            self.test.as_mut(),
        ]
        .into_iter()
        .flatten()
        {
            let (grid, note) = Grid::of_images(&path, &table.rows)?;
            notes.extend(note);
            labels.push(self.classes.numbers(&table.labels));
            // Their bytes become the pixels.
            let rows = std::mem::replace(&mut table.rows, Array::of_floats("", &[0], &[]));
            arrays.push((rows, grid));
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
        let parts = there.map(|there| if there { splits.next() } else { None });
        self.files(parts, notes)
    }

    /// The training and the test file that these parts make; `said` is to be said of them.
    fn files<R: RowSet>(
        &self,
        parts: [Option<R>; 3],
        said: Vec<String>,
    ) -> Result<Files<R>, DataError> {
        let mut notes = [&self.notes[..], &said].concat();
        let name = |pair: &Option<super::roles::Pair>| {
            pair.as_ref().map_or("", |pair| &pair.rows).to_owned()
        };
        let [Some(mut train), valid, test] = parts else {
            let path = self.path.clone();
            return Err(DataError::Empty { path });
        };
        let rows = R::ROWS;
        let (mut origin, mut brought) = (Origin::Files, 0);
        let test = match (valid, test) {
            (Some(valid), Some(test)) => {
                brought = valid.count();
                notes.push(format!(
                    "the {brought} {rows} of `{}` follow the training {rows}: `valid` = {brought} takes just \
                     them for validation",
                    name(&self.parts.valid),
                ));
                train.append(valid);
                test
            }
            (Some(valid), None) => {
                notes.push(format!(
                    "there are no test {rows}: those of `{}` are",
                    name(&self.parts.valid)
                ));
                valid
            }
            (None, Some(test)) => test,
            (None, None) => {
                origin = Origin::OneFile;
                let count = (train.count() / 5).max(1);
                notes.push(format!(
                    "there are no test {rows}: the last fifth of `{}`, {count} {rows}, is taken for them",
                    self.parts.train.rows
                ));
                train.split_off(train.count() - count)
            }
        };
        Ok(Files {
            train,
            test,
            class_names: self.classes.names.clone(),
            normalise: None,
            columns: None,
            notes,
            origin,
            valid: brought,
        })
    }
}

/// Parts of `tables` as rows of numbers, all with the columns and the kind of values of the first, and what
/// is to be said of them.
pub(crate) fn features<const N: usize>(
    tables: &Tables,
    parts: &[Option<&Table>; N],
) -> Result<([Option<Features>; N], Vec<String>), DataError> {
    let path = &tables.path;
    let mut grids = Vec::new();
    for table in parts.iter().flatten() {
        grids.push((&table.rows, Grid::of(path, &table.rows)?));
    }
    let (values, mut said) = rows::features(path, &grids)?;
    let mut values = values.into_iter().zip(&grids);
    let made = parts.map(|table| {
        let (table, (values, (_, grid))) = (table?, values.next()?);
        Some(Features {
            values,
            rows: grid.rows,
            columns: grid.columns(),
            shape: grid.shape(),
            layout: grid.layout,
            labels: tables.classes.numbers(&table.labels),
            class_names: tables.classes.names.clone(),
        })
    });
    let first = made.iter().flatten().next().map(describe);
    for part in made.iter().flatten() {
        let found = describe(part);
        if let Some(expected) = first.clone().filter(|first| *first != found) {
            return Err(DataError::Shape {
                path: path.clone(),
                expected,
                found,
            });
        }
    }
    let train = made.iter().flatten().next();
    said.extend(
        train
            .into_iter()
            .flat_map(|train| columns::notes(train, tables.columns.as_deref())),
    );
    Ok((made, said))
}

fn describe(set: &Features) -> String {
    let sizes = set
        .shape
        .map_or(set.columns.to_string(), |s| dimensions(&s));
    match set.values {
        Values::Bytes(_) => format!("{sizes} of uint8"),
        Values::Floats(_) => format!("{sizes} of floats"),
    }
}
