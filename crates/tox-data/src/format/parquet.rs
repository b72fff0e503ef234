//! Parquet: tables of numbers, and the images of Hugging Face's `datasets`, each a structure of `bytes` and `path`.

use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array as Column, RecordBatch};
use arrow_schema::{DataType, Fields};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder as Builder;

use super::csv::label_column;
use super::labels::{Classes, Labels};
use super::npy::Array;
use super::picture;
use super::pictures::Pictures;
use crate::error::DataError;
use crate::files::{Files, Origin};
use crate::input::MAX_BYTES;
use crate::row_set::RowSet;

/// A column of pandas' that counts or names the rows.
const INDEX: &str = "__index_level_";

/// An open file.
struct Opened {
    builder: Builder<File>,
    names: Vec<String>,
    kinds: Vec<DataType>,
    /// The column of classes with their names, as `datasets` writes it.
    classes: Option<(usize, Vec<String>)>,
}

impl Opened {
    fn of(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        let builder = Builder::try_new(file).map_err(|e| broken(path, e))?;
        let fields: &Fields = &builder.schema().fields;
        let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let kinds = fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let metadata = builder.metadata().file_metadata().key_value_metadata();
        let said = metadata
            .into_iter()
            .flatten()
            .find(|pair| pair.key == "huggingface");
        let said = said.and_then(|pair| serde_json::from_str(pair.value.as_ref()?).ok());
        let said: serde_json::Value = said.unwrap_or_default();
        let class = |(at, name): (usize, &String)| {
            let feature = &said["info"]["features"][name];
            let names = feature["names"].as_array()?.iter();
            let names: Option<Vec<String>> = names.map(|n| Some(n.as_str()?.to_owned())).collect();
            (feature["_type"] == "ClassLabel").then_some((at, names?))
        };
        let classes = names.iter().enumerate().find_map(class);
        Ok(Self {
            builder,
            names,
            kinds,
            classes,
        })
    }

    /// The first column of images.
    fn images(&self) -> Option<usize> {
        let is_bytes = |kind: &DataType| {
            matches!(
                kind,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView
            )
        };
        self.kinds.iter().position(|kind| match kind {
            DataType::Struct(fields) => fields
                .iter()
                .any(|field| field.name() == "bytes" && is_bytes(field.data_type())),
            _ => false,
        })
    }

    /// The column of labels: the one asked for, that of classes, or that of a usual name.
    fn label(
        &self,
        path: &Path,
        label: Option<&str>,
        notes: &mut Vec<String>,
    ) -> Result<usize, DataError> {
        match (label, &self.classes) {
            (None, Some((at, _))) => {
                let name = &self.names[*at];
                notes.push(format!("the labels are those of the column `{name}`"));
                Ok(*at)
            }
            _ => label_column(path, label, true, &self.names, notes),
        }
    }

    /// The names of the classes of the column `at`.
    fn class_names(&self, at: usize) -> Option<Vec<String>> {
        let classes = self.classes.as_ref().filter(|(column, _)| *column == at);
        classes.map(|(_, names)| names.clone())
    }

