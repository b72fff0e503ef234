//! Locks on files.

use crate::files::{FileError, failed, no_link};
use crate::lease::{self, Lease};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// An exclusive lock on a file. The system releases it when the process ends, however it ends; on a file system
/// whose locks other nodes do not see it is a [lease].
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Held);

#[derive(Debug)]
#[allow(dead_code, reason = "held, not read")]
enum Held {
    File(File),
    Lease(Lease),
}

impl Lock {
    /// Takes the lock, waiting up to `patience`. `None` = another process has it.
    pub fn take(path: &Path, patience: Duration) -> Result<Option<Self>, FileError> {
        no_link(path)?;
        if lease::applies(path) {
            let lease = Lease::take(path, patience)?;
            return Ok(lease.map(|lease| Self(Held::Lease(lease))));
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(failed("open", path))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(Held::File(file)))),
                Err(fs::TryLockError::WouldBlock) if start.elapsed() >= patience => {
                    return Ok(None);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(fs::TryLockError::Error(e)) => return Err(failed("lock", path)(e)),
            }
        }
    }

    /// Whether a process holds the lock at `path`.
    pub fn is_held(path: &Path) -> bool {
        if lease::applies(path) {
            return Lease::is_held(path);
        }
        File::open(path)
            .is_ok_and(|f| matches!(f.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(Lock::take(&link, Duration::ZERO).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn a_lock_excludes_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let none = Duration::ZERO;
        assert!(!Lock::is_held(&path));
        let held = Lock::take(&path, none).unwrap().unwrap();
        assert!(Lock::is_held(&path));
        assert!(Lock::take(&path, none).unwrap().is_none());
        drop(held);
        assert!(Lock::take(&path, none).unwrap().is_some());
    }
}
