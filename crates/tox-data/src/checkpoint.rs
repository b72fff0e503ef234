//! Checkpoints of a long computation: flat f32 buffers and a JSON header in one safetensors file, with
//! the key of what they belong to and a digest of the whole file.

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{atomic, isa, seal};

/// Keys among the metadata: the JSON header, what the checkpoint belongs to, and [`made_with`].
const HEADER: &str = "toxscreen";
const BELONGS: &str = "key";
const MADE_WITH: &str = "made_with";

/// What [`Hooks::progress`] is told and a user must not miss has this in it.
pub const NOTE: &str = "note: ";

/// What the surroundings give a computation: where to save, when to stop, whom to tell.
pub struct Hooks<'a> {
    /// The checkpoint file; read at the start if it is there. Empty: none is kept.
    pub checkpoint: &'a Path,
    /// All that the outcome depends on beside [`made_with`], as text; a checkpoint with another key is
    /// refused.
    pub key: &'a str,
    /// Time between two checkpoints; it does not change the outcome.
    pub save_every: Duration,
    /// Asked between steps; when true, the computation saves itself and ends without a result.
    pub stop: &'a mut dyn FnMut() -> bool,
    /// Told the share of the work done and what is going on.
    pub progress: &'a mut dyn FnMut(f64, &str),
}

impl Hooks<'static> {
    /// No checkpoint; never stops; tells nobody.
    pub fn none() -> Self {
        // Closures without captures take no memory, so that nothing is leaked.
        Self {
            checkpoint: Path::new(""),
            key: "",
            save_every: Duration::MAX,
            stop: Box::leak(Box::new(|| false)),
            progress: Box::leak(Box::new(|_: f64, _: &str| {})),
        }
    }
}

impl<'a> Hooks<'a> {
    /// Where to save.
    pub fn slot(&self) -> Slot<'a> {
        Slot {
            path: self.checkpoint,
            key: self.key,
        }
    }

    /// What [`Slot::read`] finds. What it puts aside is told.
    ///
    /// # Errors
    /// As [`Slot::read`].
    pub fn read<H: DeserializeOwned>(&mut self) -> Result<Option<Read<H>>, CheckpointError> {
        let slot = self.slot();
        slot.read(&mut |note| (self.progress)(0.0, note))
    }
}

/// Version and instruction set, which an outcome depends on too. What was begun with others goes on
/// nowhere else: it is put aside, and the computation begins anew.
pub fn made_with() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), isa::all())
}

/// A computation made of small steps, which a checkpoint can hold between any two of them.
pub trait Machine {
    /// What a checkpoint holds beside the buffers.
    type Header: DeserializeOwned;

    /// Whether nothing is left to do.
    fn done(&self) -> bool;

    /// The next small step; tells its progress as [`Hooks::progress`] wants it.
    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str));

    /// Writes all that the next steps depend on, with [`Slot::write`].
    ///
    /// # Errors
    /// When the file cannot be written.
    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError>;

    /// Goes on from what [`Machine::save`] wrote.
    ///
    /// # Errors
    /// What is wrong with it, such as buffers of other lengths.
    fn resume(&mut self, header: Self::Header, buffers: Buffers) -> Result<(), String>;
}

