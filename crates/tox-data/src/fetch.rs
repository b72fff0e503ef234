//! Downloads the official files of a known data set: resumed, checked, and put in place at once.
//!
//! A download goes to `FILE.part` in the data set's folder; when it breaks off it is tried again,
//! now or in the next call, from where it stopped (HTTP `Range`). Only a file with the published
//! checksum gets its final name. `TOXSCREEN_FETCH_BASE` replaces the official addresses by
//! `$TOXSCREEN_FETCH_BASE/NAME/FILE`, for mirrors; the checksums stay.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use thiserror::Error;
use ureq::Agent;
use ureq::http::StatusCode;

use crate::data_dir::DataDir;
use crate::input::MAX_BYTES;
use crate::published::{self, Checksum, PUBLISHED, Remote, Source};

/// Tries of one file before giving up.
const TRIES: u32 = 4;
/// Pause before the second try; it doubles from try to try.
const PAUSE: Duration = Duration::from_millis(100);

/// A download that brings fewer bytes in this time is given up: a server may not hold a connection for
/// ever by a byte now and then.
const WINDOW: Duration = Duration::from_secs(60);
const LEAST: u64 = 256 << 10;

/// Whether bytes come fast enough.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    /// Takes in that `bytes` came at `now`; how many came in a whole window if they are too few.
    fn hear(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        self.bytes += bytes as u64;
        if now - self.since < WINDOW {
            return None;
        }
        let came = std::mem::take(&mut self.bytes);
        self.since = now;
        (came < LEAST).then_some(came)
    }
}

/// Why a data set could not be fetched.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum FetchError {
    /// Not a name with an official address.
    #[error("cannot fetch `{name}`{hint}: expected one of {known} (digits is built in)")]
    Unknown {
        name: String,
        hint: String,
        known: String,
    },
    /// No answer, or one that broke off at every try.
    #[error(
        "cannot download {url}: {reason}; check the network and run the command again (it goes on \
         where it stopped), or download the file elsewhere and place it at {}",
        place.display()
    )]
    Network {
        url: String,
        reason: String,
        place: PathBuf,
    },
    /// An answer, but not the file.
    #[error(
        "cannot download {url}: expected status 200, found {status}; the address may have moved: \
         set TOXSCREEN_FETCH_BASE to a mirror, or place the file at {}",
        place.display()
    )]
    Status {
        url: String,
        status: u16,
        place: PathBuf,
    },
    /// Not the published bytes.
    #[error(
        "{url} gave other bytes than the published ones: expected MD5 {expected}, found {found}; \
         the download was removed, try again or another network"
    )]
    Checksum {
        url: String,
        expected: String,
        found: String,
    },
    /// Another file has the place; it may be the user's own.
    #[error(
        "{} is there already, but is not the official file: expected MD5 {expected}, found \
         {found}; keep it if it is yours, or remove it and fetch again",
        path.display()
    )]
    Present {
        path: PathBuf,
        expected: String,
        found: String,
    },
    /// The archive lacks a file or is damaged.
    #[error(
        "cannot unpack {}: expected {expected}, found {found}; remove it and fetch again",
        path.display()
    )]
    Archive {
        path: PathBuf,
        expected: String,
        found: String,
    },
    /// The operating system refused.
    #[error("cannot write {}: {source}; check free space and permissions", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl FetchError {
    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Write {
            path: path.to_path_buf(),
            source,
        }
    }
}

