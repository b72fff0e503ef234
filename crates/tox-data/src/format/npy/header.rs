//! The header of an `.npy` file: a Python dictionary as text, read and written as NumPy does.

use super::kind::Kind;

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// A structured type's is a list; it comes as text, which no element type matches.
    pub descr: String,
    pub fortran: bool,
    pub shape: Vec<u64>,
}

/// Longest name of an element type that is believed.
const MAX_WIDTH: usize = 1 << 20;

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }` in any order of entries. Of an
    /// entry that comes twice the last one counts, as in Python; another entry is refused, as NumPy does.
    ///
    /// Of `version` 1 or 2 of the format sizes may be written as Python 2 did.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str, version: u8) -> Result<Self, String> {
        let mut at = Literal {
            rest: text,
            long: version < 3,
        };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        at.expect('{')?;
        while !at.skip('}') {
            let key = at.string()?;
            at.expect(':')?;
            match key {
                "descr" => descr = Some(at.descr()?),
                "fortran_order" => fortran = Some(at.boolean()?),
                "shape" => shape = Some(at.tuple()?),
                key => return Err(format!("it has an entry {key:?}, which is none of NumPy's")),
            }
            if !at.skip(',') {
                at.expect('}')?;
                break;
            }
        }
        at.end()?;
        match (descr, fortran, shape) {
            (Some(descr), Some(fortran), Some(shape)) => Ok(Self {
                descr,
                fortran,
                shape,
            }),
            _ => Err("expected the entries 'descr', 'fortran_order' and 'shape'".to_owned()),
        }
    }
}

/// What is left of a Python literal.
struct Literal<'a> {
    rest: &'a str,
    /// Whether a number may end in `L`.
    long: bool,
}

impl<'a> Literal<'a> {
    fn space(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
    }

    fn skip(&mut self, character: char) -> bool {
        self.space();
        match self.rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, character: char) -> Result<(), String> {
        match self.skip(character) {
            true => Ok(()),
            false => Err(format!("expected `{character}`, found {}", self.found())),
        }
    }

    fn found(&self) -> String {
        match self.rest.chars().next() {
            Some(_) => format!("{:?}", self.rest.chars().take(12).collect::<String>()),
            None => "its end".to_owned(),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.space();
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(format!("expected its end, found {}", self.found())),
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        self.space();
        let quote = self.rest.chars().next().filter(|c| ['\'', '"'].contains(c));
        let whole = quote.and_then(|quote| self.rest[1..].split_once(quote));
        match whole.filter(|(text, _)| !text.contains('\\')) {
            Some((text, rest)) => {
                self.rest = rest;
                Ok(text)
            }
            None => Err(format!("expected a text in quotes, found {}", self.found())),
        }
    }

    /// An element type; of a structured one all text up to the bracket that closes it.
    fn descr(&mut self) -> Result<String, String> {
        self.space();
        if !self.rest.starts_with('[') {
            return self.string().map(str::to_owned);
        }
        let mut depth = 0usize;
        for (at, character) in self.rest.char_indices() {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let (text, rest) = self.rest.split_at(at + 1);
                self.rest = rest;
                return Ok(text.to_owned());
            }
        }
        Err("expected `]`, found its end".to_owned())
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.space();
        for (text, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(format!("expected True or False, found {}", self.found()))
    }

    /// `()`, `(7,)`, `(2, 3)`; `(2L, 3L)` as Python 2 wrote it.
    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        self.expect('(')?;
        let (mut sizes, mut comma) = (Vec::new(), false);
        while !self.skip(')') {
            self.space();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.rest.split_at(digits);
            let canonical = number == "0" || !number.starts_with('0');
            match number.parse().ok().filter(|_| canonical) {
                Some(size) => sizes.push(size),
                None => return Err(format!("expected a size, found {}", self.found())),
            }
            self.rest = rest.strip_prefix('L').filter(|_| self.long).unwrap_or(rest);
            comma = self.skip(',');
            if !comma {
                self.expect(')')?;
                break;
            }
        }
        match sizes.len() == 1 && !comma {
            true => Err("expected a tuple of sizes, found one number in brackets".to_owned()),
            false => Ok(sizes),
        }
    }
}

/// What a file with elements of type `descr` begins with, as NumPy writes it: 64-byte aligned.
pub(crate) fn header(descr: &str, fortran: bool, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = match shape {
        [_] => sizes.trim_end(),
        _ => sizes.trim_end_matches(", "),
    };
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({sizes}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{text:<width$}\n", width = length - 1).bytes());
    bytes
}

/// Element type and whether it is big-endian, of a `descr` such as `<f4` or `|u1`.
pub(super) fn kind(descr: &str) -> Option<(Kind, bool)> {
    let mut characters = descr.chars();
    let big_endian = match characters.next()? {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return None,
    };
    let letter = characters.next()?;
    let digits = characters.as_str();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let width = digits.parse().ok()?;
    let kind = match (letter, width) {
        ('b', 1) => Kind::Bool,
        ('u', 1 | 2 | 4 | 8) => Kind::Unsigned(width),
        ('i', 1 | 2 | 4 | 8) => Kind::Signed(width),
        ('f', 2 | 4 | 8) => Kind::Float(width),
        ('U', 1..=MAX_WIDTH) => Kind::Text(width),
        ('S', 1..=MAX_WIDTH) => Kind::Ascii(width),
        _ => return None,
    };
    Some((kind, big_endian))
}

/// The `descr` of an element type.
pub(super) fn descr(kind: Kind, big_endian: bool) -> String {
    let (letter, width) = match kind {
        Kind::Bool => ('b', 1),
        Kind::Unsigned(width) => ('u', width),
        Kind::Signed(width) => ('i', width),
        Kind::Float(width) => ('f', width),
        Kind::Text(width) => ('U', width),
        Kind::Ascii(width) => ('S', width),
    };
    let order = match (kind, big_endian) {
        (Kind::Ascii(_), _) => '|',
        (_, _) if kind.width() == 1 => '|',
        (_, true) => '>',
        (_, false) => '<',
    };
    format!("{order}{letter}{width}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(descr: &str, fortran: bool, shape: &[u64]) -> Result<Header, String> {
        Ok(Header {
            descr: descr.to_owned(),
            fortran,
            shape: shape.to_vec(),
        })
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let parse = |text| Header::parse(text, 1);
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }      \n";
        assert_eq!(parse(text), parsed("<f4", false, &[2, 3]));
        let text = "{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }\n";
        assert_eq!(parse(text), parsed("|u1", true, &[7]));
        let text = "{'shape': (), 'fortran_order': False, 'descr': '>i8'}";
        assert_eq!(parse(text), parsed(">i8", false, &[]));
        let text = "{'descr': '<i4', 'fortran_order': False, 'shape': (2L, 3L)}";
        assert_eq!(parse(text), parsed("<i4", false, &[2, 3]));
        assert!(
            Header::parse(text, 3).is_err(),
            "no Python 2 wrote version 3"
        );
        let text = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}";
        assert_eq!(kind(&parse(text).unwrap().descr), None);
    }

    /// Python takes the last entry of a key that comes twice.
    #[test]
    fn of_a_key_that_comes_twice_the_last_counts() {
        let text = "{'shape': (9, 9), 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert_eq!(Header::parse(text, 1), parsed("<f4", false, &[2, 3]));
    }

    #[test]
    fn what_numpy_refuses_is_refused() {
        for (text, reason) in [
            ("", "expected `{`"),
            ("{}", "entries"),
            ("{'descr': '<f4', 'shape': (1,)}", "entries"),
            ("'descr'", "expected `{`"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
                "a size",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (7), }",
                "a tuple",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': 7, }",
                "expected `(`",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (07,), }",
                "a size",
            ),
            (
                "{'descr': '<f4', 'fortran_order': 0, 'shape': (7,), }",
                "True or False",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (7,), 'x': 1}",
                "\"x\"",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (7,)} x",
                "its end",
            ),
            (
                "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (7,)}",
                "in quotes",
            ),
            ("{'descr': [('a', '<f4'", "its end"),
        ] {
            let error = Header::parse(text, 1).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn headers_are_written_as_numpy_does() {
        let bytes = header("<f4", false, &[2, 3]);
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!((bytes.len(), bytes[127]), (128, b'\n'));
        assert_eq!(std::str::from_utf8(&bytes[10..]).unwrap().trim_end(), text);
        let one = header("|u1", true, &[7]);
        let text = String::from_utf8_lossy(&one);
        assert!(text.contains("'fortran_order': True, 'shape': (7,), }"));
    }

    #[test]
    fn element_types_go_round() {
        for (text, expected) in [
            ("<f4", (Kind::Float(4), false)),
            ("<f2", (Kind::Float(2), false)),
            (">i8", (Kind::Signed(8), true)),
            ("|u1", (Kind::Unsigned(1), false)),
            ("|b1", (Kind::Bool, false)),
            (">U7", (Kind::Text(7), true)),
            ("|S3", (Kind::Ascii(3), false)),
        ] {
            assert_eq!(kind(text), Some(expected), "{text}");
            assert_eq!(descr(expected.0, expected.1), text);
        }
        for descr in [
            "|O", "<f16", "<c8", "<M8[ns]", "f4", "<u3", "<U0", "<f+4", "", "<",
        ] {
            assert_eq!(kind(descr), None, "{descr}");
        }
    }
}