    /// Calls `each` with every batch of the columns `columns`, and the number of its first row.
    fn batches(
        self,
        path: &Path,
        columns: &[usize],
        mut each: impl FnMut(usize, &RecordBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mask = ProjectionMask::roots(self.builder.parquet_schema(), columns.iter().copied());
        let reader = self.builder.with_projection(mask).build();
        let mut row = 0;
        for batch in reader.map_err(|e| broken(path, e))? {
            let batch = batch.map_err(|e| broken(path, e))?;
            each(row, &batch)?;
            row += batch.num_rows();
        }
        Ok(())
    }
}

fn broken(path: &Path, error: impl std::fmt::Display) -> DataError {
    DataError::Parquet {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}

/// Whether the file at `path` holds images.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn holds_images(path: &Path) -> Result<bool, DataError> {
    Ok(Opened::of(path)?.images().is_some())
}

/// The table at `path` as the arrays that a table of text gives, and what is to be said of it.
///
/// # Errors
/// A file that cannot be read, a column of another type, a value that is missing.
pub(crate) fn table(
    path: &Path,
    label: Option<&str>,
) -> Result<(Vec<Array>, Vec<String>), DataError> {
    let opened = Opened::of(path)?;
    let mut notes = Vec::new();
    let at = opened.label(path, label, &mut notes)?;
    let names = opened.names.clone();
    let class_names = opened.class_names(at);
    let (index, columns): (Vec<usize>, Vec<usize>) = (0..names.len())
        .filter(|column| *column != at)
        .partition(|column| names[*column].starts_with(INDEX));
    if !index.is_empty() {
        notes.push("the index of pandas is left out".to_owned());
    }
    let rows = opened.builder.metadata().file_metadata().num_rows();
    let claimed = u128::try_from(rows).unwrap_or(u128::MAX) * 8 * columns.len() as u128;
    if claimed > u128::from(MAX_BYTES) {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "numbers".to_owned(),
            claimed: claimed.to_string(),
            limit: MAX_BYTES,
        });
    }
    if rows <= 0 || columns.is_empty() {
        let path = path.to_path_buf();
        return Err(DataError::Empty { path });
    }
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
    let mut labels = Cells::Numbers(Vec::new());
    let mut read = [&columns[..], &[at]].concat();
    read.sort_unstable();
    opened.batches(path, &read, |first, batch| {
        let column = |at: usize| {
            let place = read.iter().position(|column| *column == at).unwrap_or(0);
            (
                batch.column(place).as_ref(),
                Place {
                    path,
                    name: &names[at],
                    first,
                },
            )
        };
        for (values, at) in values.iter_mut().zip(&columns) {
            let (column, place) = column(*at);
            values.extend(place.numbers(column)?);
        }
        let (column, place) = column(at);
        labels.extend(place.labels(column)?);
        Ok(())
    })?;
    let count = values[0].len();
    let numbers: Vec<f64> = (0..count)
        .flat_map(|row| values.iter().map(move |column| column[row]))
        .collect();
    let features: Vec<String> = columns.iter().map(|at| names[*at].clone()).collect();
    let mut arrays = vec![
        Array::of_floats("x", &[count, columns.len()], &numbers),
        labels.array(path, &names[at])?,
        Array::of_texts("feature_names", &features),
    ];
    arrays.extend(class_names.map(|names| Array::of_texts("class_names", &names)));
    Ok((arrays, notes))
}

/// The images at `path`; the last fifth of the rows (rounded down, at least one) is the test set. `resize`
/// (pixels) is applied to each image as it is read.
///
/// # Errors
/// A file or an image that cannot be read, an image or a label that is missing.
pub(crate) fn images(
    path: &Path,
    label: Option<&str>,
    resize: Option<usize>,
) -> Result<Files, DataError> {
    let opened = Opened::of(path)?;
    let mut notes = Vec::new();
    let Some(image) = opened.images() else {
        let path = path.to_path_buf();
        return Err(DataError::TableImages { path });
    };
    let at = opened.label(path, label, &mut notes)?;
    let names = opened.names.clone();
    let class_names = opened.class_names(at);
    let mut pictures = Pictures::new(resize);
    let mut labels = Cells::Numbers(Vec::new());
    let mut read = vec![image, at];
    read.sort_unstable();
    let unread: Vec<String> = (0..names.len())
        .filter(|column| !read.contains(column))
        .map(|column| names[column].clone())
        .collect();
    if !unread.is_empty() {
        notes.push(format!(
            "columns that are not used: {}",
            super::some(&unread)
        ));
    }
    opened.batches(path, &read, |first, batch| {
        let (pixels, given) = match image < at {
            true => (batch.column(0), batch.column(1)),
            false => (batch.column(1), batch.column(0)),
        };
        let place = Place { path, name: &names[image], first };
        let files = pixels.as_struct().column_by_name("bytes");
        for row in 0..batch.num_rows() {
            let file = files.filter(|_| pixels.is_valid(row));
            let Some(bytes) = file.and_then(|file| bytes(file.as_ref(), row)) else {
                return Err(place.wrong(
                    row,
                    "no image".to_owned(),
                    "expected its bytes, and not a path alone: write it with datasets' to_parquet, which \
                     puts them in",
                ));
            };
            let name = path.join(format!("row {}", first + row));
            pictures.push(&name, picture::decode_bytes(&name, bytes)?, 0)?;
        }
        let place = Place { path, name: &names[at], first };
        labels.extend(place.labels(given.as_ref())?);
        Ok(())
    })?;
    notes.extend(pictures.notes());
    let mut train = pictures.finish();
    if train.is_empty() {
        let path = path.to_path_buf();
        return Err(DataError::Empty { path });
    }
    let array = labels.array(path, &names[at])?;
    let labels = Labels::read(path, array, (&names[image], train.len()))?;
    let (classes, said) = Classes::of(path, &[&labels], class_names)?;
    notes.extend(said);
    train.labels = classes.numbers(&labels);
    let count = (train.len() / 5).max(1);
    notes.push(format!(
        "there are no test images: the last fifth of the rows, {count} images, is taken for them"
    ));
    let test = train.split_off(train.len() - count);
    Ok(Files {
        notes,
        ..Files::of([train, test], classes.names, Origin::OneFile)
    })
}

