//! A BLAKE3 digest that stands inside of the text or file that it is of: it is taken with zeros in its
//! own place, so that every other byte counts.

use blake3::Hasher;
use std::ops::Range;

/// The key of the digest in JSON.
pub const KEY: &str = "blake3";

/// What stands in the digest's place until [`seal`] fills it in.
pub const OPEN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What stands before the digest. Inside of a JSON string its quotes would be escaped.
const MARK: &[u8] = b"\"blake3\":\"";

/// Fills in the digest in the first place for one.
///
/// # Panics
/// Bytes without `"blake3":"`, [`OPEN`] and a quote.
pub fn seal(bytes: &mut [u8]) {
    let place = place(bytes).filter(|place| &bytes[place.clone()] == OPEN.as_bytes());
    let Some(place) = place else {
        unreachable!("what is sealed has a place for its digest");
    };
    let digest = digest(bytes, &place);
    bytes[place].copy_from_slice(digest.as_bytes());
}

/// Whether there is a digest that fits.
pub fn holds(bytes: &[u8]) -> bool {
    place(bytes).is_some_and(|place| digest(bytes, &place).as_bytes() == &bytes[place])
}

fn place(bytes: &[u8]) -> Option<Range<usize>> {
    let mut windows = bytes.windows(MARK.len());
    let start = windows.position(|window| window == MARK)? + MARK.len();
    let end = start + OPEN.len();
    (bytes.get(end) == Some(&b'"')).then_some(start..end)
}

fn digest(bytes: &[u8], place: &Range<usize>) -> String {
    let mut hasher = Hasher::new();
    hasher.update(&bytes[..place.start]);
    hasher.update(OPEN.as_bytes());
    hasher.update(&bytes[place.end..]);
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts() {
        let text = format!(r#"{{"{KEY}":"{OPEN}","a":"\"blake3\":\"","b":[1.5]}}"#);
        let mut bytes = text.clone().into_bytes();
        assert!(!holds(&bytes));
        seal(&mut bytes);
        assert!(holds(&bytes) && bytes.len() == text.len());
        for bit in 0..8 * bytes.len() {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&bytes), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..bytes.len() {
            assert!(!holds(&bytes[..cut]), "{cut}");
        }
    }
}
