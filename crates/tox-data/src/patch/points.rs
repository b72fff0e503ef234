//! The arrays of a patch: what they must hold, and how a file holds them.

use std::io::Cursor;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::error::PatchError;
use super::manifest::{Kind, Manifest, Units};
use crate::features::sets::Features;
use crate::format::array::Values;
use crate::format::npz::{self, Archive, Elements, Item};

/// Formats of a patch file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Npz,
    SafeTensors,
}

impl Format {
    /// The format that the name `path` asks for.
    pub fn of(path: &Path) -> Result<Self, PatchError> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        match extension.to_str() {
            Some("npz") => Ok(Format::Npz),
            Some("safetensors") => Ok(Format::SafeTensors),
            _ => Err(PatchError::Extension {
                path: path.to_path_buf(),
            }),
        }
    }
}

/// The arrays.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Points {
    pub indices: Vec<u64>,
    pub labels: Vec<u16>,
    /// None: the rows keep their values.
    pub values: Option<Values>,
}

impl Points {
    /// Whether these are points as `manifest` describes them; if not, what is wrong.
    pub fn check(&self, manifest: &Manifest) -> Result<(), String> {
        let (n, columns) = (manifest.points, manifest.columns);
        if n == 0 || columns == 0 {
            return Err(format!(
                "{n} points of {columns} columns, expected at least one"
            ));
        }
        if self.indices.len() != n || self.labels.len() != n {
            let (indices, labels) = (self.indices.len(), self.labels.len());
            return Err(format!(
                "{indices} indices and {labels} labels, expected {n} of each"
            ));
        }
        let kind = Kind::of(self.values.as_ref());
        if kind != manifest.values {
            let expected = manifest.values;
            return Err(format!("values of kind {kind}, expected {expected}"));
        }
        if kind == Kind::Uint8 && manifest.units == Units::Own {
            return Err("8-bit values, expected floats as the training set's".to_owned());
        }
        let found = match &self.values {
            None => None,
            Some(Values::Bytes(values)) => Some(values.len()),
            Some(Values::Floats(values)) => Some(values.len()),
        };
        if let Some(found) = found.filter(|&found| Some(found) != n.checked_mul(columns)) {
            return Err(format!("{found} values, expected {n} x {columns}"));
        }
        let sides = manifest.shape.into_iter().flatten();
        let product = sides.fold(1, usize::saturating_mul);
        if let Some(shape) = manifest.shape.filter(|_| product != columns) {
            return Err(format!("shape {shape:?} with {columns} columns"));
        }
        let (rows, classes) = (manifest.train_rows, manifest.classes);
        let mut sorted = self.indices.clone();
        sorted.sort_unstable();
        if let Some(last) = sorted.last().filter(|&&last| last >= rows as u64) {
            return Err(format!(
                "index {last}, expected one below the {rows} training rows"
            ));
        }
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("index {} more than once", pair[0]));
        }
        let wrong = self.labels.iter().find(|&&l| usize::from(l) >= classes);
        if let Some(label) = wrong {
            return Err(format!(
                "label {label}, expected one below the {classes} classes"
            ));
        }
        let right = |value: &f32| match manifest.units {
            Units::Unit => (0.0..=1.0).contains(value),
            Units::Own => value.is_finite(),
        };
        let Some(Values::Floats(values)) = &self.values else {
            return Ok(());
        };
        if let Some(at) = values.iter().position(|value| !right(value)) {
            let expected = match manifest.units {
                Units::Unit => "0 to 1 (pixel / 255)",
                Units::Own => "a finite number",
            };
            return Err(format!(
                "value {} of point {}, column {}, expected {expected}",
                values[at],
                at / columns,
                at % columns
            ));
        }
        Ok(())
    }

    /// Points whose label is not that of the row they replace.
    pub fn flipped(&self, train: &Features) -> usize {
        let pairs = self.indices.iter().zip(&self.labels);
        pairs
            .filter(|&(&index, label)| train.labels[index as usize] != *label)
            .count()
    }

    /// The bytes of a file of the format that the name `path` asks for.
    pub fn encode(&self, path: &Path) -> Result<Vec<u8>, PatchError> {
        let n = self.indices.len();
        let columns = match &self.values {
            None => 0,
            Some(Values::Bytes(values)) => values.len() / n,
            Some(Values::Floats(values)) => values.len() / n,
        };
        let shape = [n, columns];
        // Indices are below the number of rows in memory, so that they fit.
        let indices: Vec<i64> = self.indices.iter().map(|&index| index as i64).collect();
        let labels: Vec<i64> = self.labels.iter().map(|&label| i64::from(label)).collect();
        let failed = |source| PatchError::Write {
            path: path.to_path_buf(),
            source,
        };
        if Format::of(path)? == Format::Npz {
            let item = |key, shape: &[usize], elements| Item {
                key,
                shape: shape.to_vec(),
                elements,
            };
            let mut items = vec![
                item("indices", &shape[..1], Elements::Integers(indices)),
                item("labels", &shape[..1], Elements::Integers(labels)),
            ];
            items.extend(self.values.as_ref().map(|values| {
                let elements = match values {
                    Values::Bytes(values) => Elements::Bytes(values),
                    Values::Floats(values) => Elements::Floats(values),
                };
                item("values", &shape, elements)
            }));
            let file = npz::write(Cursor::new(Vec::new()), &items).map_err(failed)?;
            return Ok(file.into_inner());
        }
        let integers = |values: &[i64]| -> Vec<u8> {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        };
        let mut parts = vec![
            ("indices", Dtype::I64, &shape[..1], integers(&indices)),
            ("labels", Dtype::I64, &shape[..1], integers(&labels)),
        ];
        parts.extend(self.values.as_ref().map(|values| match values {
            Values::Bytes(values) => ("values", Dtype::U8, &shape[..], values.clone()),
            Values::Floats(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                ("values", Dtype::F32, &shape[..], bytes.collect())
            }
        }));
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            Ok((*name, TensorView::new(*dtype, shape.to_vec(), bytes)?))
        });
        views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| serialize(views, None))
            .map_err(|error| failed(std::io::Error::other(error)))
    }

    /// The arrays in `bytes`, the contents of `path`, and the number of columns of the values, if
    /// there are any.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<(Self, Option<usize>), PatchError> {
        let damaged = |what: String| PatchError::Damaged {
            path: path.to_path_buf(),
            what,
        };
        let (indices, labels): (Vec<i128>, Vec<i128>);
        let values: Option<(Values, Vec<usize>)>;
        match Format::of(path)? {
            Format::Npz => {
                let mut archive =
                    Archive::new(path, Cursor::new(bytes), "indices, labels and values")?;
                indices = archive.array("indices")?.integers(path)?.collect();
                labels = archive.array("labels")?.integers(path)?.collect();
                values = match archive.has("values") {
                    false => None,
                    true => {
                        let array = archive.array("values")?;
                        let shape = array.shape.clone();
                        Some((array.values(path)?, shape))
                    }
                };
            }
            Format::SafeTensors => {
                let bad = |error: safetensors::SafeTensorError| damaged(error.to_string());
                let file = SafeTensors::deserialize(bytes).map_err(bad)?;
                let tensor = |name: &str, dtype: Dtype| {
                    let view = file.tensor(name).map_err(bad)?;
                    match view.dtype() == dtype {
                        true => Ok(view),
                        false => Err(damaged(format!(
                            "`{name}` is {:?}, expected {dtype:?}",
                            view.dtype()
                        ))),
                    }
                };
                let integers = |name: &str| -> Result<Vec<i128>, PatchError> {
                    let view = tensor(name, Dtype::I64)?;
                    let (words, _) = view.data().as_chunks::<8>();
                    let value = |word: &[u8; 8]| i128::from(i64::from_le_bytes(*word));
                    Ok(words.iter().map(value).collect())
                };
                indices = integers("indices")?;
                labels = integers("labels")?;
                values = match file.tensor("values") {
                    Err(_) => None,
                    Ok(view) if view.dtype() == Dtype::U8 => {
                        Some((Values::Bytes(view.data().to_vec()), view.shape().to_vec()))
                    }
                    Ok(_) => {
                        let view = tensor("values", Dtype::F32)?;
                        let (words, _) = view.data().as_chunks::<4>();
                        let floats = words.iter().map(|word| f32::from_le_bytes(*word));
                        Some((Values::Floats(floats.collect()), view.shape().to_vec()))
                    }
                };
            }
        }
        let columns = match &values {
            None => None,
            Some((_, shape)) => match shape[..] {
                [_, columns] => Some(columns),
                _ => {
                    return Err(damaged(format!(
                        "values of shape {shape:?}, expected (points, columns)"
                    )));
                }
            },
        };
        let outside = |what: &str, value: i128| damaged(format!("{what} {value} out of range"));
        let index = |&value| u64::try_from(value).map_err(|_| outside("index", value));
        let label = |&value| u16::try_from(value).map_err(|_| outside("label", value));
        let points = Self {
            indices: indices.iter().map(index).collect::<Result<_, _>>()?,
            labels: labels.iter().map(label).collect::<Result<_, _>>()?,
            values: values.map(|(values, _)| values),
        };
        Ok((points, columns))
    }
}
