//! NumPy archives: zip files of one `.npy` file for each array.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::npy::{self, Array};
use crate::error::DataError;
use crate::input::{Input, MAX_BYTES, MAX_RATIO};

/// An archive being read.
pub(crate) struct Archive<R> {
    pub path: PathBuf,
    zip: ZipArchive<R>,
    /// The arrays it should hold, for messages.
    expected: &'static str,
}

impl Archive<BufReader<File>> {
    pub fn open(path: &Path, expected: &'static str) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        Self::new(path, BufReader::new(file), expected)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// An archive of any bytes; `path` is what messages say. Two members of one name, or one whose name is
    /// another at its own place, are refused: readers would differ in which they take.
    pub fn new(path: &Path, reader: R, expected: &'static str) -> Result<Self, DataError> {
        let broken = |error: ZipError| broken(path, &error);
        let mut zip = ZipArchive::new(reader).map_err(broken)?;
        let start = zip.central_directory_start();
        let mut members = Vec::new();
        for index in 0..zip.len() {
            let member = zip.by_index_raw(index).map_err(broken)?;
            members.push((member.header_start(), member.name_raw().to_vec()));
        }
        let mut reader = zip.into_inner();
        check_names(&mut reader, start, &members).map_err(|reason| DataError::Npz {
            path: path.to_path_buf(),
            reason,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            zip: ZipArchive::new(reader).map_err(broken)?,
            expected,
        })
    }

    /// Names of all members, in the order of the archive.
    pub fn members(&self) -> Vec<String> {
        let names = self.zip.file_names();
        // None fails: what is no UTF-8 is read as code page 437, which has a letter for each byte.
        names.flatten().map(Cow::into_owned).collect()
    }

    /// Names of the arrays, in the order of the archive.
    pub fn keys(&self) -> Vec<String> {
        let names = self.members();
        let keys = names.iter().filter_map(|name| name.strip_suffix(".npy"));
        keys.map(str::to_owned).collect()
    }

    /// Whether there is an array called `key`.
    pub fn has(&self, key: &str) -> bool {
        self.zip.index_for_name(&format!("{key}.npy")).is_some()
    }

    /// The array called `key`.
    pub fn array(&mut self, key: &str) -> Result<Array, DataError> {
        let found = self.members();
        let (path, expected) = (&self.path, self.expected);
        let entry = self
            .zip
            .by_name(&format!("{key}.npy"))
            .map_err(|error| match error {
                ZipError::FileNotFound => {
                    let mut found = found;
                    found.sort_unstable();
                    found.truncate(8);
                    DataError::NpzKey {
                        path: path.clone(),
                        key: key.to_owned(),
                        expected,
                        found: found.join(", "),
                    }
                }
                error => broken(path, &error),
            })?;
        // The archive's own word on the size, held against what its compressed bytes can make.
        let left = entry
            .size()
            .min(entry.compressed_size().saturating_mul(MAX_RATIO));
        Array::read(key, Input::plain(path, entry, left))
    }

    /// The bytes of the member called `name`.
    pub fn raw(&mut self, name: &str) -> Result<Vec<u8>, DataError> {
        let path = &self.path;
        let entry = self
            .zip
            .by_name(name)
            .map_err(|error| broken(path, &error))?;
        let left = entry
            .size()
            .min(entry.compressed_size().saturating_mul(MAX_RATIO));
        Input::plain(path, entry, left).all(MAX_BYTES, "a member of the archive")
    }
}

/// Signature of an entry of the central directory.
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// Signature of the header of a member at its own place.
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// Whether the central directory at `start` has each name once, and each of `members`, by place and name, has
/// that name there too.
fn check_names(
    reader: &mut (impl Read + Seek),
    start: u64,
    members: &[(u64, Vec<u8>)],
) -> Result<(), String> {
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let word =
        |bytes: &[u8], at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let failed = |error: io::Error| error.to_string();
    let mut names = BTreeSet::new();
    reader.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut entry = [0; 46];
    while reader.read_exact(&mut entry).is_ok() && entry[..4] == CENTRAL {
        let mut name = vec![0; word(&entry, 28)];
        reader.read_exact(&mut name).map_err(failed)?;
        let rest = word(&entry, 30) + word(&entry, 32);
        reader
            .seek(SeekFrom::Current(rest as i64))
            .map_err(failed)?;
        if let Some(name) = names.replace(name) {
            return Err(format!("it has two members called {:?}", shown(&name)));
        }
    }
    // NumPy takes a member called `x` for the array `x` too.
    let twice = names
        .iter()
        .find(|name| names.contains(&[name, &b".npy"[..]].concat()));
    if let Some(name) = twice {
        return Err(format!(
            "it has the array {0:?} twice, as {0:?} and as \"{0}.npy\"",
            shown(name)
        ));
    }
    for (place, expected) in members {
        reader.seek(SeekFrom::Start(*place)).map_err(failed)?;
        let mut header = [0; 30];
        reader.read_exact(&mut header).map_err(failed)?;
        let mut found = vec![0; word(&header, 26)];
        reader.read_exact(&mut found).map_err(failed)?;
        if header[..4] != LOCAL || found != *expected {
            return Err(format!(
                "the member that its directory calls {:?} calls itself {:?}",
                shown(expected),
                shown(&found)
            ));
        }
    }
    Ok(())
}

fn broken(path: &Path, error: &ZipError) -> DataError {
    DataError::Npz {
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
}

/// Elements to write.
pub(crate) enum Elements<'a> {
    /// As `uint8`.
    Bytes(&'a [u8]),
    /// As `float32`.
    Floats(&'a [f32]),
    /// As `int64`, which PyTorch takes for indices and labels.
    Integers(Vec<i64>),
}

/// An array to write.
pub(crate) struct Item<'a> {
    pub key: &'static str,
    pub shape: Vec<usize>,
    pub elements: Elements<'a>,
}

/// An archive being written, deflated; the same members give the same bytes.
pub(crate) struct Writer<W: Write + Seek> {
    zip: ZipWriter<Failing<W>>,
}

/// What an archive is written to. After its first error it takes all and keeps nothing: a `ZipWriter` that is
/// dropped unfinished writes once more, and says on stderr what becomes of that.
struct Failing<W> {
    writer: W,
    failed: bool,
}

impl<W> Failing<W> {
    /// Does something to the writer, unless it failed before: then it is `done`.
    fn unless<T>(&mut self, done: T, what: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Ok(done);
        }
        let result = what(&mut self.writer);
        let again = |e: &io::Error| e.kind() == io::ErrorKind::Interrupted;
        self.failed = result.as_ref().is_err_and(|e| !again(e));
        result
    }
}

impl<W: Write> Write for Failing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless(bytes.len(), |writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless((), W::flush)
    }
}

