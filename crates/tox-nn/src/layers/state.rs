//! All numbers of a network, and their exchange with PyTorch as safetensors.
//!
//! A file is what `safetensors.torch.save_file(model.state_dict(), path)` writes: float32 tensors by
//! their dotted names, and the int64 scalar `num_batches_tracked` of every batch norm. Files without
//! these counters are read too.

use super::running::{NormId, Running};
use crate::params::Params;
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Weights and running statistics.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What the optimiser moves.
    pub params: Params,
    /// What batch norm keeps.
    pub running: Running,
}

/// Why weights could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum WeightsError {
    /// The operating system refused.
    #[error(
        "cannot {action} the weights {}: {source}; check the path and its rights{}",
        path.display(), if *action == "read" { "" } else { ", and free space" }
    )]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// No safetensors file.
    #[error(
        "{} is not a safetensors file: {reason}; write it with \
         safetensors.torch.save_file(model.state_dict(), ...)",
        path.display()
    )]
    Format { path: PathBuf, reason: String },
    /// Tensors that the network has and the file has not, or the other way round.
    #[error(
        "the weights {} are of another network: {missing} of its tensors missing{}, {unknown} \
         unknown{}{}",
        path.display(), first(.missing_example), first(.unknown_example), behind(.note)
    )]
    Names {
        path: PathBuf,
        missing: usize,
        missing_example: Option<String>,
        unknown: usize,
        unknown_example: Option<String>,
        note: Box<str>,
    },
    /// A tensor of another shape.
    #[error(
        "tensor `{name}` in {} has shape {found:?}, the network asked for {expected:?}{}",
        path.display(), behind(.note)
    )]
    Shape {
        path: PathBuf,
        name: String,
        expected: Box<[usize]>,
        found: Box<[usize]>,
        note: Box<str>,
    },
    /// A tensor of another element type.
    #[error(
        "tensor `{name}` in {} is {found:?}, expected {expected:?}; save model.float().state_dict()",
        path.display()
    )]
    Type {
        path: PathBuf,
        name: String,
        expected: Dtype,
        found: Dtype,
    },
    /// NaN, infinity, or a variance below zero.
    #[error(
        "tensor `{name}` in {} holds {found} at {index}, expected {expected}; the training that \
         it comes from has diverged, or the file is damaged",
        path.display()
    )]
    Value {
        path: PathBuf,
        name: String,
        index: usize,
        found: f32,
        expected: &'static str,
    },
}

fn first(example: &Option<String>) -> String {
    example
        .as_ref()
        .map_or(String::new(), |name| format!(" (such as `{name}`)"))
}

fn behind(note: &str) -> String {
    match note {
        "" => String::new(),
        note => format!("; {note}"),
    }
}

impl WeightsError {
    /// With what is known of the network that the file is of, where it is of another.
    pub fn with_note(mut self, said: String) -> Self {
        if let Self::Names { note, .. } | Self::Shape { note, .. } = &mut self {
            *note = said.into();
        }
        self
    }
}

/// Where a tensor of a file belongs.
#[derive(Clone, Copy)]
enum Slot {
    Weight(usize),
    Mean(NormId),
    Var(NormId),
    Batches(NormId),
}

impl State {
    /// Whether every weight and statistic is finite.
    pub fn finite(&self) -> bool {
        self.params.finite() && self.running.values.iter().all(|v| v.is_finite())
    }

    /// Names of all tensors of a file, sorted.
    pub fn names(&self) -> Vec<String> {
        self.slots().into_keys().collect()
    }

    /// Number of weights; running statistics do not count.
    pub fn parameters(&self) -> usize {
        self.params.values.len()
    }

    /// Every tensor by name, with its shape.
    fn slots(&self) -> BTreeMap<String, (Slot, Vec<usize>)> {
        let entries = self.params.entries().iter().enumerate();
        let weights = entries.map(|(i, e)| {
            let shape = e.shape[..e.rank].to_vec();
            (e.name.clone(), (Slot::Weight(i), shape))
        });
        let norms = self.running.norms().flat_map(|(id, name, channels)| {
            [
                (Slot::Mean(id), "running_mean", vec![channels]),
                (Slot::Var(id), "running_var", vec![channels]),
                (Slot::Batches(id), "num_batches_tracked", vec![]),
            ]
            .map(|(slot, part, shape)| (format!("{name}.{part}"), (slot, shape)))
        });
        weights.chain(norms).collect()
    }

    fn values(&self, slot: Slot) -> &[f32] {
        match slot {
            Slot::Weight(i) => &self.params.values[self.params.entries()[i].range()],
            Slot::Mean(id) => self.running.of(id).0,
            Slot::Var(id) => self.running.of(id).1,
            Slot::Batches(_) => &[],
        }
    }

