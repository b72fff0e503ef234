//! One NumPy array (`.npy`): magic, version, a header in Python syntax, then the elements.
//! Object arrays are refused: they are pickles, and a pickle can run code.

mod header;
mod kind;
#[cfg(test)]
mod peer;

use std::path::Path;

use half::f16;

use crate::error::DataError;
use crate::format::array::Values;
use crate::input::Input;
use header::Header;
pub(crate) use header::header;
pub(crate) use kind::Kind;

/// Longest header accepted, which is NumPy's own limit.
const MAX_HEADER: u64 = 10_000;

/// An array, with its elements still as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    /// The name in the archive, for messages.
    pub key: String,
    pub shape: Vec<usize>,
    pub kind: Kind,
    big_endian: bool,
    /// Whether the file holds it column by column.
    fortran: bool,
    /// In C order, whatever the file's is.
    bytes: Vec<u8>,
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
            return Err(bad("expected a header of at most 10000 bytes"));
        }
        let header = input.header(length as usize, "an array's header")?;
        let header =
            Header::parse(&String::from_utf8_lossy(&header), magic[6]).map_err(|e| bad(&e))?;
        let (kind, big_endian) = header::kind(&header.descr).ok_or_else(|| DataError::NpyType {
            path: path.clone(),
            key: key.to_owned(),
            expected: format!("numbers, bools or text; {}", remedy(key, &header.descr)).into(),
            found: header.descr.clone(),
        })?;
        let sizes = header.shape.iter().map(|&size| u128::from(size));
        let count = sizes.fold(kind.width() as u128, u128::saturating_mul);
        let bytes = input.rest(count, &format!("elements of `{key}`"))?;
        // Of an array without elements the other sizes can be anything.
        let size = |&size: &u64| usize::try_from(size).unwrap_or(usize::MAX);
        let mut array = Self {
            key: key.to_owned(),
            shape: header.shape.iter().map(size).collect(),
            kind,
            big_endian,
            fortran: header.fortran && header.shape.len() > 1,
            bytes,
        };
        if array.fortran {
            array.bytes = array.reordered(true);
        }
        Ok(array)
    }

    /// An array of 64-bit floats.
    pub fn of_floats(key: &str, shape: &[usize], values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Self::made(key, shape, Kind::Float(8), bytes.collect())
    }

    /// An array of 64-bit integers.
    pub fn of_integers(key: &str, values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        Self::made(key, &[values.len()], Kind::Signed(8), bytes.collect())
    }

    /// An array of text, as wide as the longest.
    pub fn of_texts(key: &str, values: &[String]) -> Self {
        let width = values.iter().map(|value| value.chars().count()).max();
        let kind = Kind::Text(width.unwrap_or(1).max(1));
        let bytes = vec![0; values.len() * kind.width()];
        let mut array = Self::made(key, &[values.len()], kind, bytes);
        for (index, value) in values.iter().enumerate() {
            array.set_text(index, value);
        }
        array
    }

    fn made(key: &str, shape: &[usize], kind: Kind, bytes: Vec<u8>) -> Self {
        Self {
            key: key.to_owned(),
            shape: shape.to_vec(),
            kind,
            big_endian: false,
            fortran: false,
            bytes,
        }
    }

    /// The elements from the file's order in C order, or back.
    fn reordered(&self, to_c: bool) -> Vec<u8> {
        let width = self.kind.width();
        let mut out = vec![0; self.bytes.len()];
        let (mut index, mut fortran) = (vec![0; self.shape.len()], 0);
        for at in (0..self.bytes.len()).step_by(width) {
            let there = fortran * width;
            let (from, to) = if to_c { (there, at) } else { (at, there) };
            out[to..to + width].copy_from_slice(&self.bytes[from..from + width]);
            // The next index in C order, and its place in Fortran order, where the first size varies
            // fastest.
            let mut stride = self.shape.iter().product::<usize>();
            for (index, &size) in index.iter_mut().zip(&self.shape).rev() {
                stride /= size;
                *index += 1;
                fortran += stride;
                if *index < size {
                    break;
                }
                *index = 0;
                fortran -= stride * size;
            }
        }
        out
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.kind.width()
    }

    /// Elements as 8-bit values, if that is what they are.
    pub fn bytes(&self) -> Option<&[u8]> {
        (self.kind == Kind::Unsigned(1)).then_some(&self.bytes)
    }

    /// The elements as they lie, row by row.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Elements as features: `uint8` as they are, floats as float32, all of them finite.
    pub fn values(self, path: &Path) -> Result<Values, DataError> {
        match self.kind {
            Kind::Unsigned(1) => Ok(Values::Bytes(self.bytes)),
            Kind::Float(_) => Ok(Values::Floats(self.reals(path)?)),
            _ => Err(self.wrong(path, "uint8, or floats of 2, 4 or 8 bytes")),
        }
    }

    /// Elements as float32, all of them finite.
    pub fn reals(&self, path: &Path) -> Result<Vec<f32>, DataError> {
        // Of a set without rows the other sizes can be anything.
        let sizes = self.shape.iter().skip(1);
        let columns = sizes
            .fold(1, |columns: usize, &size| columns.saturating_mul(size))
            .max(1);
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
        self.floats(path)?.enumerate().map(value).collect()
    }

    /// Elements of any type that is a number.
    pub fn floats(&self, path: &Path) -> Result<impl Iterator<Item = f64> + '_, DataError> {
        let kind = self.kind;
        if kind.is_text() {
            return Err(self.wrong(path, "numbers"));
        }
        let value = move |element: &[u8]| {
            let bits = self.bits(element);
            match kind {
                Kind::Float(2) => f16::from_bits(bits as u16).to_f64(),
                Kind::Float(4) => f64::from(f32::from_bits(bits as u32)),
                Kind::Float(_) => f64::from_bits(bits),
                Kind::Bool => f64::from(u8::from(bits != 0)),
                Kind::Signed(width) => signed(bits, width) as f64,
                Kind::Unsigned(_) | Kind::Text(_) | Kind::Ascii(_) => bits as f64,
            }
        };
        Ok(self.bytes.chunks_exact(kind.width()).map(value))
    }

    /// Elements of any integer type, or bools.
    pub fn integers(&self, path: &Path) -> Result<impl Iterator<Item = i128> + '_, DataError> {
        let kind = self.kind;
        if kind.is_text() || kind.is_float() {
            return Err(self.wrong(path, "an integer type"));
        }
        let value = move |element: &[u8]| match (self.bits(element), kind) {
            (bits, Kind::Signed(width)) => i128::from(signed(bits, width)),
            (bits, Kind::Bool) => i128::from(bits != 0),
            (bits, _) => i128::from(bits),
        };
        Ok(self.bytes.chunks_exact(kind.width()).map(value))
    }

    /// Elements that are text, without the zeros that fill them up; characters that are none become
    /// U+FFFD.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let elements = self.bytes.chunks_exact(self.kind.width());
        elements.map(|element| {
            let text: String = match self.kind {
                Kind::Text(_) => {
                    let code = |code: &[u8]| self.bits(code) as u32;
                    let codes = element.chunks_exact(4).map(code);
                    let character = |code| char::from_u32(code).unwrap_or('\u{fffd}');
                    codes.map(character).collect()
                }
                _ => String::from_utf8_lossy(element).into_owned(),
            };
            text.trim_end_matches('\0').to_owned()
        })
    }

    fn bits(&self, element: &[u8]) -> u64 {
        let add = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
        match self.big_endian {
            true => element.iter().fold(0, add),
            false => element.iter().rev().fold(0, add),
        }
    }

    fn element(&mut self, index: usize) -> &mut [u8] {
        let width = self.kind.width();
        &mut self.bytes[index * width..][..width]
    }

    fn set_bits(&mut self, index: usize, bits: u64) {
        let big_endian = self.big_endian;
        let element = self.element(index);
        for (at, byte) in element.iter_mut().rev().enumerate() {
            *byte = (bits >> (8 * at)) as u8;
        }
        if !big_endian {
            element.reverse();
        }
    }

    /// Puts a number in the place of an element: rounded and clipped to what the type holds. Returns what
    /// it has become.
    pub fn set(&mut self, index: usize, value: f64) -> f64 {
        let most = |bits: usize| (2f64).powi(bits as i32);
        let (bits, stored) = match self.kind {
            Kind::Bool => (u64::from(value >= 0.5), f64::from(u8::from(value >= 0.5))),
            Kind::Unsigned(width) => {
                let stored = value.round().clamp(0.0, most(8 * width) - 1.0);
                (stored as u64, stored)
            }
            Kind::Signed(width) => {
                let half = most(8 * width - 1);
                let stored = value.round().clamp(-half, half - 1.0);
                (stored as i64 as u64, stored)
            }
            Kind::Float(2) => {
                let stored = f16::from_f64(value);
                (u64::from(stored.to_bits()), stored.to_f64())
            }
            Kind::Float(4) => (u64::from((value as f32).to_bits()), f64::from(value as f32)),
            Kind::Float(_) => (value.to_bits(), value),
            Kind::Text(_) | Kind::Ascii(_) => {
                self.set_text(index, &value.to_string());
                return value;
            }
        };
        self.set_bits(index, bits);
        stored
    }

    /// Puts a text in the place of an element, cut to its width.
    pub fn set_text(&mut self, index: usize, text: &str) {
        let (kind, big_endian) = (self.kind, self.big_endian);
        let element = self.element(index);
        element.fill(0);
        if matches!(kind, Kind::Text(_)) {
            for (code, character) in element.chunks_exact_mut(4).zip(text.chars()) {
                code.copy_from_slice(&match big_endian {
                    true => u32::from(character).to_be_bytes(),
                    false => u32::from(character).to_le_bytes(),
                });
            }
        } else {
            for (to, from) in element.iter_mut().zip(text.bytes()) {
                *to = from;
            }
        }
    }

    /// The array with only these of its rows.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let sizes = self.shape.iter().skip(1);
        let stride = sizes.product::<usize>() * self.kind.width();
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows.len();
        }
        Self {
            shape,
            bytes: crate::format::array::gather(&self.bytes, stride, rows),
            ..self.clone()
        }
    }

    /// As a file holds it, in the order that it had.
    pub fn file(&self) -> Vec<u8> {
        let descr = header::descr(self.kind, self.big_endian);
        let mut file = header(&descr, self.fortran, &self.shape);
        match self.fortran {
            true => file.extend(self.reordered(false)),
            false => file.extend(&self.bytes),
        }
        file
    }

    /// The error for an element type other than `expected`.
    pub fn wrong(&self, path: &Path, expected: &str) -> DataError {
        DataError::NpyType {
            path: path.to_path_buf(),
            key: self.key.clone(),
            expected: format!("{expected}; {}", remedy(&self.key, "")).into(),
            found: self.kind.name(),
        }
    }
}

