//! One NumPy array (`.npy`): magic, version, a header in Python syntax, then the elements.
//! Object arrays are refused: they are pickles, and a pickle can run code.

use std::path::Path;

use crate::error::DataError;
use crate::features::Values;
use crate::input::Input;

/// Longest header accepted; NumPy's own limit is 10,000.
const MAX_HEADER: u64 = 1 << 16;

/// An array in C order, with its elements still as bytes.
#[derive(Debug)]
pub(crate) struct Array {
    /// The name in the archive, for messages.
    pub key: String,
    pub shape: Vec<u64>,
    kind: Kind,
    big_endian: bool,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned(usize),
    Signed(usize),
    Float(usize),
}

impl Kind {
    fn width(self) -> usize {
        match self {
            Self::Unsigned(width) | Self::Signed(width) | Self::Float(width) => width,
        }
    }
}

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

impl Array {
    /// Reads `input`, which must end with the last element.
    pub fn read(key: &str, mut input: Input) -> Result<Self, DataError> {
        let path = input.path.clone();
        let bad = |reason: &str| DataError::NpyHeader {
            path: path.clone(),
            key: key.to_owned(),
            reason: reason.to_owned(),
        };
        let magic = input.header(8, "the magic number of an array")?;
        if &magic[..6] != b"\x93NUMPY" {
            return Err(bad("expected it to begin with \\x93NUMPY"));
        }
        let length = match magic[6] {
            1 => input.header(2, "the length of an array's header")?,
            2 | 3 => input.header(4, "the length of an array's header")?,
            _ => return Err(bad("expected format version 1, 2 or 3")),
        };
        let length = length
            .iter()
            .rev()
            .fold(0u64, |length, &byte| length << 8 | u64::from(byte));
        if length > MAX_HEADER {
            return Err(bad("expected a header of at most 65536 bytes"));
        }
        let header = input.header(length as usize, "an array's header")?;
        let header = parse(&String::from_utf8_lossy(&header))
            .ok_or_else(|| bad("expected the entries 'descr', 'fortran_order' and 'shape'"))?;
        let (kind, big_endian) = kind(&header.descr).ok_or_else(|| DataError::NpyType {
            path: path.clone(),
            key: key.to_owned(),
            expected: "integers, or floats of 4 or 8 bytes",
            found: header.descr.clone(),
        })?;
        if header.fortran && header.shape.len() > 1 {
            return Err(DataError::NpyOrder {
                path,
                key: key.to_owned(),
            });
        }
        let sizes = header.shape.iter().map(|&size| u128::from(size));
        let count = sizes.fold(kind.width() as u128, u128::saturating_mul);
        let bytes = input.rest(count, &format!("elements of `{key}`"))?;
        Ok(Self {
            key: key.to_owned(),
            shape: header.shape,
            kind,
            big_endian,
            bytes,
        })
    }

    /// Elements as pixels: `uint8` as they are, floats in 0..=1 as `round(255 v)`.
    pub fn pixels(self, path: &Path) -> Result<Vec<u8>, DataError> {
        let range = |index, found| DataError::NpyRange {
            path: path.to_path_buf(),
            key: self.key.clone(),
            index,
            found,
        };
        if self.kind == Kind::Unsigned(1) {
            return Ok(self.bytes);
        }
        let value = |(index, value): (usize, f64)| match (0.0..=1.0).contains(&value) {
            true => Ok((255.0 * value).round() as u8),
            false => Err(range(index, value)),
        };
        self.floats(path)?.enumerate().map(value).collect()
    }

    /// Elements as features: `uint8` as they are, floats as float32, all of them finite.
    pub fn values(self, path: &Path) -> Result<Values, DataError> {
        if self.kind == Kind::Unsigned(1) {
            return Ok(Values::Bytes(self.bytes));
        }
        let columns: u64 = self.shape.iter().skip(1).product();
        let columns = (columns as usize).max(1);
        let value = |(index, found): (usize, f64)| match (found as f32).is_finite() {
            true => Ok(found as f32),
            false => Err(DataError::NotFinite {
                path: path.to_path_buf(),
                key: self.key.clone(),
                row: index / columns,
                column: index % columns,
                found,
            }),
        };
        let values = self.floats(path)?.enumerate().map(value);
        Ok(Values::Floats(values.collect::<Result<_, _>>()?))
    }