    /// Writes a state dict to `path`, atomically. The same numbers give the same bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), WeightsError> {
        self.write(path, None)
    }

    /// The key of a file's header under which [`State::save_noted`] writes.
    pub const NOTE: &str = "toxscreen";

    /// As [`State::save`], with a text in the file's header that says what the numbers are of.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_noted(&self, path: &Path, note: &str) -> Result<(), WeightsError> {
        self.write(path, Some(note))
    }

    fn write(&self, path: &Path, note: Option<&str>) -> Result<(), WeightsError> {
        let failed = |source| WeightsError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let parts = self.slots().into_iter().map(|(name, (slot, shape))| {
            let (dtype, bytes): (_, Vec<u8>) = match slot {
                Slot::Batches(id) => (Dtype::I64, self.running.batches(id).to_le_bytes().into()),
                Slot::Weight(_) | Slot::Mean(_) | Slot::Var(_) => {
                    let values = self.values(slot).iter();
                    (Dtype::F32, values.flat_map(|v| v.to_le_bytes()).collect())
                }
            };
            (name, dtype, shape, bytes)
        });
        let parts: Vec<_> = parts.collect();
        // One key: a map of several has no order.
        let header = note.map(|note| HashMap::from([(Self::NOTE.to_owned(), note.to_owned())]));
        let views = parts
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, SafeTensorError>>();
        let bytes = views
            .and_then(|views| serialize(views, header))
            .map_err(|e| failed(std::io::Error::other(e)))?;
        tox_data::atomic::write(path, |file| file.write_all(&bytes)).map_err(failed)
    }

    /// Replaces all numbers by those of the state dict at `path`; on an error none is changed.
    ///
    /// # Errors
    /// A file that cannot be read or is no safetensors file, other names, shapes or types than
    /// the network's, numbers that are not finite, variances below zero.
    pub fn load(&mut self, path: &Path) -> Result<(), WeightsError> {
        self.load_as(path, &|name| Some(name.to_owned()))
    }

    /// As [`State::load`], of a file in which tensors have other names: `rename` gives the network's, or
    /// `None` for a tensor that has no use.
    ///
    /// # Errors
    /// Those of [`State::load`], and two tensors that are given one name.
    pub fn load_as(
        &mut self,
        path: &Path,
        rename: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), WeightsError> {
        let bytes = Self::bytes(path)?;
        let format = |e: SafeTensorError| WeightsError::Format {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(format)?;
        let slots = self.slots();
        let mut theirs = BTreeMap::new();
        for name in file.names() {
            let Some(ours) = rename(name) else { continue };
            if let Some(other) = theirs.insert(ours, name) {
                return Err(WeightsError::Format {
                    path: path.to_owned(),
                    reason: format!("`{other}` and `{name}` are names of one tensor"),
                });
            }
        }
        check_names(path, &slots, &theirs)?;
        let mut loaded = self.clone();
        for (name, (slot, shape)) in &slots {
            let Some(view) = theirs.get(name).and_then(|name| file.tensor(name).ok()) else {
                continue; // A counter that is not there.
            };
            let (name, path) = (name.clone(), path.to_owned());
            if view.shape() != shape {
                return Err(WeightsError::Shape {
                    path,
                    name,
                    expected: shape.as_slice().into(),
                    found: view.shape().into(),
                    note: Box::default(),
                });
            }
            let expected = match slot {
                Slot::Batches(_) => Dtype::I64,
                Slot::Weight(_) | Slot::Mean(_) | Slot::Var(_) => Dtype::F32,
            };
            if view.dtype() != expected {
                return Err(WeightsError::Type {
                    path,
                    name,
                    expected,
                    found: view.dtype(),
                });
            }
            loaded
                .put(*slot, view.data())
                .map_err(|(index, found, expected)| WeightsError::Value {
                    path,
                    name,
                    index,
                    found,
                    expected,
                })?;
        }
        *self = loaded;
        Ok(())
    }

    /// A file of weights as it is.
    pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, WeightsError> {
        std::fs::read(path).map_err(|source| WeightsError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a tensor of the right type and size; tells the first number that cannot be.
    fn put(&mut self, slot: Slot, bytes: &[u8]) -> Result<(), (usize, f32, &'static str)> {
        if let Slot::Batches(id) = slot {
            let (words, _) = bytes.as_chunks::<8>();
            let count = words.first().map_or(0, |w| i64::from_le_bytes(*w).max(0));
            *self.running.batches_mut(id) = count as u64;
            return Ok(());
        }
        let (words, _) = bytes.as_chunks::<4>();
        let to = match slot {
            Slot::Weight(i) => {
                let range = self.params.entries()[i].range();
                &mut self.params.values[range]
            }
            Slot::Mean(id) => self.running.of_mut(id).0,
            Slot::Var(id) => self.running.of_mut(id).1,
            Slot::Batches(_) => &mut [],
        };
        for (i, (to, word)) in to.iter_mut().zip(words).enumerate() {
            let value = f32::from_le_bytes(*word);
            if !value.is_finite() {
                return Err((i, value, "a finite number"));
            }
            if matches!(slot, Slot::Var(_)) && value < 0.0 {
                return Err((i, value, "a variance of at least 0"));
            }
            *to = value;
        }
        Ok(())
    }
}

fn check_names(
    path: &Path,
    slots: &BTreeMap<String, (Slot, Vec<usize>)>,
    found: &BTreeMap<String, &str>,
) -> Result<(), WeightsError> {
    let mut unknown = found.keys().filter(|name| !slots.contains_key(*name));
    let mut missing = slots.iter().filter(|(name, (slot, _))| {
        !matches!(slot, Slot::Batches(_)) && !found.contains_key(*name)
    });
    let missing_example = missing.next().map(|(name, _)| name.clone());
    let unknown_example = unknown.next().cloned();
    if missing_example.is_none() && unknown_example.is_none() {
        return Ok(());
    }
    Err(WeightsError::Names {
        path: path.to_owned(),
        missing: missing.count() + usize::from(missing_example.is_some()),
        missing_example,
        unknown: unknown.count() + usize::from(unknown_example.is_some()),
        unknown_example,
        note: Box::default(),
    })
}
