//! The types of elements.

/// Type of an element, with its width in bytes, or in characters if it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Unsigned(usize),
    Signed(usize),
    Float(usize),
    /// Four bytes a character.
    Text(usize),
    /// One byte a character.
    Ascii(usize),
}

impl Kind {
    /// In bytes.
    pub fn width(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Unsigned(width) | Self::Signed(width) | Self::Float(width) => width,
            Self::Text(width) => 4 * width,
            Self::Ascii(width) => width,
        }
    }

    /// As NumPy calls it.
    pub fn name(self) -> String {
        match self {
            Self::Bool => "bool".to_owned(),
            Self::Unsigned(width) => format!("uint{}", 8 * width),
            Self::Signed(width) => format!("int{}", 8 * width),
            Self::Float(width) => format!("float{}", 8 * width),
            Self::Text(width) => format!("<U{width} (text)"),
            Self::Ascii(width) => format!("|S{width} (text)"),
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::Text(_) | Self::Ascii(_))
    }

    pub fn is_float(self) -> bool {
        matches!(self, Self::Float(_))
    }
}
