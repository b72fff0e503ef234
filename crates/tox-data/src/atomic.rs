//! Whole files or none: written under a temporary name beside their place, then renamed. All files that
//! toxscreen writes are written so. A link is replaced, but where a user named it ([`write_named`]).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Start of the names of unfinished files; the name of the file that they were to become follows, then
/// [`RANDOM`] characters behind a dash.
const UNFINISHED: &str = ".unfinished-";

/// Characters that tell two writers of one file apart.
const RANDOM: usize = 6;

/// Most bytes of a file's name that its unfinished one repeats: names have an end.
const NAME: usize = 100;

/// Most links that are followed, as on Linux.
const LINKS: usize = 40;

/// Writes `path` by `fill`: temporary file in the same folder, `fsync`, rename, `fsync` of the folder. A
/// reader, or a run after a crash, sees the old file or the whole new one.
///
/// # Errors
/// When the folder cannot be written to, or `fill` fails; the old file is then as it was.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    replace(path, fill, true)
}

/// As [`write()`] without waiting for the disk, for files that can be made again: thousands take a second. A
/// reader sees the old file or the new one; after a crash of the machine it may be empty.
///
/// # Errors
/// As [`write()`].
pub fn write_unsynced(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    replace(path, fill, false)
}

/// As [`write()`] for a path that the user named: a link stays, and what it leads to is replaced; a pipe, a terminal or
/// another device is no file, and is written to as it is.
///
/// # Errors
/// As [`write()`]; links that lead to each other.
pub fn write_named(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    match is_open(path) {
        true => fill(&mut OpenOptions::new().append(true).open(path)?),
        false => write(&behind_links(path)?, fill),
    }
}

fn replace(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    sync: bool,
) -> io::Result<()> {
    let folder = folder(path);
    let prefix = prefix(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).rand_bytes(RANDOM);
    // Like any new file, not for the owner alone; the user's umask is heeded.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder)?;
    fill(temporary.as_file_mut())?;
    if sync {
        temporary.as_file().sync_all()?;
    }
    temporary.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    if sync {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Whether there is something at `path` that takes what is written, now, and cannot be replaced: a pipe, a device, or
/// a file that this process was given open, such as `/dev/stdout`.
fn is_open(path: &Path) -> bool {
    let given = [Path::new("/dev"), Path::new("/proc")];
    match path.metadata() {
        Ok(found) if found.is_dir() => false,
        Ok(found) => !found.is_file() || given.iter().any(|given| path.starts_with(given)),
        Err(_) => false,
    }
}

/// What the links at `path` lead to, which need not be there.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = folder(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead to each other"))
}

/// Removes what killed [`write()`]s left in a folder. Only for whoever is alone in it.
///
/// # Errors
/// When the folder cannot be read, or a file not be removed.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    remove(folder, |name| name.starts_with(UNFINISHED))
}

/// Removes what killed [`write()`]s of the file at `path` left beside it. Only for its one writer.
///
/// # Errors
/// When the folder cannot be read, or a file not be removed.
pub fn remove_unfinished_of(path: &Path) -> io::Result<()> {
    let prefix = prefix(path);
    let Some(prefix) = prefix.to_str() else {
        return Ok(());
    };
    let random = |rest: &str| rest.len() == RANDOM && !rest.contains('-');
    remove(folder(path), |name| {
        name.strip_prefix(prefix).is_some_and(random)
    })
}

fn remove(folder: &Path, matches: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&matches) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

fn prefix(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let name = name.to_string_lossy();
    let mut end = name.len().min(NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{UNFINISHED}{}-", &name[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for text in ["old", "new"] {
            write(&path, |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let failed = write(&path, |_| Err(io::Error::other("full")));
        assert!(failed.is_err());
        assert_eq!(names(dir.path()), ["a"]);
        let long = dir.path().join("ü".repeat(120));
        write(&long, |file| file.write_all(b"x")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        symlink("sub/b", path("a")).unwrap();
        symlink("../c", path("sub/b")).unwrap();
        // What they lead to need not be there.
        for text in ["old", "new"] {
            write_named(&path("a"), |file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(path("c")).unwrap(), text);
        }
        assert!(path("a").is_symlink() && path("sub/b").is_symlink());
        assert_eq!(names(dir.path()), ["a", "c", "sub"]);
        symlink("e", path("d")).unwrap();
        symlink("d", path("e")).unwrap();
        assert!(write_named(&path("d"), |_| Ok(())).is_err());
        // Inside of a study, which may be somebody else's, no link is followed.
        write(&path("a"), |file| file.write_all(b"own")).unwrap();
        assert!(!path("a").is_symlink());
        assert_eq!(fs::read_to_string(path("c")).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || fs::read_to_string(path).unwrap())
        };
        write_named(&path, |file| file.write_all(b"told")).unwrap();
        assert_eq!(reader.join().unwrap(), "told");
        assert!(path.symlink_metadata().unwrap().file_type().is_fifo());
    }

    #[test]
    fn what_a_killed_write_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let left = [
            ".unfinished-p.npz-a1B2c3",
            ".unfinished-p.npz-x.npz-a1B2c3",
            ".unfinished-q-a1B2c3",
            "p.npz",
        ];
        for name in left {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        remove_unfinished_of(&dir.path().join("p.npz")).unwrap();
        assert_eq!(names(dir.path()), left[1..]);
        remove_unfinished(dir.path()).unwrap();
        assert_eq!(names(dir.path()), ["p.npz"]);
    }
}
