//! Shapes as text.

use super::config::{Block, Shape, ShapeError, Stage};
use std::fmt;
use std::str::FromStr;

/// Depths and widths of the published networks with a name of their own: WRN-34-R (Huang, Wang,
/// Erfani, Gu, Bailey, Ma 2021) and the compound scalings of Huang et al. 2023.
const NAMED: [(&str, [usize; 3], [usize; 3]); 5] = [
    ("34-r", [5, 5, 5], [20, 20, 8]),
    ("a1", [14, 14, 7], [5, 7, 3]),
    ("a2", [17, 17, 8], [7, 9, 4]),
    ("a3", [22, 22, 11], [8, 11, 5]),
    ("a4", [27, 28, 13], [10, 14, 6]),
];

impl Shape {
    /// Basic blocks on the published base of 16.
    pub fn new(depths: [usize; 3], widths: [usize; 3], robust: [bool; 3]) -> Self {
        let stages = [0, 1, 2].map(|i| Stage {
            depth: depths[i],
            width: widths[i],
            robust: robust[i],
        });
        Self {
            base: 16,
            block: Block::Basic,
            stages,
        }
    }

    /// Reads `wrn-28-10` (three stages of `n` blocks for a depth of `6n + 4`, all of one width),
    /// `wrn-34-r`, `wrn-a1` to `wrn-a4`, or depths, widths and, by 0 or 1, which stages have a robust
    /// block appended: `d14,14,7-w5,7,3-r001`, where `-r` may be missing. With `rrn-` in place of `wrn-`,
    /// or before `d`, all blocks are robust ones. `-b8` at the end is a base of 8 channels.
    ///
    /// # Errors
    /// Other text, and shapes that [`Shape::check`] refuses.
    pub fn parse(text: &str) -> Result<Self, ShapeError> {
        let wrong = |reason: &str| ShapeError::Text {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let lower = text.to_ascii_lowercase();
        let (family, base) = match lower.rsplit_once("-b") {
            Some((family, base)) => {
                let base = number(base).ok_or_else(|| wrong("its base is not a number"))?;
                (family, base)
            }
            None => (lower.as_str(), 16),
        };
        let (block, rest) = match (family.strip_prefix("rrn-"), family.strip_prefix("wrn-")) {
            (Some(rest), _) => (Block::Robust, rest),
            (_, Some(rest)) => (Block::Basic, rest),
            _ if family.starts_with('d') => (Block::Basic, family),
            _ => return Err(wrong("it begins with neither wrn-, rrn- nor d")),
        };
        let shape = if let Some((_, depths, widths)) = NAMED.iter().find(|n| n.0 == rest) {
            Self::new(*depths, *widths, [false; 3])
        } else if let Some(list) = rest.strip_prefix('d') {
            listed(list).map_err(wrong)?
        } else {
            uniform(rest).map_err(wrong)?
        };
        let shape = Self {
            base,
            block,
            ..shape
        };
        shape.check()?;
        Ok(shape)
    }

    fn depths(&self) -> [usize; 3] {
        self.stages.map(|s| s.depth)
    }

    fn widths(&self) -> [usize; 3] {
        self.stages.map(|s| s.width)
    }
}

fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `28-10`.
fn uniform(text: &str) -> Result<Shape, &'static str> {
    let (depth, width) = text.split_once('-').ok_or("it has no width")?;
    let depth = number(depth).ok_or("its depth is not a number")?;
    let width = number(width).ok_or("its width is not a number")?;
    if depth < 10 || (depth - 4) % 6 != 0 {
        return Err("its depth is not 6n + 4, n at least 1");
    }
    Ok(Shape::new([(depth - 4) / 6; 3], [width; 3], [false; 3]))
}

/// `14,14,7-w5,7,3-r001`.
fn listed(text: &str) -> Result<Shape, &'static str> {
    let three = |list: &str| {
        let numbers: Option<Vec<usize>> = list.split(',').map(number).collect();
        numbers.and_then(|n| <[usize; 3]>::try_from(n).ok())
    };
    let (depths, rest) = text.split_once("-w").ok_or("it has no widths")?;
    let (widths, flags) = rest.split_once("-r").unwrap_or((rest, "000"));
    let depths = three(depths).ok_or("its depths are not three numbers")?;
    let widths = three(widths).ok_or("its widths are not three numbers")?;
    let flags = match flags.as_bytes() {
        [a, b, c] if [a, b, c].iter().all(|f| matches!(f, b'0' | b'1')) => {
            [a, b, c].map(|f| *f == b'1')
        }
        _ => return Err("its robust blocks are not three digits 0 or 1"),
    };
    Ok(Shape::new(depths, widths, flags))
}

