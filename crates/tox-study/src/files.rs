//! Writing files so that a reader, or a run after a crash, sees the old content or the new one and
//! never a part. All writes of a study's folder go through here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Start of the names of unfinished files.
const UNFINISHED: &str = ".unfinished-";

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

/// Replaces the file at `path`: temporary file in the same folder, `fsync`, rename, `fsync` of
/// the folder.
///
/// # Errors
/// When any of this fails; the old file is then as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        #[cfg(unix)]
        {
            // Readable as any other file: the umask still applies.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        #[cfg(unix)]
        File::open(dir)?.sync_all()?;
        Ok(())
    };
    write().map_err(failed("write", path))
}

/// Removes what a killed [`write_atomic`] left in `dir`. Only for the holder of its lock.
pub fn remove_unfinished(dir: &Path) -> Result<(), FileError> {
    remove_matching(dir, |name| name.starts_with(UNFINISHED))
}

/// Removes the files of `dir` whose names `matches` accepts.
pub(crate) fn remove_matching(dir: &Path, matches: fn(&str) -> bool) -> Result<(), FileError> {
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let path = entry.map_err(failed("list", dir))?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        if name.is_some_and(matches) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
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

/// An exclusive lock on a file. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Takes the lock, waiting up to `patience`. `None` = another process has it.
    pub fn take(path: &Path, patience: std::time::Duration) -> Result<Option<Self>, FileError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(failed("open", path))?;
        let start = std::time::Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(fs::TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    return Ok(None);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                Err(fs::TryLockError::Error(e)) => return Err(failed("lock", path)(e)),
            }
        }
    }

    /// Whether a process holds the lock at `path`.
    pub fn is_held(path: &Path) -> bool {
        File::open(path)
            .is_ok_and(|f| matches!(f.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_write_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".unfinished-x1"), "half").unwrap();
        fs::write(dir.path().join("record.json"), "whole").unwrap();
        remove_unfinished(dir.path()).unwrap();
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["record.json"]);
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

    #[test]
    fn a_lock_excludes_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let none = std::time::Duration::ZERO;
        assert!(!Lock::is_held(&path));
        let held = Lock::take(&path, none).unwrap().unwrap();
        assert!(Lock::is_held(&path));
        assert!(Lock::take(&path, none).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path, none).unwrap().is_some());
    }
}