/// Fetches the data set `name` into `data_dir` and returns its folder. Files already there are
/// kept. `progress` hears, during a file's download, the bytes that are there and the bytes in all
/// if the server told.
pub fn fetch(
    name: &str,
    data_dir: &DataDir,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<PathBuf, FetchError> {
    let Some(mut source) = published::official(name) else {
        let elsewhere = PUBLISHED.iter().filter(|set| set.folder().is_some());
        let (known, hint) = published::hint(name, elsewhere);
        let name = name.to_owned();
        return Err(FetchError::Unknown { name, hint, known });
    };
    if let Ok(base) = std::env::var("TOXSCREEN_FETCH_BASE")
        && !base.is_empty()
    {
        source.base = format!("{}/{name}", base.trim_end_matches('/'));
    }
    fetch_from(&source, data_dir, progress)
}

/// [`fetch`] with addresses and checksums of the caller's choice.
pub fn fetch_from(
    source: &Source,
    data_dir: &DataDir,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<PathBuf, FetchError> {
    let folder = data_dir.path().join(&source.folder);
    fs::create_dir_all(&folder).map_err(FetchError::write(&folder))?;
    for remote in &source.files {
        let archive = remote.file.ends_with(".tar.gz");
        let path = folder.join(&remote.file);
        if archive
            && source
                .contents
                .iter()
                .all(|file| folder.join(file).is_file())
        {
            continue;
        }
        if path.is_file() {
            let Checksum::Md5(expected) = &remote.checksum;
            let found = md5_of(&path)?;
            if found != *expected {
                return Err(FetchError::Present {
                    path,
                    expected: expected.clone(),
                    found,
                });
            }
        } else {
            download(
                &format!("{}/{}", source.base, remote.file),
                remote,
                &path,
                progress,
            )?;
        }
        if archive {
            unpack(&path, &folder, &source.contents)?;
            fs::remove_file(&path).map_err(FetchError::write(&path))?;
        }
    }
    Ok(folder)
}

/// How one try ended without a file.
enum Failure {
    /// Another try may help.
    Passing(FetchError),
    Final(FetchError),
}

/// Brings `url` to `path` with the checksum of `remote`.
fn download(
    url: &str,
    remote: &Remote,
    path: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), FetchError> {
    let part = path.with_file_name(format!("{}.part", remote.file));
    let agent = agent(url);
    let Checksum::Md5(expected) = &remote.checksum;
    let mut tries = 0;
    let mut resumed = part.is_file();
    loop {
        match attempt(&agent, (url, remote.most), &part, path, progress) {
            Ok(()) => {
                let found = md5_of(&part)?;
                if found == *expected {
                    return fs::rename(&part, path).map_err(FetchError::write(path));
                }
                fs::remove_file(&part).map_err(FetchError::write(&part))?;
                // What an earlier try left may be what is wrong: once more from the start.
                if !std::mem::take(&mut resumed) {
                    let (url, expected) = (url.to_owned(), expected.clone());
                    return Err(FetchError::Checksum {
                        url,
                        expected,
                        found,
                    });
                }
            }
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(error)) => {
                tries += 1;
                if tries == TRIES {
                    return Err(error);
                }
                resumed |= part.is_file();
                sleep(PAUSE * 2u32.pow(tries - 1));
            }
        }
    }
}

/// Connections that do not hang for ever; a proxy from the environment is not for this machine.
fn agent(url: &str) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)));
    let local = url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost");
    match local {
        true => config.proxy(None).build().into(),
        false => config.build().into(),
    }
}

