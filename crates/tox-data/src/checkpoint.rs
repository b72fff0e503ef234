//! Checkpoints of a long computation: flat f32 buffers and a JSON header in one safetensors file.

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::atomic;

/// Key of the JSON header among the metadata.
const HEADER: &str = "toxscreen";

/// What the surroundings give a computation: where to save, when to stop, whom to tell.
pub struct Hooks<'a> {
    /// The checkpoint file; read at the start if it is there.
    pub checkpoint: &'a Path,
    /// All that the outcome depends on, as text; a checkpoint with another key is refused.
    pub key: &'a str,
    /// Time between two checkpoints; it does not change the outcome.
    pub save_every: Duration,
    /// Asked between steps; when true, the computation saves itself and ends without a result.
    pub stop: &'a mut dyn FnMut() -> bool,
    /// Told the share of the work done and what is going on.
    pub progress: &'a mut dyn FnMut(f64, &str),
}

/// A computation made of small steps, which a checkpoint can hold between any two of them.
pub trait Machine {
    /// What a checkpoint holds beside the buffers.
    type Header: DeserializeOwned;

    /// Whether nothing is left to do.
    fn done(&self) -> bool;

    /// The next small step; tells its progress as [`Hooks::progress`] wants it.
    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str));

    /// Writes all that the next steps depend on, with [`write`].
    ///
    /// # Errors
    /// When the file cannot be written.
    fn save(&mut self, path: &Path) -> Result<(), CheckpointError>;

    /// Goes on from what [`Machine::save`] wrote.
    ///
    /// # Errors
    /// What is wrong with it, such as another key or buffers of other lengths.
    fn resume(&mut self, header: Self::Header, buffers: Buffers) -> Result<(), String>;
}

/// Runs `machine` from its checkpoint, if there is one, to its end. False means that it was asked to
/// stop and has saved itself.
///
/// # Errors
/// When the checkpoint cannot be read or written, or belongs to something else.
pub fn drive<M: Machine>(machine: &mut M, hooks: &mut Hooks<'_>) -> Result<bool, CheckpointError> {
    let path = hooks.checkpoint;
    if let Some((header, buffers)) = read::<M::Header>(path)? {
        machine
            .resume(header, buffers)
            .map_err(|what| CheckpointError::Damaged {
                path: path.to_owned(),
                what,
            })?;
    }
    let mut saved = Instant::now();
    while !machine.done() {
        if (hooks.stop)() {
            machine.save(path)?;
            return Ok(false);
        }
        if saved.elapsed() >= hooks.save_every {
            machine.save(path)?;
            saved = Instant::now();
        }
        machine.advance(hooks.progress);
    }
    Ok(true)
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file could not be read or written.
    #[error("cannot {action} the checkpoint {}: {source}; free space or fix the folder's rights", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is not a checkpoint of this trial.
    #[error("the checkpoint {} is damaged or of another version ({what}); delete it and the trial starts anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// Writes header and buffers to `path`, atomically.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    path: &Path,
    header: &impl Serialize,
    buffers: &[(&str, &[f32])],
) -> Result<(), CheckpointError> {
    let io = |source| CheckpointError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let header = serde_json::to_string(header).map_err(|e| io(e.into()))?;
    let bytes: Vec<(&str, Vec<u8>)> = buffers
        .iter()
        .map(|(name, values)| (*name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            Ok((
                *name,
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|e| io(std::io::Error::other(e)))?;
    let metadata = HashMap::from([(HEADER.to_owned(), header)]);
    let file = serialize(views, Some(metadata)).map_err(|e| io(std::io::Error::other(e)))?;
    atomic::write(path, |out| out.write_all(&file)).map_err(io)
}

/// Buffers by name.
pub type Buffers = BTreeMap<String, Vec<f32>>;

/// A checkpoint's header and its buffers.
pub type Read<H> = (H, Buffers);

/// Moves the buffer `name` to `to`, which has its length.
///
/// # Errors
/// A buffer that is missing or of another length.
pub fn restore(buffers: &mut Buffers, name: &str, to: &mut Vec<f32>) -> Result<(), String> {
    match buffers.remove(name) {
        Some(values) if values.len() == to.len() => {
            *to = values;
            Ok(())
        }
        _ => Err(format!("buffer {name} is missing or has another length")),
    }
}

/// Reads `path`; `None` if there is no such file.
///
/// # Errors
/// When the file cannot be read or is not a whole checkpoint.
pub fn read<H: DeserializeOwned>(path: &Path) -> Result<Option<Read<H>>, CheckpointError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CheckpointError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    let damaged = |what: String| CheckpointError::Damaged {
        path: path.to_owned(),
        what,
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get(HEADER));
    let header = header.ok_or_else(|| damaged("no header".into()))?;
    let header = serde_json::from_str(header).map_err(|e| damaged(e.to_string()))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut buffers = BTreeMap::new();
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!("{name} is not f32")));
        }
        let words = view.data().chunks_exact(4);
        let values = words
            .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect();
        buffers.insert(name.to_owned(), values);
    }
    Ok(Some((header, buffers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_survives_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        assert!(read::<u32>(&path).unwrap().is_none());
        write(&path, &7u32, &[("a", &[1.5, f32::NAN, f32::INFINITY])]).unwrap();
        let (header, buffers) = read::<u32>(&path).unwrap().unwrap();
        assert_eq!(header, 7);
        assert_eq!(buffers["a"][0].to_bits(), 1.5f32.to_bits());
        assert!(buffers["a"][1].is_nan());
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 7, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(
                matches!(read::<u32>(&path), Err(CheckpointError::Damaged { .. })),
                "{cut}"
            );
        }
    }
}