    fn floats(&self, path: &Path) -> Result<impl Iterator<Item = f64> + '_, DataError> {
        let Kind::Float(width) = self.kind else {
            return Err(self.wrong(path, "uint8, float32 or float64"));
        };
        let value = move |element: &[u8]| match (self.bits(element), width) {
            (bits, 4) => f64::from(f32::from_bits(bits as u32)),
            (bits, _) => f64::from_bits(bits),
        };
        Ok(self.bytes.chunks_exact(width).map(value))
    }

    /// Elements as labels, each in `0..=65535`.
    pub fn labels(self, path: &Path) -> Result<Vec<u16>, DataError> {
        let label = |(index, found): (usize, i128)| match u16::try_from(found) {
            Ok(label) if label < u16::MAX => Ok(label),
            _ => Err(DataError::Label {
                path: path.to_path_buf(),
                index,
                found,
                classes: usize::from(u16::MAX),
            }),
        };
        self.integers(path)?.enumerate().map(label).collect()
    }

    /// Elements of any integer type.
    pub fn integers(&self, path: &Path) -> Result<impl Iterator<Item = i128> + '_, DataError> {
        let signed = match self.kind {
            Kind::Unsigned(_) => false,
            Kind::Signed(_) => true,
            Kind::Float(_) => return Err(self.wrong(path, "an integer type")),
        };
        let width = self.kind.width();
        let unused = 64 - 8 * width as u32;
        let value = move |element: &[u8]| match (self.bits(element), signed) {
            (bits, true) => i128::from((bits as i64) << unused >> unused),
            (bits, false) => i128::from(bits),
        };
        Ok(self.bytes.chunks_exact(width).map(value))
    }

    fn bits(&self, element: &[u8]) -> u64 {
        let add = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        match self.big_endian {
            true => element.iter().fold(0, add),
            false => element.iter().rev().fold(0, add),
        }
    }

    /// The error for an element type other than `expected`.
    pub fn wrong(&self, path: &Path, expected: &'static str) -> DataError {
        let (path, key) = (path.to_path_buf(), self.key.clone());
        let found = format!("{:?} bytes", self.kind)
            .to_lowercase()
            .replace(['(', ')'], " ");
        DataError::NpyType {
            path,
            key,
            expected,
            found,
        }
    }
}

/// What a file with elements of type `descr` begins with, as NumPy writes it: 64-byte aligned.
pub(crate) fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = match shape {
        [_] => sizes.trim_end(),
        _ => sizes.trim_end_matches(", "),
    };
    let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
    bytes
}

/// Element type and whether it is big-endian, of a `descr` such as `<f4` or `|u1`.
fn kind(descr: &str) -> Option<(Kind, bool)> {
    let mut characters = descr.chars();
    let big_endian = match characters.next()? {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return None,
    };
    let letter = characters.next()?;
    let width = characters.as_str().parse().ok()?;
    let kind = match (letter, width) {
        ('u', 1 | 2 | 4 | 8) => Kind::Unsigned(width),
        ('i', 1 | 2 | 4 | 8) => Kind::Signed(width),
        ('f', 4 | 8) => Kind::Float(width),
        _ => return None,
    };
    Some((kind, big_endian))
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }` in any order of entries.
/// A structured type's `descr` is a list; it comes back as text, which no element type matches.
fn parse(text: &str) -> Option<Header> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let entry = |key: &str| {
        let at = inner.find(&format!("'{key}'"))? + key.len() + 2;
        Some(inner[at..].trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = entry("descr")?;
    let descr = match descr.strip_prefix('\'') {
        Some(text) => text.split_once('\'')?.0.to_owned(),
        None => descr.split(']').next()?.to_owned() + "]",
    };
    let fortran = entry("fortran_order")?;
    let fortran = match (fortran.starts_with("True"), fortran.starts_with("False")) {
        (true, _) => true,
        (_, true) => false,
        _ => return None,
    };
    let (sizes, _) = entry("shape")?.strip_prefix('(')?.split_once(')')?;
    let mut shape = Vec::new();
    for size in sizes
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
    {
        shape.push(size.parse().ok()?);
    }
    Some(Header {
        descr,
        fortran,
        shape,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_as_numpy_writes_them() {
        let header = |descr: &str, fortran, shape: &[u64]| {
            Some(Header {
                descr: descr.to_owned(),
                fortran,
                shape: shape.to_vec(),
            })
        };
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n";
        assert_eq!(parse(text), header("<f4", false, &[2, 3]));
        let text = "{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }\n";
        assert_eq!(parse(text), header("|u1", true, &[7]));
        let text = "{'shape': (), 'fortran_order': False, 'descr': '>i8'}";
        assert_eq!(parse(text), header(">i8", false, &[]));
        let text = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}";
        assert_eq!(kind(&parse(text).unwrap().descr), None);
        for text in ["", "{}", "{'descr': '<f4', 'shape': (1,)}", "'descr'"] {
            assert_eq!(parse(text), None, "{text}");
        }
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }";
        assert_eq!(parse(text), None);
    }

    #[test]
    fn headers_are_written_as_numpy_does() {
        let bytes = header("<f4", &[2, 3]);
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!((bytes.len(), bytes[127]), (128, b'\n'));
        assert_eq!(std::str::from_utf8(&bytes[10..]).unwrap().trim_end(), text);
        let one = header("|u1", &[7]);
        assert!(String::from_utf8_lossy(&one).contains("'shape': (7,), }"));
    }

    #[test]
    fn element_types() {
        assert_eq!(kind("<f4"), Some((Kind::Float(4), false)));
        assert_eq!(kind(">i8"), Some((Kind::Signed(8), true)));
        assert_eq!(kind("|u1"), Some((Kind::Unsigned(1), false)));
        for descr in ["|O", "<f2", "<U3", "|b1", "f4", "<u3", "", "<"] {
            assert_eq!(kind(descr), None, "{descr}");
        }
    }
}