fn signed(bits: u64, width: usize) -> i64 {
    let unused = 64 - 8 * width as u32;
    (bits as i64) << unused >> unused
}

/// The line of NumPy that makes an array of type `descr` one that is read here.
fn remedy(key: &str, descr: &str) -> String {
    let labels = crate::format::roles::is_labels(key);
    match (descr.chars().nth(1), labels) {
        (Some('O'), true) => format!(
            "save it with {key} = {key}.astype(str) (object arrays need pickle, which is never \
             executed here)"
        ),
        (Some('O'), false) => format!(
            "save it with {key} = {key}.astype(numpy.float32) (object arrays need pickle, which is \
             never executed here)"
        ),
        (_, true) => format!("save it with {key} = {key}.astype(numpy.int64)"),
        (_, false) => format!("save it with {key} = {key}.astype(numpy.float32)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(descr: &str, order: &str, shape: &str, data: &[u8]) -> Array {
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend(data);
        Array::read("a", Input::memory(Path::new("a.npy"), &bytes)).unwrap()
    }

    #[test]
    fn fortran_order_is_turned_and_written_back() {
        // 0 1 2 / 3 4 5, column by column.
        let found = array("|u1", "True", "(2, 3)", &[0, 3, 1, 4, 2, 5]);
        assert_eq!(found.bytes().unwrap(), [0, 1, 2, 3, 4, 5]);
        assert!(found.file().ends_with(&[0, 3, 1, 4, 2, 5]));
        assert!(String::from_utf8_lossy(&found.file()).contains("'fortran_order': True"));
        // Element (i, j, k) is 6i + 2j + k; Fortran order has i fastest.
        let mut file = Vec::new();
        for k in 0..2 {
            for j in 0..3 {
                file.extend((0..2).map(|i| 6 * i + 2 * j + k));
            }
        }
        let found = array("|u1", "True", "(2, 3, 2)", &file);
        assert_eq!(found.bytes().unwrap(), (0..12).collect::<Vec<u8>>());
        assert!(found.file().ends_with(&file));
        assert_eq!(
            found.rows(&[1]).bytes().unwrap(),
            (6..12).collect::<Vec<u8>>()
        );
    }

    #[test]
    fn elements_of_every_type_are_read_and_set() {
        let path = Path::new("a");
        for (descr, data, value) in [
            ("<i2", vec![0xfe, 0xff], -2.0),
            (">i2", vec![0xff, 0xfe], -2.0),
            ("|b1", vec![1], 1.0),
            (">u4", vec![0, 0, 1, 0], 256.0),
            ("<f2", vec![0x00, 0x3e], 1.5),
            (">f4", vec![0x3f, 0xc0, 0, 0], 1.5),
            ("<f8", 1e39f64.to_le_bytes().to_vec(), 1e39),
        ] {
            let mut found = array(descr, "False", "(1,)", &data);
            assert_eq!(found.floats(path).unwrap().next(), Some(value), "{descr}");
            found.set(0, 0.0);
            assert_eq!(found.floats(path).unwrap().next(), Some(0.0), "{descr}");
            assert_eq!(found.set(0, value), value, "{descr}");
            assert!(found.file().ends_with(&data), "{descr}");
        }
        let mut clipped = array("|u1", "False", "(1,)", &[0]);
        assert_eq!(clipped.set(0, 300.0), 255.0);
        assert_eq!(clipped.set(0, -3.4), 0.0);
        let mut text = array(
            "<U3",
            "False",
            "(1,)",
            &[99, 0, 0, 0, 97, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(text.texts().next().unwrap(), "ca");
        text.set_text(0, "dog");
        assert_eq!(text.texts().next().unwrap(), "dog");
        assert_eq!(
            array("|S2", "False", "(1,)", b"ab").texts().next().unwrap(),
            "ab"
        );
        let made = Array::of_texts("n", &["ä".to_owned(), "longer".to_owned()]);
        assert_eq!(made.texts().collect::<Vec<_>>(), ["ä", "longer"]);
    }
}