/// Runs `machine` from its checkpoint, if there is one, to its end. False means that it was asked to
/// stop and has saved itself.
///
/// # Errors
/// When the checkpoint cannot be read or written, or belongs to something else.
pub fn drive<M: Machine>(machine: &mut M, hooks: &mut Hooks<'_>) -> Result<bool, CheckpointError> {
    let slot = hooks.slot();
    if let Some((header, buffers)) = hooks.read::<M::Header>()? {
        machine
            .resume(header, buffers)
            .map_err(|what| slot.damaged(what))?;
    }
    let mut saved = Instant::now();
    while !machine.done() {
        if (hooks.stop)() {
            machine.save(slot)?;
            return Ok(false);
        }
        if saved.elapsed() >= hooks.save_every {
            machine.save(slot)?;
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
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is damaged, or belongs to something else.
    #[error("the checkpoint {} cannot be used ({what}); delete it to begin anew", path.display())]
    Damaged {
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// A checkpoint's file, and what it must belong to.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    pub path: &'a Path,
    /// See [`Hooks::key`].
    pub key: &'a str,
}

impl Slot<'_> {
    /// Writes header and buffers, atomically; nothing if the path is empty.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(
        self,
        header: &impl Serialize,
        buffers: &[(&str, &[f32])],
    ) -> Result<(), CheckpointError> {
        if self.path.as_os_str().is_empty() {
            return Ok(());
        }
        let io = |source| self.io("write", source);
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
        let metadata = [
            (seal::KEY, seal::OPEN.to_owned()),
            (BELONGS, self.key.to_owned()),
            (MADE_WITH, made_with()),
            (HEADER, header),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
        let file = serialize(views, Some(HashMap::from(metadata)));
        let mut file = file.map_err(|e| io(std::io::Error::other(e)))?;
        seal::seal(&mut file);
        atomic::write(self.path, |out| out.write_all(&file)).map_err(io)
    }

    /// Reads the file; `None` if there is none, or if it was made with another version or instruction
    /// set: then it is put aside, `note` is told, and what was put aside before for this one is taken up.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or belongs to something else.
    pub fn read<H: DeserializeOwned>(
        self,
        note: &mut dyn FnMut(&str),
    ) -> Result<Option<Read<H>>, CheckpointError> {
        match self.bytes()? {
            Some(bytes) => self.parse(&bytes, note),
            None => Ok(None),
        }
    }

    fn parse<H: DeserializeOwned>(
        self,
        bytes: &[u8],
        note: &mut dyn FnMut(&str),
    ) -> Result<Option<Read<H>>, CheckpointError> {
        if !seal::holds(bytes) {
            return Err(self.damaged("its digest does not fit its content".into()));
        }
        let damaged = |e: safetensors::SafeTensorError| self.damaged(e.to_string());
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        let part = |key: &str| {
            let value = metadata.get(key).map(String::as_str);
            value.ok_or_else(|| self.damaged(format!("it has no {key}")))
        };
        if part(BELONGS)? != self.key {
            let what = format!("it belongs to {}, not to {}", part(BELONGS)?, self.key);
            return Err(self.damaged(what));
        }
        if part(MADE_WITH)? != made_with() {
            let found = put_aside(self.path, part(MADE_WITH)?, note);
            return match found.map_err(|source| self.io("put aside", source))? {
                true => self.read(note),
                false => Ok(None),
            };
        }
        let header = serde_json::from_str(part(HEADER)?);
        let header = header.map_err(|e| self.damaged(e.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut buffers = BTreeMap::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(self.damaged(format!("{name} is not f32")));
            }
            let words = view.data().chunks_exact(4);
            let values = words
                .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
                .collect();
            buffers.insert(name.to_owned(), values);
        }
        Ok(Some((header, buffers)))
    }

    /// That the file cannot be used, and why.
    pub fn damaged(self, what: String) -> CheckpointError {
        CheckpointError::Damaged {
            path: self.path.to_owned(),
            what,
        }
    }

    fn bytes(self) -> Result<Option<Vec<u8>>, CheckpointError> {
        match std::fs::read(self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("read", source)),
        }
    }

    fn io(self, action: &'static str, source: std::io::Error) -> CheckpointError {
        CheckpointError::Io {
            action,
            path: self.path.to_owned(),
            source,
        }
    }
}

/// Renames the file at `path`, which was made with `with`, and gives its name to what was put aside
/// before for [`made_with`]; true if there is such a file. `note` is told.
///
/// # Errors
/// When the file cannot be renamed.
pub fn put_aside(
    path: &Path,
    with: &str,
    note: &mut dyn FnMut(&str),
) -> Result<bool, std::io::Error> {
    let (aside, own) = (aside(path, with), aside(path, &made_with()));
    std::fs::rename(path, &aside)?;
    // Names are shorter than what they stand for: one that is ours may be of what was just put aside.
    let back = if aside == own {
        false
    } else {
        match std::fs::rename(own, path) {
            Ok(()) => true,
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => return Err(e),
        }
    };
    let goes = match back {
        true => "what was made with this one before goes on",
        false => "it begins anew",
    };
    note(&format!(
        "{NOTE}{} was made with toxscreen {with}, and this is {}: it is kept as {}, and {goes}",
        path.display(),
        made_with(),
        aside.display()
    ));
    Ok(back)
}

/// Removes the file at `path` and all that was put aside for it, as far as they are there.
pub fn remove(path: &Path) {
    // What is not there, is removed; what cannot be, is of no use, and in nobody's way.
    let _ = std::fs::remove_file(path);
    let start = aside(path, "");
    let (Some(dir), Some(start)) = (path.parent(), start.file_name()) else {
        return;
    };
    let dir = match dir.as_os_str().is_empty() {
        true => Path::new("."),
        false => dir,
    };
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(start.as_encoded_bytes())
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The name under which a file that was made with `with` is put aside.
fn aside(path: &Path, with: &str) -> PathBuf {
    // It comes from a file, and becomes a part of a name.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    let with: String = with.chars().take(80).map(plain).collect();
    let mut name = OsString::from(path);
    name.push(format!(".made-with-{with}"));
    name.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(path: &Path) -> Slot<'_> {
        Slot { path, key: "k" }
    }

    fn read(path: &Path) -> Result<Option<Read<u32>>, CheckpointError> {
        slot(path).read(&mut |note| panic!("{note}"))
    }

    #[test]
    fn nan_survives_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        assert!(read(&path).unwrap().is_none());
        let buffers: [(&str, &[f32]); 1] = [("a", &[1.5, f32::NAN, f32::INFINITY])];
        slot(&path).write(&7u32, &buffers).unwrap();
        let (header, buffers) = read(&path).unwrap().unwrap();
        assert_eq!(header, 7);
        assert_eq!(buffers["a"][0].to_bits(), 1.5f32.to_bits());
        assert!(buffers["a"][1].is_nan());
        let other = Slot {
            path: &path,
            key: "other",
        };
        let error = other.read::<u32>(&mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("it belongs to k, not to other"), "{error}");
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 7, 20, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let found = read(&path);
            assert!(
                matches!(found, Err(CheckpointError::Damaged { .. })),
                "{cut}"
            );
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        slot(&path)
            .write(&[7u32, 1], &[("a", &[1.5, -2.0])])
            .unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = slot(&path).parse::<[u32; 2]>(&bytes, &mut |note| panic!("{note}"));
            assert!(
                matches!(found, Err(CheckpointError::Damaged { .. })),
                "bit {bit}"
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn what_another_instruction_set_made_is_put_aside_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        slot(&path).write(&7u32, &[]).unwrap();
        // As if AVX-1024 had made it.
        let mut bytes = std::fs::read(&path).unwrap();
        let (ours, theirs) = (made_with(), "9".repeat(made_with().len()));
        let at = |text: &str| bytes.windows(text.len()).position(|w| w == text.as_bytes());
        let (at, digest) = (at(&ours).unwrap(), at("\"blake3\":\"").unwrap() + 10);
        bytes[at..at + ours.len()].copy_from_slice(theirs.as_bytes());
        bytes[digest..digest + 64].copy_from_slice(seal::OPEN.as_bytes());
        seal::seal(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();

        let mut notes = Vec::new();
        let found = slot(&path).read::<u32>(&mut |note| notes.push(note.to_owned()));
        assert!(found.unwrap().is_none() && !path.exists());
        assert!(notes[0].contains(&theirs) && notes[0].contains("begins anew"));

        // Begun anew here, then on the other machine, then here again.
        slot(&path).write(&8u32, &[]).unwrap();
        std::fs::rename(&path, aside(&path, &ours)).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let found = slot(&path).read::<u32>(&mut |note| notes.push(note.to_owned()));
        assert_eq!(found.unwrap().unwrap().0, 8);
        assert!(notes[1].contains("goes on"));
        std::fs::write(folder.path().join("mine"), "").unwrap();
        remove(&path);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
