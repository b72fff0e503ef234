//! Whether the arrays of a set, or of two files, are in one range of values.

use std::path::Path;

use super::npy::{Array, Kind};
use super::rows::BRIGHT;
use crate::doubt::Doubt;
use crate::error::DataError;

/// Times that the largest value of a part may be that of another.
const FAR: f64 = 50.0;

/// The least and the largest value of some rows, and what messages call these.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub what: String,
    pub least: f64,
    pub most: f64,
}

impl Span {
    pub fn of(what: &str, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| {
            (a.min(value), b.max(value))
        });
        Self {
            what: what.to_owned(),
            least,
            most,
        }
    }

    fn of_array(path: &Path, array: &Array) -> Result<Self, DataError> {
        Ok(Self::of(&format!("`{}`", array.key), array.floats(path)?))
    }

    /// Pixels of 0 to 1, and not all of them black.
    fn is_unit(&self) -> bool {
        self.least >= 0.0 && self.most <= 1.0 && self.most > 0.0
    }

    fn largest(&self) -> f64 {
        self.most.abs().max(self.least.abs())
    }

    fn said(&self) -> String {
        format!(
            "{} has values of {} to {}",
            self.what, self.least, self.most
        )
    }
}

/// What is to be said of float rows of these spans, the first that of the training rows.
///
/// # Errors
/// Images of which some are in 0..=1 and others in 0..=255.
pub(crate) fn together(
    path: &Path,
    spans: &[Span],
    images: bool,
) -> Result<Vec<String>, DataError> {
    let unit = spans.iter().find(|span| span.is_unit());
    let byte = spans
        .iter()
        .find(|span| span.least >= 0.0 && span.most >= BRIGHT);
    if let (true, Some(unit), Some(byte)) = (images, unit, byte) {
        return Err(Doubt::Ranges {
            path: path.to_path_buf(),
            key: unit.what.trim_matches('`').to_owned(),
            first: unit.said(),
            second: byte.said(),
        }
        .into());
    }
    let Some((first, others)) = spans.split_first() else {
        return Ok(Vec::new());
    };
    let far = |span: &&Span| {
        let (a, b) = (first.largest(), span.largest());
        a > 0.0 && b > 0.0 && (b / a >= FAR || a / b >= FAR)
    };
    let said = others.iter().filter(far).map(|span| {
        format!(
            "{}, and {}: are both in the same units? Scale both by what was fitted on the training rows, or neither",
            first.said(),
            span.said()
        )
    });
    Ok(said.collect())
}

/// As [`together`], of the float arrays among `arrays`.
pub(crate) fn check(
    path: &Path,
    arrays: &[&Array],
    images: bool,
) -> Result<Vec<String>, DataError> {
    let floats = arrays.iter().filter(|array| array.kind.is_float());
    let spans = floats.map(|array| Span::of_array(path, array));
    together(path, &spans.collect::<Result<Vec<_>, _>>()?, images)
}

/// What is to be said of integers that are taken for 8-bit pixels, and are all but black as such: floats like these
/// are refused, but there are dark images. All `arrays` are parts of one set.
pub(crate) fn dark(path: &Path, arrays: &[&Array], images: bool) -> Result<Vec<String>, DataError> {
    let whole = |kind: Kind| matches!(kind, Kind::Unsigned(_) | Kind::Signed(_));
    let integers = arrays.iter().filter(|array| whole(array.kind));
    let spans = integers.map(|array| Span::of_array(path, array));
    let spans = spans.collect::<Result<Vec<_>, _>>()?;
    let most = spans.iter().map(|span| span.most).fold(0.0, f64::max);
    if spans.is_empty() || most == 0.0 {
        return Ok(Vec::new());
    }
    let names = |spans: &[&Span]| {
        let names = spans.iter().map(|span| span.what.clone());
        names.collect::<Vec<_>>().join(", ")
    };
    if most < BRIGHT {
        let all = names(&spans.iter().collect::<Vec<_>>());
        return Ok(vec![match images {
            true => format!(
                "no integer of {all} is above {most}, of 255: almost black; if {most} is white, save them times \
                 (255 / {most}), rounded, as numpy.uint8"
            ),
            false => format!(
                "no integer of {all} is above {most}, and they are computed with as pixels, v / 255: if these are \
                 no pixels, save them .astype(numpy.float32)"
            ),
        }]);
    }
    let bits: Vec<&Span> = spans.iter().filter(|span| span.is_unit()).collect();
    Ok(match bits.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "no integer of {} is above 1, where other parts have up to {most}: are all in the same units?",
            names(&bits)
        )],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(ranges: &[(f64, f64)]) -> Vec<Span> {
        let span = |(at, &(least, most)): (usize, &(f64, f64))| Span {
            what: format!("`x{at}`"),
            least,
            most,
        };
        ranges.iter().enumerate().map(span).collect()
    }

    #[test]
    fn images_of_two_ranges_are_refused_and_tables_told() {
        let path = Path::new("a.npz");
        for mixed in [[(0.0, 1.0), (0.0, 255.0)], [(0.0, 200.0), (0.1, 0.9)]] {
            let mixed = spans(&mixed);
            let error = together(path, &mixed, true).unwrap_err().to_string();
            assert!(error.contains("not in one range"), "{error}");
            assert_eq!(together(path, &mixed, false).unwrap().len(), 1);
        }
        for fine in [
            [(0.0, 1.0), (0.0, 1.0)],
            [(0.0, 255.0), (0.0, 90.0)],
            [(-3.0, 3.0), (-2.5, 9.0)],
            [(0.0, 255.0), (0.0, 0.0)],
        ] {
            assert!(together(path, &spans(&fine), true).unwrap().is_empty());
            assert!(together(path, &spans(&fine), false).unwrap().is_empty());
        }
    }

    #[test]
    fn integers_that_are_almost_black_are_told() {
        let path = Path::new("a.npz");
        let said = |parts: &[&[i64]]| {
            let arrays: Vec<Array> = parts.iter().map(|p| Array::of_integers("x", p)).collect();
            let said = dark(path, &arrays.iter().collect::<Vec<_>>(), true);
            said.unwrap().join("; ")
        };
        assert!(said(&[&[0, 16], &[0, 9]]).contains("times (255 / 16)"));
        assert!(said(&[&[0, 255], &[0, 1]]).contains("same units"));
        assert_eq!([said(&[&[0, 255]]), said(&[&[0, 0]])], ["", ""]);
    }
}
