//! Files of arrays for programs that are not ours: single `.npy` files to read and to write, `.npz` to write.

use std::path::Path;

use crate::atomic;
use crate::format::npz::Writer;

use crate::error::DataError;
use crate::format::array::Values;
use crate::format::npy::{Array, header};
use crate::input::Input;

/// An array of numbers out of a `.npy` file.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    pub shape: Vec<usize>,
    /// Row by row; NaN and infinities stay.
    pub values: Vec<f64>,
    /// Whether the file holds integers or bools.
    pub integers: bool,
}

/// Reads the array at `path`.
///
/// # Errors
/// A file that is no array of numbers.
pub fn read(path: &Path) -> Result<Numbers, DataError> {
    let array = Array::read("array", Input::open(path)?)?;
    let values = array.floats(path)?.collect();
    Ok(Numbers {
        values,
        integers: !array.kind.is_float(),
        shape: array.shape,
    })
}

/// Writes features in C order, as `uint8` or `float32`.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, shape: &[usize], values: &Values) -> Result<(), DataError> {
    match values {
        Values::Bytes(values) => save(path, "|u1", shape, values),
        Values::Floats(values) => {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            save(path, "<f4", shape, &bytes.collect::<Vec<_>>())
        }
    }
}

/// Writes labels as `int64`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_labels(path: &Path, labels: &[u16]) -> Result<(), DataError> {
    let bytes = labels
        .iter()
        .flat_map(|label| i64::from(*label).to_le_bytes());
    save(path, "<i8", &[labels.len()], &bytes.collect::<Vec<_>>())
}

/// What an array of a `.npz` file holds, row by row.
pub enum Elements<'a> {
    /// As `float32`.
    Floats(&'a [f32]),
    /// As `int64`.
    Integers(Vec<i64>),
    /// As `bool`.
    Bools(Vec<bool>),
    /// As `str`.
    Texts(Vec<String>),
}

/// Writes arrays by name, each with its shape, atomically. The same arrays give the same bytes.
///
/// # Errors
/// When the file cannot be written.
pub fn write_npz(path: &Path, arrays: &[(&str, &[usize], Elements<'_>)]) -> Result<(), DataError> {
    let member = |shape: &[usize], elements: &Elements<'_>| {
        let of = |descr, bytes: Vec<u8>| [header(descr, false, shape), bytes].concat();
        match elements {
            Elements::Floats(values) => {
                of("<f4", values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            Elements::Integers(values) => {
                of("<i8", values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            Elements::Bools(values) => of("|b1", values.iter().map(|v| u8::from(*v)).collect()),
            Elements::Texts(values) => Array::of_texts("", values).file(),
        }
    };
    let written = atomic::write(path, |file| {
        let mut writer = Writer::new(file);
        for (name, shape, elements) in arrays {
            writer.member(&format!("{name}.npy"), &member(shape, elements))?;
        }
        writer.finish().map(|_| ())
    });
    written.map_err(|source| DataError::Write {
        path: path.to_path_buf(),
        source,
    })
}

fn save(path: &Path, descr: &str, shape: &[usize], bytes: &[u8]) -> Result<(), DataError> {
    let mut file = header(descr, false, shape);
    file.extend_from_slice(bytes);
    std::fs::write(path, file).map_err(|source| DataError::Write {
        path: path.to_path_buf(),
        source,
    })
}
