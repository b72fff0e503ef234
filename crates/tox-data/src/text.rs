//! Text of others (names, titles, messages, cells) on its way to a terminal, a shell or a table.

use std::borrow::Cow;
use std::fmt::Write;

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
    fn control_characters_are_shown_and_words_are_left_alone() {
        assert!(matches!(printable("a b\n\tß 漢"), Cow::Borrowed(_)));
        assert_eq!(printable("a\u{1b}[31mb\r"), r"a\u{1b}[31mb\u{d}");
        assert_eq!(printable("\u{9b}2J\u{202e}x"), r"\u{9b}2J\u{202e}x");
        assert_eq!(one_line("a\nb\u{7}"), r"a\nb\u{7}");
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
