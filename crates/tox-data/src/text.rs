//! Text of others (names, titles, messages, cells) on its way to a terminal, a shell or a table.

use std::borrow::Cow;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

/// Most bytes of a text that a person writes, such as a recipe.
const MOST_BYTES: u64 = 4 << 20;

/// The text of a file that a person writes, which may be a pipe. What never ends, such as a device, is not
/// read to its end.
///
/// # Errors
/// When it cannot be read, is no UTF-8, or is longer than 4 MiB.
pub fn read(path: &Path) -> std::io::Result<String> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        let most = MOST_BYTES >> 20;
        let message = format!("it is longer than {most} MiB, the most of a file that people write");
        return Err(std::io::Error::other(message));
    }
    let refuse = |_| std::io::Error::other("it is no text (UTF-8)");
    String::from_utf8(text).map_err(refuse)
}

/// What serde says of a value of another type, in words of who wrote it: `is "two", expected a number`. Other messages
/// are as they are.
pub fn of_type(message: &str) -> Cow<'_, str> {
    let kinds = ["invalid type: ", "invalid value: ", "invalid length: "];
    let rest = kinds.iter().find_map(|kind| message.strip_prefix(kind));
    let Some((found, expected)) = rest.and_then(|rest| rest.split_once(", expected ")) else {
        return Cow::Borrowed(message);
    };
    let (expected, place) = match expected.find(" at line ") {
        Some(at) => expected.split_at(at),
        None => (expected, ""),
    };
    let value = [
        "string ",
        "integer ",
        "floating point ",
        "boolean ",
        "character ",
    ];
    let value = value.iter().find_map(|kind| found.strip_prefix(kind));
    let found = match (value, found) {
        (Some(value), _) => value.trim_matches('`'),
        (None, "map") => "a table of keys",
        (None, "sequence") => "a list",
        (None, "unit value" | "null") => "nothing",
        (None, found) => found,
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table of keys",
        "a boolean" => "true or false",
        "string or map" => "a name, or a table of one key",
        expected if expected.starts_with("struct ") => "a table of keys",
        expected => expected,
    };
    Cow::Owned(format!("is {found}, expected {expected}{place}"))
}

/// `text` with its control characters written as `\u{1b}`, so that it cannot move a terminal's cursor,
/// colour it or set its title. Line feeds and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            // Writing into a string has no way to fail.
            let _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// [`printable`], and in one line: line feeds and tabs are escaped too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let shown = printable(text);
    if shown.contains(['\n', '\t']) {
        Cow::Owned(shown.replace('\n', "\\n").replace('\t', "\\t"))
    } else {
        shown
    }
}

/// JSON with the characters that [`printable`] shows written as `\u009b`, which JSON reads back. Outside of
/// strings it has none.
pub fn json_printable(json: &str) -> Cow<'_, str> {
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hidden(c) {
            // All of them are of the first plane.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// `text` as a cell that no spreadsheet takes for a formula: in one line, and with an apostrophe before it
/// where it begins as formulas do and is no number (OWASP, "CSV Injection").
pub fn cell(text: &str) -> Cow<'_, str> {
    let text = one_line(text);
    if text.starts_with(FORMULA) && text.parse::<f64>().is_err() {
        Cow::Owned(format!("'{text}"))
    } else {
        text
    }
}

/// The text that [`cell`] was given, but for control characters.
pub fn of_cell(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if text.starts_with(FORMULA) => text,
        _ => cell,
    }
}

/// How formulas begin. A tab is escaped before.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// C0, DEL and C1 controls, and the marks that reverse the direction of what follows.
fn hidden(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `word` as a POSIX shell takes it for one word, whatever is in it; as it is where that will do.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_without_the_names_of_rust() {
        for (said, told) in [
            (
                "invalid type: string \"two\", expected usize",
                "is \"two\", expected a whole number, 0 or more",
            ),
            (
                "invalid type: floating point `1.5`, expected u64",
                "is 1.5, expected a whole number, 0 or more",
            ),
            (
                "invalid type: integer `3`, expected struct ChildConfig",
                "is 3, expected a table of keys",
            ),
            (
                "invalid type: sequence, expected f64 at line 1 column 9",
                "is a list, expected a number at line 1 column 9",
            ),
            (
                "invalid type: map, expected a boolean",
                "is a table of keys, expected true or false",
            ),
            (
                "invalid length 3, expected 2",
                "invalid length 3, expected 2",
            ),
            ("missing field `x`", "missing field `x`"),
        ] {
            assert_eq!(of_type(said), told);
        }
    }

    #[test]
    fn control_characters_are_shown_and_words_are_left_alone() {
        assert!(matches!(printable("a b\n\tß 漢"), Cow::Borrowed(_)));
        assert_eq!(printable("a\u{1b}[31mb\r"), r"a\u{1b}[31mb\u{d}");
        assert_eq!(printable("\u{9b}2J\u{202e}x"), r"\u{9b}2J\u{202e}x");
        assert_eq!(one_line("a\nb\u{7}"), r"a\nb\u{7}");
    }

    #[test]
    fn json_stays_json() {
        let text = "a\u{7f}b\u{9b}2J\u{202e}c\u{1b}\n\"";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = json_printable(&json);
        assert!(matches!(printable(&shown), Cow::Borrowed(_)), "{shown}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
    }

    #[test]
    fn cells_are_no_formulas_and_numbers_are_left_alone() {
        for text in ["-1.5", "+3", "1e-7", "-inf", "a=b", "", "'quoted'", "mnist"] {
            assert_eq!(cell(text), text);
            assert_eq!(of_cell(text), text);
        }
        for text in ["=cmd|' /C calc'!A0", "+1+2", "-2+3", "@SUM(A1)", "-"] {
            assert_eq!(cell(text), format!("'{text}"));
            assert_eq!(of_cell(&cell(text)), text);
        }
        assert_eq!(cell("\t=1"), r"\t=1");
        assert_eq!(cell("a\u{1b}[31m\rb\nc"), r"a\u{1b}[31m\u{d}b\nc");
    }

    #[test]
    fn a_shell_reads_back_the_word() {
        assert!(matches!(shell_word("runs/a-b_1.npz"), Cow::Borrowed(_)));
        for word in [
            "", "my runs", "it's", "$HOME", "a\"b", "`x`", "*", "#", "~", "a\nb", "ß", "-",
        ] {
            let out = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", shell_word(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
    }
}
