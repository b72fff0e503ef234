//! Whole files or none: written under a temporary name beside their place, then renamed.

use std::fs::File;
use std::io;
use std::path::Path;

/// Writes `path` by `fill`; a reader sees the old file or the whole new one.
///
/// # Errors
/// When the folder cannot be written to, or `fill` fails; the old file is then as it was.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    // The prefix that the store clears away after a kill.
    let mut builder = tempfile::Builder::new();
    builder.prefix(".unfinished-");
    // Like any new file, not for the owner alone; the user's umask is heeded.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    fill(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}