impl<W: Seek> Seek for Failing<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.unless(0, |writer| writer.seek(to))
    }
}

impl<W: Write + Seek> Writer<W> {
    pub fn new(writer: W) -> Self {
        Self {
            zip: ZipWriter::new(Failing {
                writer,
                failed: false,
            }),
        }
    }

    /// Begins the member `name` of about `bytes` bytes.
    fn begin(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            // Sizes near 4 GiB need the long form, also if deflating adds a little.
            .large_file(bytes >= 0xf000_0000);
        Ok(self.zip.start_file(name, options)?)
    }

    /// A member of these bytes.
    pub fn member(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(name, bytes.len() as u64)?;
        self.zip.write_all(bytes)
    }

    /// An array of these elements.
    pub fn item(&mut self, item: &Item) -> io::Result<()> {
        let (descr, width) = match item.elements {
            Elements::Bytes(_) => ("|u1", 1),
            Elements::Floats(_) => ("<f4", 4),
            Elements::Integers(_) => ("<i8", 8),
        };
        let bytes = item.shape.iter().product::<usize>() as u64 * width;
        self.begin(&format!("{}.npy", item.key), bytes)?;
        let zip = &mut self.zip;
        zip.write_all(&npy::header(descr, false, &item.shape))?;
        match &item.elements {
            Elements::Bytes(values) => zip.write_all(values)?,
            Elements::Floats(values) => {
                for values in values.chunks(1 << 14) {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    zip.write_all(&bytes.collect::<Vec<u8>>())?;
                }
            }
            Elements::Integers(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                zip.write_all(&bytes.collect::<Vec<u8>>())?;
            }
        }
        Ok(())
    }

    pub fn finish(self) -> io::Result<W> {
        let written = self.zip.finish()?;
        match written.failed {
            true => Err(io::Error::other("an earlier part could not be written")),
            false => Ok(written.writer),
        }
    }
}

/// Writes an archive of `items`.
pub(crate) fn write<W: Write + Seek>(writer: W, items: &[Item]) -> io::Result<W> {
    let mut writer = Writer::new(writer);
    for item in items {
        writer.item(item)?;
    }
    writer.finish()
}