/// A published name where there is one.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (d, w) = (self.depths(), self.widths());
        let family = match self.block {
            Block::Basic => "wrn-",
            Block::Robust => "rrn-",
        };
        let robust = self.stages.map(|s| u8::from(s.robust));
        let named = NAMED.iter().find(|n| (n.1, n.2) == (d, w));
        match named {
            _ if robust != [0; 3] => self.write_list(f, robust)?,
            Some((name, ..)) => write!(f, "{family}{name}")?,
            None if d == [d[0]; 3] && w == [w[0]; 3] => {
                write!(f, "{family}{}-{}", 6 * d[0] + 4, w[0])?;
            }
            None => self.write_list(f, robust)?,
        }
        match self.base {
            16 => Ok(()),
            base => write!(f, "-b{base}"),
        }
    }
}

impl Shape {
    fn write_list(&self, f: &mut fmt::Formatter<'_>, [i, j, k]: [u8; 3]) -> fmt::Result {
        if self.block == Block::Robust {
            f.write_str("rrn-")?;
        }
        let ([a, b, c], [x, y, z]) = (self.depths(), self.widths());
        write!(f, "d{a},{b},{c}-w{x},{y},{z}-r{i}{j}{k}")
    }
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, ShapeError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let texts = [
            "wrn-28-10",
            "wrn-16-2",
            "wrn-34-r",
            "wrn-a1",
            "rrn-a4",
            "rrn-28-10",
            "d5,5,5-w20,20,8-r001",
            "d2,1,1-w1,2,1-r000-b4",
            "rrn-d2,1,1-w1,2,1-r100-b4",
            "wrn-10-1-b2",
        ];
        for text in texts {
            assert_eq!(Shape::parse(text).unwrap().to_string(), text);
        }
        let same = [
            ("d14,14,7-w5,7,3", "wrn-a1"),
            ("D5,5,5-W10,10,10", "wrn-34-10"),
            ("WRN-28-10-b16", "wrn-28-10"),
            ("wrn-d4,4,4-w10,10,10-r000", "wrn-28-10"),
        ];
        for (text, written) in same {
            assert_eq!(Shape::parse(text).unwrap().to_string(), written);
        }
        let shape = Shape::parse("rrn-d2,1,3-w4,5,6-r010-b8").unwrap();
        assert_eq!((shape.base, shape.block), (8, Block::Robust));
        assert_eq!((shape.depths(), shape.widths()), ([2, 1, 3], [4, 5, 6]));
        assert_eq!(shape.stages.map(|s| s.robust), [false, true, false]);
        assert_eq!([0, 1, 2].map(|i| shape.channels(i)), [128, 320, 768]);
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_reason() {
        let cases = [
            ("resnet18", "begins with neither"),
            ("wrn-28", "no width"),
            ("wrn-27-10", "6n + 4"),
            ("wrn-4-10", "6n + 4"),
            ("wrn-28-x", "width is not a number"),
            ("wrn-28-+1", "width is not a number"),
            ("d1,2-w1,1,1", "depths are not three"),
            ("d1,2,3", "no widths"),
            ("d1,2,3-w1,1,1,1", "widths are not three"),
            ("d1,2,3-w1,1,1-r01", "three digits"),
            ("d1,2,3-w1,1,1-b", "base is not a number"),
            (
                "wrn-28-0",
                "width of a stage of a network is 0, expected 1 to 128",
            ),
            ("d0,1,1-w1,1,1", "depth of a stage of a network is 0"),
            ("wrn-28-10-b65", "base of a network is 65, expected 1 to 64"),
            ("wrn-99999999999999999999-1", "depth is not a number"),
        ];
        for (text, reason) in cases {
            let error = Shape::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}: no {reason}");
        }
    }
}
