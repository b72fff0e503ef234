//! Reads the texts that name architectures: names, quoted texts, numbers and marks, with places.

use super::bad::BadOp;
use super::error::{Place, SpaceError, hint};

/// A piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Letters, digits and underscores that begin with no digit.
    Name(&'a str),
    /// What stands between single or double quotes.
    Quoted(&'a str),
    /// A number without a sign.
    Number(usize),
    /// Any other character.
    Mark(char),
    End,
}

/// The beginning of what was found, for messages.
pub(super) fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

impl Token<'_> {
    fn describe(self) -> String {
        match self {
            Token::Name(name) => format!("`{}`", short(name)),
            Token::Quoted(text) => format!("'{}'", short(text)),
            Token::Number(number) => format!("`{number}`"),
            Token::Mark(mark) => format!("`{}`", mark.escape_debug()),
            Token::End => "the end of the text".to_owned(),
        }
    }
}

/// Reads tokens one by one. White space and comments (`#` to the end of the line) are skipped.
pub(super) struct Reader<'a> {
    text: &'a str,
    /// Byte at which the next token, or the space before it, begins.
    at: usize,
    /// How the whole is written, for messages.
    form: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, form: &'static str) -> Self {
        Self { text, at: 0, form }
    }

    /// The place of byte `at`.
    pub(super) fn place(&self, at: usize) -> Place {
        let before = &self.text[..at];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    fn skip_space(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at = self.text.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    /// The next token, where it begins, and the byte behind it.
    fn scan(&mut self) -> Result<(Token<'a>, usize, usize), SpaceError> {
        self.skip_space();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, start, start));
        };
        let while_in = |inside: fn(char) -> bool| {
            let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
            (&rest[..end], start + end)
        };
        if first == '_' || first.is_ascii_alphabetic() {
            let (name, end) = while_in(|c| c == '_' || c.is_ascii_alphanumeric());
            return Ok((Token::Name(name), start, end));
        }
        if first.is_ascii_digit() {
            let (digits, end) = while_in(|c| c.is_ascii_digit());
            let number = digits.parse();
            let number = number.map_err(|_| self.wrong("a smaller number", digits, start))?;
            return Ok((Token::Number(number), start, end));
        }
        if first == '\'' || first == '"' {
            let inside = &rest[1..];
            let end = inside.find([first, '\n']).unwrap_or(inside.len());
            if !inside[end..].starts_with(first) {
                let expected = format!("`{first}` to close the quotes that open here");
                return Err(self.wrong(&expected, "none", start));
            }
            return Ok((Token::Quoted(&inside[..end]), start, start + end + 2));
        }
        Ok((Token::Mark(first), start, start + first.len_utf8()))
    }

    fn wrong(&self, expected: &str, found: &str, at: usize) -> SpaceError {
        SpaceError::Syntax {
            expected: expected.to_owned(),
            found: short(found),
            place: self.place(at),
            form: self.form,
        }
    }

    /// Takes the next token, and the byte at which it begins, if `take` wants it; else says that
    /// `expected` was expected.
    fn take<T>(
        &mut self,
        expected: &str,
        take: impl FnOnce(Token<'a>) -> Option<T>,
    ) -> Result<(T, usize), SpaceError> {
        let (token, start, end) = self.scan()?;
        match take(token) {
            Some(taken) => {
                self.at = end;
                Ok((taken, start))
            }
            None => Err(self.wrong(expected, &token.describe(), start)),
        }
    }

    fn fixed(&mut self, expected: &str, wanted: Token<'_>) -> Result<(), SpaceError> {
        let taken = self.take(expected, |token| (token == wanted).then_some(()));
        taken.map(|_| ())
    }

    /// Takes `mark` if it comes next.
    pub(super) fn skip(&mut self, mark: char) -> Result<bool, SpaceError> {
        self.skip_token(Token::Mark(mark))
    }

    pub(super) fn mark(&mut self, mark: char) -> Result<(), SpaceError> {
        self.fixed(&format!("`{mark}`"), Token::Mark(mark))
    }

    /// Takes `word` if it comes next.
    pub(super) fn skip_word(&mut self, word: &str) -> Result<bool, SpaceError> {
        self.skip_token(Token::Name(word))
    }

    fn skip_token(&mut self, wanted: Token<'_>) -> Result<bool, SpaceError> {
        let (token, _, end) = self.scan()?;
        if token == wanted {
            self.at = end;
        }
        Ok(token == wanted)
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), SpaceError> {
        self.fixed(&format!("`{word}`"), Token::Name(word))
    }

    /// Takes a name and `=` if both come next.
    pub(super) fn skip_assignment(&mut self) -> Result<(), SpaceError> {
        let before = self.at;
        if let (Token::Name(_), _, end) = self.scan()? {
            self.at = end;
            if !self.skip('=')? {
                self.at = before;
            }
        }
        Ok(())
    }

    /// One of two opening brackets; gives the closing one.
    pub(super) fn open(&mut self, expected: &str) -> Result<char, SpaceError> {
        let bracket = self.take(expected, |t| match t {
            Token::Mark('[') => Some(']'),
            Token::Mark('(') => Some(')'),
            _ => None,
        });
        bracket.map(|(close, _)| close)
    }

    /// After an item of a list: whether another comes. A comma may stand before `close`.
    pub(super) fn more(&mut self, close: char) -> Result<bool, SpaceError> {
        let expected = format!("`,` or `{close}`");
        let (comma, _) = self.take(&expected, |t| match t {
            Token::Mark(',') => Some(true),
            Token::Mark(mark) if mark == close => Some(false),
            _ => None,
        })?;
        Ok(comma && !self.skip(close)?)
    }

    /// A name and the byte at which it begins.
    pub(super) fn name(&mut self, expected: &str) -> Result<(&'a str, usize), SpaceError> {
        self.take(expected, |t| match t {
            Token::Name(name) => Some(name),
            _ => None,
        })
    }

    /// As [`Reader::name`], with the numbers in brackets that follow it at once, if any do.
    pub(super) fn called(&mut self, expected: &str) -> Result<(&'a str, usize), SpaceError> {
        let (name, at) = self.name(expected)?;
        let rest = &self.text[at + name.len()..];
        match rest.strip_prefix('(').and_then(|rest| rest.find(')')) {
            Some(close) => {
                self.at = at + name.len() + close + 2;
                Ok((&self.text[at..self.at], at))
            }
            None => Ok((name, at)),
        }
    }

    /// A text in quotes and the byte at which it begins.
    pub(super) fn quoted(&mut self, expected: &str) -> Result<(&'a str, usize), SpaceError> {
        self.take(expected, |t| match t {
            Token::Quoted(text) => Some(text),
            _ => None,
        })
    }

    pub(super) fn number(&mut self, expected: &str) -> Result<usize, SpaceError> {
        let number = self.take(expected, |t| match t {
            Token::Number(number) => Some(number),
            _ => None,
        });
        number.map(|(number, _)| number)
    }

    /// `number` and no other.
    pub(super) fn exactly(&mut self, number: usize, what: &str) -> Result<(), SpaceError> {
        self.fixed(&format!("`{number}`, {what}"), Token::Number(number))
    }

    pub(super) fn end(&mut self) -> Result<(), SpaceError> {
        self.fixed("the end of the text", Token::End)
    }

    /// The op of `all`, or the bad op, whose name stands at byte `at`.
    pub(super) fn op<T: Copy + From<BadOp>>(
        &self,
        all: &[T],
        name: fn(T) -> &'static str,
        found: (&str, usize),
    ) -> Result<T, SpaceError> {
        match found.0.parse::<BadOp>() {
            Ok(bad) => Ok(bad.into()),
            Err(_) => self.known_op(all, name, found),
        }
    }

    /// The op of `all` whose name stands at byte `at`.
    fn known_op<T: Copy>(
        &self,
        all: &[T],
        name: fn(T) -> &'static str,
        (found, at): (&str, usize),
    ) -> Result<T, SpaceError> {
        if let Some(op) = all.iter().find(|op| name(**op) == found) {
            return Ok(*op);
        }
        let known: Vec<&str> = all.iter().map(|op| name(*op)).collect();
        Err(SpaceError::UnknownOp {
            found: short(found),
            place: self.place(at),
            hint: hint(found, &known),
            known: known.join(", "),
        })
    }
}
