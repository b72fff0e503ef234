//! MATLAB's level 5 files, as far as image sets need them: arrays of bytes, or of whole numbers that are
//! stored as such, little-endian, compressed or not. Every length is held against what the file can hold
//! before anything is read.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::ZlibDecoder;

use crate::error::DataError;
use crate::input::{MAX_BYTES, MAX_RATIO};

const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Bytes of the header of a file.
const HEADER: usize = 128;

/// Most dimensions, and bytes of a name, that an array may have.
const MOST: u64 = 64;

/// An array.
#[derive(Debug)]
pub(crate) struct Array {
    pub name: String,
    /// Its dimensions, the first of which runs fastest.
    pub shape: Vec<usize>,
    /// As many as the product of the dimensions; none if only dimensions were asked for.
    pub values: Vec<u8>,
}

/// The arrays of `path` that are called one of `names`, in the file's order; with their values, or else
/// their dimensions alone.
pub(crate) fn arrays(path: &Path, names: &[&str], values: bool) -> Result<Vec<Array>, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let length = file.metadata().map_err(DataError::read(path))?.len();
    let mut file = BufReader::new(file);
    header(path, &mut file)?;
    let mut at = HEADER as u64;
    let mut found = Vec::new();
    while at < length {
        let (kind, size) = Element::new(path, &mut file, length - at).tag()?;
        at += 8;
        if size > length - at {
            return Err(damaged(
                path,
                format!("{size} bytes announced, {} left", length - at),
            ));
        }
        let mut element = match kind {
            COMPRESSED => {
                let reader = ZlibDecoder::new((&mut file).take(size));
                Element::new(path, reader, size.saturating_mul(MAX_RATIO))
            }
            MATRIX => Element::new(path, (&mut file).take(size), size),
            other => return Err(damaged(path, format!("an element of kind {other}"))),
        };
        if kind == COMPRESSED {
            let (inner, _) = element.tag()?;
            if inner != MATRIX {
                return Err(damaged(
                    path,
                    format!("a compressed element of kind {inner}"),
                ));
            }
        }
        found.extend(element.array(names, values)?);
        drop(element);
        at += size;
        file.seek(SeekFrom::Start(at))
            .map_err(DataError::read(path))?;
    }
    Ok(found)
}

/// Checks the header of the file.
fn header(path: &Path, file: &mut impl Read) -> Result<(), DataError> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header)
        .map_err(|_| damaged(path, format!("no header of {HEADER} bytes")))?;
    match (&header[..], &header[124..]) {
        ([b'M', b'A', b'T', b'L', b'A', b'B', ..], [0, 1, b'I', b'M']) => Ok(()),
        ([b'M', b'A', b'T', b'L', b'A', b'B', ..], [_, 2, ..]) => {
            Err(damaged(path, "a file of MATLAB 7.3 (HDF5)".to_owned()))
        }
        _ => Err(damaged(path, "no header of such a file".to_owned())),
    }
}

fn damaged(path: &Path, reason: String) -> DataError {
    DataError::Matlab {
        path: path.to_path_buf(),
        reason,
    }
}

/// What is left of an element, decompressed.
struct Element<'a> {
    path: PathBuf,
    reader: Box<dyn Read + 'a>,
    /// Most bytes that can still come.
    left: u64,
    /// Bytes between the last part and the next.
    fill: u64,
}

impl<'a> Element<'a> {
    fn new(path: &Path, reader: impl Read + 'a, left: u64) -> Self {
        Self {
            path: path.to_path_buf(),
            reader: Box::new(reader),
            left,
            fill: 0,
        }
    }

    fn damaged(&self, reason: String) -> DataError {
        damaged(&self.path, reason)
    }

    /// The next `count` bytes.
    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, DataError> {
        if count > self.left.min(MAX_BYTES) {
            return Err(self.damaged(format!(
                "{count} bytes announced where at most {} can be",
                self.left.min(MAX_BYTES)
            )));
        }
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(count).read_to_end(&mut bytes);
        read.map_err(|error| self.damaged(error.to_string()))?;
        self.left -= bytes.len() as u64;
        match bytes.len() as u64 == count {
            true => Ok(bytes),
            false => Err(self.damaged(format!("{} of {count} bytes", bytes.len()))),
        }
    }