/// The bytes at `row` of a column of them; none where there are none.
fn bytes(column: &dyn Column, row: usize) -> Option<&[u8]> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Binary => Some(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => Some(column.as_binary_view().value(row)),
        _ => None,
    }
}

/// A stretch of a column, for messages.
struct Place<'a> {
    path: &'a Path,
    name: &'a str,
    /// Number of its first row.
    first: usize,
}

/// Calls `$read` with the column as an array of primitives of its type; `None` for other types.
macro_rules! primitives {
    ($column:expr, $read:expr, [$($kind:ident: $of:ty,)*]) => {
        match $column.data_type() {
            $(DataType::$kind => Some($column.as_primitive::<$of>().iter().map($read).collect()),)*
            _ => None,
        }
    };
}

impl Place<'_> {
    fn wrong(&self, row: usize, found: String, reason: &'static str) -> DataError {
        DataError::Value {
            path: self.path.to_path_buf(),
            row: self.first + row,
            column: self.name.into(),
            found: found.into(),
            reason,
        }
    }

    /// Whole numbers of a column of integers or bools.
    fn integers(column: &dyn Column) -> Option<Vec<Option<i128>>> {
        if *column.data_type() == DataType::Boolean {
            let bools = column.as_boolean().iter();
            return Some(bools.map(|value| value.map(i128::from)).collect());
        }
        primitives!(column, |value| value.map(i128::from), [
            Int8: Int8Type, Int16: Int16Type, Int32: Int32Type, Int64: Int64Type,
            UInt8: UInt8Type, UInt16: UInt16Type, UInt32: UInt32Type, UInt64: UInt64Type,
        ])
    }

    fn floats(column: &dyn Column) -> Option<Vec<Option<f64>>> {
        primitives!(column, |value| value.map(f64::from), [
            Float16: Float16Type, Float32: Float32Type, Float64: Float64Type,
        ])
    }

    /// Texts of a column of them, plain or as categories.
    fn texts(column: &dyn Column) -> Option<Vec<Option<String>>> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().iter().map(own).collect(),
            DataType::LargeUtf8 => column.as_string::<i64>().iter().map(own).collect(),
            DataType::Utf8View => column.as_string_view().iter().map(own).collect(),
            DataType::Dictionary(..) => {
                let column = column.as_any_dictionary();
                let values = Self::texts(column.values().as_ref())?;
                if values.is_empty() {
                    return Some(vec![None; column.len()]);
                }
                let keys = column.normalized_keys();
                let of = |(row, key): (usize, &usize)| match column.is_null(row) {
                    true => None,
                    false => values.get(*key).cloned().flatten(),
                };
                keys.iter().enumerate().map(of).collect()
            }
            _ => return None,
        })
    }

    /// The column as finite numbers.
    fn numbers(&self, column: &dyn Column) -> Result<Vec<f64>, DataError> {
        let whole = || {
            Some(
                Self::integers(column)?
                    .into_iter()
                    .map(|v| v.map(|v| v as f64))
                    .collect(),
            )
        };
        let Some(values): Option<Vec<Option<f64>>> = Self::floats(column).or_else(whole) else {
            return Err(DataError::ColumnType {
                path: self.path.to_path_buf(),
                column: self.name.to_owned(),
                found: column.data_type().to_string(),
                expected: "numbers: encode text as numbers first (pandas: df = pd.get_dummies(df)), drop the \
                           column, or name the column of labels (--label, in a recipe label under [data])",
            });
        };
        let rows = values.into_iter().enumerate();
        rows.map(|(row, value)| match value {
            Some(value) if value.is_finite() => Ok(value),
            Some(value) => Err(self.wrong(row, value.to_string(), MISSING)),
            None => Err(self.wrong(row, "null".to_owned(), MISSING)),
        })
        .collect()
    }

    fn labels(&self, column: &dyn Column) -> Result<Cells, DataError> {
        fn whole<T>(place: &Place, values: Vec<Option<T>>) -> Result<Vec<T>, DataError> {
            let rows = values.into_iter().enumerate();
            rows.map(|(row, value)| {
                value.ok_or_else(|| place.wrong(row, "null".to_owned(), MISSING))
            })
            .collect()
        }
        if let Some(texts) = Self::texts(column) {
            return whole(self, texts).map(Cells::Texts);
        }
        if let Some(values) = Self::integers(column) {
            return whole(self, values).map(Cells::Numbers);
        }
        let Some(values) = Self::floats(column) else {
            return Err(DataError::ColumnType {
                path: self.path.to_path_buf(),
                column: self.name.to_owned(),
                found: column.data_type().to_string(),
                expected: "labels, which are whole numbers, bools or text; another column is named with \
                           --label, in a recipe label under [data]",
            });
        };
        let values = whole(self, values)?.into_iter().enumerate();
        let number = |(row, value): (usize, f64)| {
            match value.fract() == 0.0 && value.abs() < 1e15 {
            true => Ok(value as i128),
            false => Err(self.wrong(
                row,
                value.to_string(),
                "a measurement is no class: name the column of labels (--label, in a recipe label under \
                 [data]), or make classes of it first",
            )),
        }
        };
        values
            .map(number)
            .collect::<Result<_, _>>()
            .map(Cells::Numbers)
    }
}

/// Why a row cannot be used.
const MISSING: &str = "expected a value: drop the row or fill it in (pandas: df = df.dropna())";

/// The labels of a file.
enum Cells {
    Numbers(Vec<i128>),
    Texts(Vec<String>),
}

impl Cells {
    /// Adds the labels of the next rows, which are of the same column.
    fn extend(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::Numbers(all), Self::Numbers(more)) => all.extend(more),
            (Self::Texts(all), Self::Texts(more)) => all.extend(more),
            (_, more) => *self = more,
        }
    }

    fn array(self, path: &Path, column: &str) -> Result<Array, DataError> {
        match self {
            Self::Texts(texts) => Ok(Array::of_texts("y", &texts)),
            Self::Numbers(numbers) => {
                let number = |(row, value): (usize, i128)| {
                    i64::try_from(value).map_err(|_| DataError::Value {
                        path: path.to_path_buf(),
                        row,
                        column: column.into(),
                        found: value.to_string().into(),
                        reason: "expected a label below 2^63",
                    })
                };
                let numbers: Result<Vec<i64>, DataError> =
                    numbers.into_iter().enumerate().map(number).collect();
                Ok(Array::of_integers("y", &numbers?))
            }
        }
    }
}