/// Asks for what `part` lacks and appends it, up to `most` bytes in all.
fn attempt(
    agent: &Agent,
    (url, most): (&str, u64),
    part: &Path,
    place: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), Failure> {
    let network = |reason: String| {
        let (url, place) = (url.to_owned(), place.to_path_buf());
        Failure::Passing(FetchError::Network { url, reason, place })
    };
    let write = |error| Failure::Final(FetchError::write(part)(error));
    let mut done = part.metadata().map_or(0, |metadata| metadata.len());
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if done > 0 {
        request = request.header("Range", format!("bytes={done}-"));
    }
    let mut response = request.call().map_err(|error| network(error.to_string()))?;
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    match response.status() {
        StatusCode::OK => done = 0,
        StatusCode::PARTIAL_CONTENT
            if header("content-range")
                .is_some_and(|range| range.starts_with(&format!("bytes {done}-"))) => {}
        // Nothing is missing, says the server: the checksum decides.
        StatusCode::RANGE_NOT_SATISFIABLE if done > 0 => return Ok(()),
        StatusCode::PARTIAL_CONTENT if done == 0 => {
            let reason = "expected the whole file, the server sent a part of it (status 206)";
            return Err(network(reason.to_owned()));
        }
        StatusCode::PARTIAL_CONTENT => {
            fs::remove_file(part).map_err(write)?;
            return Err(network(
                "the server sent another range than asked for".to_owned(),
            ));
        }
        status => {
            let (url, place) = (url.to_owned(), place.to_path_buf());
            let error = FetchError::Status {
                url,
                status: status.as_u16(),
                place,
            };
            let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
            return Err(if passing {
                Failure::Passing(error)
            } else {
                Failure::Final(error)
            });
        }
    }
    let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
    let total = length.map(|length| length.saturating_add(done));
    let too_long = |sent: String| {
        let reason = format!("the server sends {sent}, but the file has fewer than {most}");
        match network(reason) {
            Failure::Passing(error) | Failure::Final(error) => Failure::Final(error),
        }
    };
    if let Some(total) = total.filter(|total| *total >= most) {
        let _ = fs::remove_file(part);
        return Err(too_long(format!("{total} bytes")));
    }
    let mut file = OpenOptions::new();
    let file = if done > 0 {
        file.append(true)
    } else {
        file.write(true).create(true).truncate(true)
    };
    let mut file = file.open(part).map_err(write)?;
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut pace = Pace {
        since: Instant::now(),
        bytes: 0,
    };
    progress(done, total);
    loop {
        let count = body
            .read(&mut buffer)
            .map_err(|error| network(error.to_string()))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(write)?;
        done += count as u64;
        progress(done, total);
        if done >= most {
            fs::remove_file(part).map_err(write)?;
            return Err(too_long(format!("more than {done} bytes")));
        }
        if let Some(bytes) = pace.hear(count, Instant::now()) {
            return Err(network(format!(
                "{bytes} bytes came in {} s, fewer than {LEAST}",
                WINDOW.as_secs()
            )));
        }
    }
    file.sync_all().map_err(write)?;
    match total {
        Some(total) if done < total => Err(network(format!(
            "it broke off after {done} of {total} bytes"
        ))),
        _ => Ok(()),
    }
}

fn md5_of(path: &Path) -> Result<String, FetchError> {
    let mut file = File::open(path).map_err(FetchError::write(path))?;
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FetchError::write(path)(error)),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Takes the files named `contents`, in whatever folder of the archive, to `folder`. Nothing else
/// of the archive is written, and each file gets its name only when it is whole.
fn unpack(archive: &Path, folder: &Path, contents: &[String]) -> Result<(), FetchError> {
    let damaged = |error: io::Error| FetchError::Archive {
        path: archive.to_path_buf(),
        expected: "a whole .tar.gz file".to_owned(),
        found: error.to_string(),
    };
    let file = File::open(archive).map_err(damaged)?;
    let stream = GzDecoder::new(io::BufReader::new(file)).take(MAX_BYTES);
    let mut missing: Vec<&str> = contents.iter().map(String::as_str).collect();
    for entry in tar::Archive::new(stream).entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let wanted = missing.iter().position(|missing| *missing == name);
        let Some(wanted) = wanted.filter(|_| entry.header().entry_type().is_file()) else {
            continue;
        };
        let mut temporary =
            tempfile::NamedTempFile::new_in(folder).map_err(FetchError::write(folder))?;
        let size = entry.size();
        let copied = io::copy(&mut entry, &mut temporary).map_err(damaged)?;
        if copied != size {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        let path = folder.join(name);
        // Temporary files are private to their owner; data may be shared by a group.
        let file = temporary
            .into_temp_path()
            .keep()
            .map_err(|e| FetchError::write(&path)(e.error))?;
        share(&file).map_err(FetchError::write(&path))?;
        fs::rename(&file, &path).map_err(FetchError::write(&path))?;
        missing.swap_remove(wanted);
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(FetchError::Archive {
            path: archive.to_path_buf(),
            expected: contents.join(", "),
            found: format!("no {}", missing.join(", ")),
        }),
    }
}

#[cfg(unix)]
fn share(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let pace = || Pace {
            since: begin,
            bytes: 0,
        };
        // A byte every 20 seconds.
        let mut slow = pace();
        let heard = [20, 40, 60].map(|s| slow.hear(1, at(s)));
        assert_eq!(heard, [None, None, Some(3)]);
        // Fast enough, however long; a pause within a window does not matter.
        let mut fast = pace();
        for minute in 0..100 {
            assert_eq!(fast.hear(LEAST as usize, at(60 * minute + 1)), None);
            assert_eq!(fast.hear(1, at(60 * minute + 60)), None);
        }
    }
}
