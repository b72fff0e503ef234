//! Bounded reading: nothing is allocated because a header says so, only as bytes arrive.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::DataError;

/// Most bytes that one array or file may hold once decompressed: 4 GiB.
pub(crate) const MAX_BYTES: u64 = 4 << 30;

/// DEFLATE cannot expand a byte to more than 1,032.
pub(crate) const MAX_RATIO: u64 = 1032;

/// A file, plain or gzip, read from start to end.
pub(crate) struct Input<'a> {
    pub path: PathBuf,
    reader: Box<dyn Read + 'a>,
    /// Most bytes that can still come: exact for a plain file, a bound for a compressed one.
    left: u64,
    gzip: bool,
}

impl<'a> Input<'a> {
    /// Opens `path`; a name that ends in `.gz` is decompressed.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        let length = file.metadata().map_err(DataError::read(path))?.len();
        Ok(Self::new(path, BufReader::new(file), length))
    }

    /// The same for bytes in memory; `path` is what messages say.
    pub fn memory(path: &Path, bytes: &'a [u8]) -> Self {
        Self::new(path, Cursor::new(bytes), bytes.len() as u64)
    }

    /// The first `left` bytes of `reader`, which is not compressed.
    pub fn plain(path: &Path, reader: impl Read + 'a, left: u64) -> Self {
        Self {
            path: path.to_path_buf(),
            reader: Box::new(reader),
            left,
            gzip: false,
        }
    }

    fn new(path: &Path, reader: impl Read + 'a, length: u64) -> Self {
        let gzip = path.extension().is_some_and(|extension| extension == "gz");
        let left = if gzip {
            length.saturating_mul(MAX_RATIO)
        } else {
            length
        };
        let reader: Box<dyn Read> = match gzip {
            true => Box::new(MultiGzDecoder::new(reader)),
            false => Box::new(reader),
        };
        Self {
            path: path.to_path_buf(),
            reader,
            left,
            gzip,
        }
    }

    fn failed(&self, source: std::io::Error) -> DataError {
        let path = self.path.clone();
        match self.gzip {
            true => DataError::Gzip { path, source },
            false => DataError::Read { path, source },
        }
    }

    /// Up to `count` bytes, fewer only at the end of the file.
    fn take(&mut self, count: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(count).read_to_end(&mut bytes);
        read.map_err(|source| self.failed(source))?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }

    /// Exactly `count` (few) bytes.
    pub fn header(&mut self, count: usize, what: &str) -> Result<Vec<u8>, DataError> {
        let bytes = self.take(count as u64)?;
        match bytes.len() == count {
            true => Ok(bytes),
            false => Err(self.truncated(what, count as u64, bytes.len() as u64)),
        }
    }

    /// The next `count` bytes, which must be the last ones. `count` is what a header announces: it
    /// is held against what the file can hold before anything is read.
    pub fn rest(mut self, count: u128, what: &str) -> Result<Vec<u8>, DataError> {
        if count > u128::from(self.left.min(MAX_BYTES)) {
            if !self.gzip && count <= u128::from(MAX_BYTES) {
                return Err(self.truncated(what, count as u64, self.left));
            }
            return Err(DataError::TooLarge {
                path: self.path,
                what: what.to_owned(),
                claimed: count.to_string(),
                limit: self.left.min(MAX_BYTES),
            });
        }
        let count = count as u64;
        // One byte more than announced shows whether the file ends there; for gzip, reading to
        // the end also checks the checksum.
        let bytes = self.take(count + 1)?;
        match (bytes.len() as u64).cmp(&count) {
            std::cmp::Ordering::Equal => Ok(bytes),
            std::cmp::Ordering::Less => Err(self.truncated(what, count, bytes.len() as u64)),
            std::cmp::Ordering::Greater => {
                let (path, what) = (self.path, what.to_owned());
                Err(DataError::Trailing {
                    path,
                    what,
                    expected: count,
                })
            }
        }
    }

    /// All that is left, at most `limit` bytes.
    pub fn all(mut self, limit: u64, what: &str) -> Result<Vec<u8>, DataError> {
        let bytes = self.take(limit + 1)?;
        match bytes.len() as u64 > limit {
            true => {
                let (path, what) = (self.path, what.to_owned());
                Err(DataError::TooLarge {
                    path,
                    what,
                    claimed: format!("over {limit}"),
                    limit,
                })
            }
            false => Ok(bytes),
        }
    }

    fn truncated(&self, what: &str, expected: u64, found: u64) -> DataError {
        let (path, what) = (self.path.clone(), what.to_owned());
        DataError::Truncated {
            path,
            what,
            expected,
            found,
        }
    }
}

/// Finds the first label that is not below `classes`.
pub(crate) fn check_labels(path: &Path, labels: &[u16], classes: usize) -> Result<(), DataError> {
    match labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        None => Ok(()),
        Some(index) => Err(DataError::Label {
            path: path.to_path_buf(),
            index,
            found: i128::from(labels[index]),
            classes,
        }),
    }
}
