//! Writing files so that a reader, or a run after a crash, sees the old content or the new one and
//! never a part. All writes of a study's folder go through here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tox_data::{atomic, seal};

/// A file or folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried, such as `write`.
    pub what: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's words.
    pub source: io::Error,
}

pub(crate) fn failed<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Replaces the file at `path`, see [`atomic::write`].
///
/// # Errors
/// When this fails; the old file is then as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic::write(path, |file| file.write_all(bytes)).map_err(failed("write", path))
}

/// Replaces the file that a user named, see [`atomic::write_named`].
///
/// # Errors
/// As [`write_atomic`].
pub fn write_named(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic::write_named(path, |file| file.write_all(bytes)).map_err(failed("write", path))
}

/// Replaces a file that can be made again, see [`atomic::write_unsynced`].
///
/// # Errors
/// When this fails; the old file is then as it was.
pub fn write_derived(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    atomic::write_unsynced(path, |file| file.write_all(bytes)).map_err(failed("write", path))
}

/// Removes what a killed [`write_atomic`] left in `dir`. Only for the holder of its lock.
pub fn remove_unfinished(dir: &Path) -> Result<(), FileError> {
    atomic::remove_unfinished(dir).map_err(failed("remove unfinished files from", dir))
}

/// Removes the files of `dir` whose names `matches` accepts.
pub fn remove_matching(dir: &Path, matches: fn(&str) -> bool) -> Result<(), FileError> {
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let path = entry.map_err(failed("list", dir))?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        if name.is_some_and(matches) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// What was tried with a link.
pub(crate) const USE: &str = "use";

/// Refuses a symbolic link: a folder of a study that came from someone else could name any file of ours.
/// What is not there is none.
pub fn no_link(path: &Path) -> Result<(), FileError> {
    let link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    match link {
        false => Ok(()),
        true => Err(failed(USE, path)(io::Error::other(
            "it is a symbolic link, which is not followed inside the folder of a study; remove it, or put \
             what it points to in its place",
        ))),
    }
}

/// Names in a folder, sorted; none if there is no folder.
pub fn names(dir: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed("list", dir)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("list", dir))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// JSON on one line that says by its own digest whether a byte of it was changed.
pub fn sealed(value: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Sealed<'a, T> {
        blake3: &'a str,
        #[serde(flatten)]
        value: &'a T,
    }
    let sealed = Sealed {
        blake3: seal::OPEN,
        value,
    };
    // Plain data with string keys: its JSON has no way to fail.
    let mut text = serde_json::to_vec(&sealed).unwrap_or_default();
    if !text.is_empty() {
        seal::seal(&mut text);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// What [`sealed`] wrote; `None` if a byte of it was changed.
pub fn unsealed<T: DeserializeOwned>(text: &str) -> Option<T> {
    if !seal::holds(text.as_bytes()) {
        return None;
    }
    let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.as_object_mut()?.remove(seal::KEY);
    serde_json::from_value(value).ok()
}

/// Creates a folder and those above it.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(failed("create the folder", path))
}

/// Reads a file as text.
pub fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(failed("read", path))
}

/// Opens a log of lines for appending. A line that a crash tore is ended first, so that it spoils
/// no other.
pub fn open_log(path: &Path) -> Result<File, FileError> {
    no_link(path)?;
    let open = || {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    };
    open().map_err(failed("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_of_sealed_json_is_noticed() {
        let value = std::collections::BTreeMap::from([("a", 1.0 / 3.0), ("b", -2.0)]);
        let text = sealed(&value);
        let read: std::collections::BTreeMap<String, f64> = unsealed(&text).unwrap();
        assert_eq!(read["a"], value["a"]);
        for bit in 0..8 * text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let text = String::from_utf8_lossy(&bytes);
            assert!(unsealed::<serde_json::Value>(&text).is_none(), "bit {bit}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(no_link(&target).is_ok());
        assert!(open_log(&link).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "one\ntw").unwrap();
        open_log(&path).unwrap().write_all(b"three\n").unwrap();
        open_log(&path).unwrap().write_all(b"four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntw\nthree\nfour\n");
    }
}
