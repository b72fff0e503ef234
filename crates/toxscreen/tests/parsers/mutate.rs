//! Damage: of bytes, of numbers in binary files and in text, of lines and tokens.

use rand::{Rng, RngExt};

/// Lengths, counts and offsets that break arithmetic.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// What stands in place of a number or a word in a text.
const WORDS: [&str; 34] = [
    "0",
    "-1",
    "1e999",
    "-0.0",
    "nan",
    "NaN",
    "inf",
    "1e-400",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "0.1",
    "2147483648",
    "true",
    "null",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "{",
    "}",
    "\"",
    "'",
    ",",
    "\u{0}",
    "\u{1b}[31m",
    "\u{feff}",
    "é",
    "𝕏",
    "\r\n",
    "../../x",
    "=1+1",
    "#",
];

/// One to eight pieces of damage to `input`; `others` are spliced in, `words` are the format's own.
pub fn damage(rng: &mut impl Rng, input: &[u8], others: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    // Mostly one or two: a parser stops at the first.
    for _ in 0..1 << rng.random_range(0..4) {
        one(rng, &mut bytes, others, words);
    }
    bytes
}

fn one(rng: &mut impl Rng, bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str]) {
    let n = bytes.len();
    if n == 0 {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..n);
    let to = (at + 1 + rng.random_range(0..n.min(64))).min(n);
    match rng.random_range(0..13) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..to)),
        4 => {
            let part = bytes[at..to].to_vec();
            bytes.splice(at..at, part);
        }
        5 => {
            let many = rng.random_range(1..64);
            let byte = rng.random();
            bytes.splice(at..at, std::iter::repeat_n(byte, many));
        }
        6 | 7 => number(rng, bytes, at),
        8 => {
            let other = &others[rng.random_range(0..others.len())];
            let from = rng.random_range(0..=other.len());
            let end = rng.random_range(from..=other.len());
            bytes.splice(at..to, other[from..end].iter().copied());
        }
        9 => swap_lines(rng, bytes),
        _ => token(rng, bytes, at, words),
    }
}

/// Writes an unlucky number over 2, 4 or 8 bytes, in either order.
fn number(rng: &mut impl Rng, bytes: &mut [u8], at: usize) {
    let value = NUMBERS[rng.random_range(0..NUMBERS.len())];
    let width = [2, 4, 8][rng.random_range(0..3)].min(bytes.len() - at);
    let little = value.to_le_bytes();
    let big = value.to_be_bytes();
    let number = match rng.random() {
        true => &little[..width],
        false => &big[8 - width..],
    };
    bytes[at..at + width].copy_from_slice(number);
}

fn swap_lines(rng: &mut impl Rng, bytes: &mut Vec<u8>) {
    let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
    let (a, b) = (
        rng.random_range(0..lines.len()),
        rng.random_range(0..lines.len()),
    );
    match rng.random() {
        true => lines.swap(a, b),
        false => lines.insert(a, lines[b]),
    }
    *bytes = lines.join(&b'\n');
}

/// Puts a word in the place of the number or name at `at`, or before it.
fn token(rng: &mut impl Rng, bytes: &mut Vec<u8>, at: usize, words: &[&str]) {
    let part = |b: &u8| b.is_ascii_alphanumeric() || b"._-+".contains(b);
    let from = at - bytes[..at].iter().rev().take_while(|b| part(b)).count();
    let to = at + bytes[at..].iter().take_while(|b| part(b)).count();
    let own = !words.is_empty() && rng.random();
    let word = match own {
        true => words[rng.random_range(0..words.len())],
        false => WORDS[rng.random_range(0..WORDS.len())],
    };
    let to = if rng.random_range(0..4) == 0 {
        from
    } else {
        to
    };
    bytes.splice(from..to, word.bytes());
}