    /// Kind and length of what follows.
    fn tag(&mut self) -> Result<(u32, u64), DataError> {
        let [kind, size] = self.words()?;
        Ok((kind, u64::from(size)))
    }

    fn words(&mut self) -> Result<[u32; 2], DataError> {
        let bytes = self.bytes(8)?;
        let word = |at: usize| {
            let word = bytes[at..at + 4].iter().rev();
            word.fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        Ok([word(0), word(4)])
    }

    /// Kind and bytes of the next part, of at most `most` bytes. Up to four bytes stand in their tag; others
    /// are filled up to a multiple of eight.
    fn part(&mut self, most: u64) -> Result<(u32, Vec<u8>), DataError> {
        let fill = std::mem::take(&mut self.fill);
        self.bytes(fill)?;
        let [kind, size] = self.words()?;
        if kind >> 16 != 0 {
            let length = (kind >> 16) as usize;
            let bytes = size.to_le_bytes();
            let bytes = bytes.get(..length);
            let bytes = bytes.ok_or_else(|| self.damaged(format!("{length} bytes in a tag")))?;
            return Ok((kind & 0xffff, bytes.to_vec()));
        }
        let size = u64::from(size);
        if size > most {
            return Err(self.damaged(format!("{size} bytes where at most {most} are expected")));
        }
        self.fill = size.next_multiple_of(8) - size;
        Ok((kind, self.bytes(size)?))
    }

    /// The array, if it is called one of `names`.
    fn array(&mut self, names: &[&str], values: bool) -> Result<Option<Array>, DataError> {
        let (kind, flags) = self.part(8)?;
        if kind != UINT32 || flags.len() != 8 {
            return Err(self.damaged("an array without flags".to_owned()));
        }
        let (kind, sizes) = self.part(4 * MOST)?;
        if kind != INT32 {
            return Err(self.damaged("an array without dimensions".to_owned()));
        }
        let size = |size: &[u8; 4]| u32::from_le_bytes(*size) as usize;
        let shape: Vec<usize> = sizes.as_chunks().0.iter().map(size).collect();
        let (kind, name) = self.part(MOST)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        if kind != INT8 || !names.contains(&name.as_str()) {
            return Ok(None);
        }
        let values = match values {
            true => self.values(&name, &shape)?,
            false => Vec::new(),
        };
        Ok(Some(Array {
            name,
            shape,
            values,
        }))
    }

    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<u8>, DataError> {
        let product = |count: u64, size: &usize| count.checked_mul(*size as u64);
        let count = shape.iter().try_fold(1, product);
        let count = count.filter(|&count| count <= MAX_BYTES);
        let count = count.ok_or_else(|| self.damaged(format!("`{name}` is of {shape:?}")))?;
        let most = count.saturating_mul(8);
        let (kind, bytes) = self.part(most)?;
        let values = match kind {
            UINT8 => bytes,
            DOUBLE => {
                let whole = |value: &[u8; 8]| {
                    let value = f64::from_le_bytes(*value);
                    let byte = value as u8;
                    (f64::from(byte) == value).then_some(byte)
                };
                let values: Option<Vec<u8>> = bytes.as_chunks().0.iter().map(whole).collect();
                let found = || self.damaged(format!("`{name}` has other numbers than 0 to 255"));
                values.ok_or_else(found)?
            }
            other => {
                let found = format!("`{name}` is stored as numbers of kind {other}, not as bytes");
                return Err(self.damaged(found));
            }
        };
        match values.len() as u64 == count {
            true => Ok(values),
            false => {
                let found = values.len();
                Err(self.damaged(format!(
                    "`{name}` has {found} values, its dimensions {count}"
                )))
            }
        }
    }
}
