//! How an array holds rows, and its elements as 8-bit pixels or as features.

use std::path::Path;

use super::npy::{Array, Kind};
use super::units;
use crate::error::DataError;
use crate::format::array::{Layout, Values};

/// Floats are pixels of 0..=255, and not of 0..=1, if the largest is at least this.
pub(super) const BRIGHT: f64 = 64.0;

/// How an array holds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub layout: Layout,
    pub rows: usize,
    /// In the file; 4 are 3 and transparency.
    channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Grid {
    /// Of features: (N, D), or images.
    pub fn of(path: &Path, array: &Array) -> Result<Self, DataError> {
        match array.shape[..] {
            [0, _] | [_, 0] => Err(shape(
                path,
                array,
                "at least one row and one column",
                String::new(),
            )),
            [rows, columns] => Ok(Self {
                layout: Layout::Columns,
                rows,
                channels: 1,
                height: 1,
                width: columns,
            }),
            [rows] => Err(shape(
                path,
                array,
                "(N, D), or that of images: (N, H, W), (N, H, W, C), (N, C, H, W)",
                format!(
                    "of {rows} rows of one feature make {0} = {0}.reshape(-1, 1)",
                    array.key
                ),
            )),
            _ => Self::of_pictures(path, array),
        }
    }

    /// Of images: as they are, or flat ones that are square.
    pub fn of_images(path: &Path, array: &Array) -> Result<(Self, Option<String>), DataError> {
        let [rows, columns] = array.shape[..] else {
            return Ok((Self::of_pictures(path, array)?, None));
        };
        let side = (columns as f64).sqrt() as usize;
        if side * side != columns || rows == 0 || columns == 0 {
            return Err(shape(
                path,
                array,
                "that of images: (N, H, W), (N, H, W, C) or (N, C, H, W)",
                format!(
                    "this command works on images: if these are pixels, give them their sides with {0} = \
                     {0}.reshape(-1, H, W)",
                    array.key
                ),
            ));
        }
        let grid = Self {
            layout: Layout::Grey,
            rows,
            channels: 1,
            height: side,
            width: side,
        };
        let note = format!(
            "`{}` has rows of {columns} values: they are taken for grey images of {side} x {side}",
            array.key
        );
        Ok((grid, Some(note)))
    }

    fn of_pictures(path: &Path, array: &Array) -> Result<Self, DataError> {
        let coloured = |size: usize| size == 1 || size == 3;
        let (layout, [rows, channels, height, width]) = match array.shape[..] {
            [n, h, w] => (Layout::Grey, [n, 1, h, w]),
            [n, h, w, c] if coloured(c) && !coloured(h) => (Layout::ChannelsLast, [n, c, h, w]),
            [n, c, h, w] if coloured(c) && !coloured(w) => (Layout::ChannelsFirst, [n, c, h, w]),
            [n, h, w, 4] if h != 4 && !coloured(h) => (Layout::ChannelsLast, [n, 4, h, w]),
            [n, 4, h, w] if w != 4 && !coloured(w) => (Layout::ChannelsFirst, [n, 4, h, w]),
            _ => {
                return Err(shape(
                    path,
                    array,
                    "(N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1, 3 or 4 in one place only",
                    format!(
                        "take the channels that are colours, {0} = {0}[..., :3], or put them where no \
                         side has the same size",
                        array.key
                    ),
                ));
            }
        };
        if [rows, height, width].contains(&0) {
            return Err(DataError::Empty {
                path: path.join(&array.key),
            });
        }
        Ok(Self {
            layout,
            rows,
            channels,
            height,
            width,
        })
    }

    /// Without transparency.
    pub fn colours(&self) -> usize {
        self.channels.min(3)
    }

    /// Channels, height and width of a row, if rows are images.
    pub fn shape(&self) -> Option<[usize; 3]> {
        (self.layout != Layout::Columns).then_some([self.colours(), self.height, self.width])
    }

    /// Values of a row that are used.
    pub fn columns(&self) -> usize {
        self.colours() * self.height * self.width
    }

    /// Values of a row in the file.
    pub fn stride(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Place in a row of the file of each value used, which come in C, H, W order.
    pub fn places(&self) -> Vec<usize> {
        let plane = self.height * self.width;
        let place = |column: usize| match self.layout {
            Layout::ChannelsLast => column % plane * self.channels + column / plane,
            Layout::Columns | Layout::Grey | Layout::ChannelsFirst => column,
        };
        (0..self.columns()).map(place).collect()
    }

    /// The values used, of all values of the file.
    fn arranged<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        let places = self.places();
        if self.columns() == self.stride() && places.is_sorted() {
            return values;
        }
        let mut arranged = Vec::with_capacity(self.rows * places.len());
        for row in values.chunks_exact(self.stride()) {
            arranged.extend(places.iter().map(|&place| row[place]));
        }
        arranged
    }

    /// What is left out.
    pub fn note(&self, key: &str) -> Option<String> {
        (self.channels == 4).then(|| {
            format!("`{key}` has four channels: the fourth, taken for transparency, is left out")
        })
    }
}

fn shape(path: &Path, array: &Array, expected: &str, remedy: String) -> DataError {
    let gap = if remedy.is_empty() { "" } else { "; " };
    DataError::NpyShape {
        path: path.to_path_buf(),
        key: array.key.clone(),
        expected: format!("{expected}{gap}{remedy}").into(),
        found: array.shape.clone(),
    }
}

/// What float pixels are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Unit,
    Byte,
}

/// The arrays, all parts of one set, as 8-bit pixels in N, C, H, W order, and what is to be said of them.
///
/// `uint8` is taken as it is, other integers if all are in 0..=255, bools as 0 and 255, floats in 0..=1
/// as `round(255 v)` or in 0..=255 as `round(v)`.
pub(crate) fn pixels(
    path: &Path,
    arrays: Vec<(Array, Grid)>,
) -> Result<(Vec<Vec<u8>>, Vec<String>), DataError> {
    let all: Vec<&Array> = arrays.iter().map(|(array, _)| array).collect();
    let mut notes = units::check(path, &all, true)?;
    notes.extend(units::dark(path, &all, true)?);
    let floats: Vec<&Array> = all.into_iter().filter(|a| a.kind.is_float()).collect();
    let mut largest = f64::NEG_INFINITY;
    for array in &floats {
        largest = array.floats(path)?.fold(largest, f64::max);
    }
    let scale = if largest >= BRIGHT {
        Scale::Byte
    } else {
        Scale::Unit
    };
    let mut all = Vec::new();
    for (array, grid) in arrays {
        notes.extend(grid.note(&array.key));
        if array.bytes().is_some() {
            all.push(grid.arranged(array.into_bytes()));
            continue;
        }
        let refuse = |index: usize, found: f64| DataError::NpyRange {
            path: path.to_path_buf(),
            key: array.key.clone(),
            index,
            found,
            remedy: mend(&array, path),
        };
        let (most, factor) = match (array.kind, scale) {
            (Kind::Float(_), Scale::Byte) => (255.0, 1.0),
            (Kind::Float(_), Scale::Unit) | (Kind::Bool, _) => (1.0, 255.0),
            _ => (255.0, 1.0),
        };
        let (mut values, mut rounded) = (Vec::with_capacity(array.len()), 0usize);
        for (index, value) in array.floats(path)?.enumerate() {
            if !(0.0..=most).contains(&value) {
                return Err(refuse(index, value));
            }
            let pixel = (factor * value).round();
            // Of float32 pixels that were 8-bit once, the last digits differ.
            rounded += usize::from((factor * value - pixel).abs() > 1e-3);
            values.push(pixel as u8);
        }
        let (key, kind) = (&array.key, array.kind.name());
        notes.push(match (array.kind, rounded) {
            (Kind::Bool, _) => format!("`{key}` is bool: False is taken for pixel 0, True for 255"),
            (Kind::Float(_), 0) => format!("`{key}` is {kind} in 0..={most}: taken for 8-bit pixels"),
            (Kind::Float(_), rounded) => format!(
                "`{key}` is {kind} in 0..={most}: taken for 8-bit pixels, for which {rounded} of {} \
                 values were rounded",
                values.len()
            ),
            _ => format!("`{key}` is {kind} in 0..=255: taken for 8-bit pixels"),
        });
        all.push(grid.arranged(values));
    }
    Ok((all, notes))
}

/// The line of NumPy that makes pixels of values in another range.
fn mend(array: &Array, path: &Path) -> String {
    let key = &array.key;
    let (mut least, mut most, mut finite) = (f64::INFINITY, f64::NEG_INFINITY, true);
    for value in array.floats(path).into_iter().flatten() {
        (least, most) = (least.min(value), most.max(value));
        finite &= value.is_finite();
    }
    if !finite {
        return format!(
            "drop the rows that are not finite: keep = numpy.isfinite({key}.reshape(len({key}), -1)).all(1)"
        );
    }
    let range = format!("its values are {least} to {most}");
    let line = if (-1.0..0.0).contains(&least) && most <= 1.0 {
        format!("{key} = (({key} + 1) * 127.5).round().astype(numpy.uint8)")
    } else if least >= 0.0 && most <= 65535.0 && most > 255.0 && most.fract() == 0.0 {
        format!("{key} = ({key} * (255 / {most})).round().astype(numpy.uint8)")
    } else if least >= 0.0 {
        format!("{key} = ({key} * (255 / {key}.max())).round().astype(numpy.uint8)")
    } else {
        return format!(
            "{range}: if they were standardised, undo that, {key} = (({key} * std + mean) * \
             255).round().astype(numpy.uint8)"
        );
    };
    format!("{range}: save {line}")
}

/// The arrays, all parts of one set, as features, and what is to be said of them: 8-bit if all are
/// `uint8`, or images of other integers in 0..=255; else floats in their own units.
pub(crate) fn features(
    path: &Path,
    arrays: &[(&Array, Grid)],
) -> Result<(Vec<Values>, Vec<String>), DataError> {
    let images = |(_, grid): &(&Array, Grid)| grid.layout != Layout::Columns;
    let parts: Vec<&Array> = arrays.iter().map(|(array, _)| *array).collect();
    let mut notes = units::check(path, &parts, arrays.iter().any(images))?;
    let is_pixels = |(array, grid): &(&Array, Grid)| {
        let integers = matches!(array.kind, Kind::Unsigned(_) | Kind::Signed(_));
        let mut values = array.integers(path).into_iter().flatten();
        array.bytes().is_some()
            || grid.layout != Layout::Columns && integers && values.all(|v| (0..=255).contains(&v))
    };
    let eight_bit = arrays.iter().all(is_pixels);
    if eight_bit {
        notes.extend(units::dark(path, &parts, arrays.iter().any(images))?);
    }
    let mut all = Vec::new();
    for (array, grid) in arrays {
        notes.extend(grid.note(&array.key));
        let (key, kind) = (&array.key, array.kind.name());
        all.push(match array.bytes() {
            // Bytes beside floats are told apart by whoever compares the parts.
            Some(bytes) => Values::Bytes(grid.arranged(bytes.to_vec())),
            None if eight_bit => {
                notes.push(format!(
                    "`{key}` is {kind} in 0..=255: taken for 8-bit pixels"
                ));
                let pixels = array.integers(path)?.map(|value| value as u8);
                Values::Bytes(grid.arranged(pixels.collect()))
            }
            None => {
                if grid.layout != Layout::Columns && !array.kind.is_float() && array.kind != Kind::Bool {
                    notes.push(format!(
                        "`{key}` is {kind} beyond 0..=255, no 8-bit pixels: it is computed with in its own units"
                    ));
                }
                let floats = array.reals(path)?;
                let mut pairs = array.floats(path)?.zip(&floats);
                if !pairs.all(|(exact, float)| exact == f64::from(*float)) {
                    notes.push(format!("`{key}` is {kind}: it is computed with as float32"));
                }
                Values::Floats(grid.arranged(floats))
            }
        });
    }
    Ok((all, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: &[usize], values: &[f64]) -> Result<(Vec<Vec<u8>>, Vec<String>), DataError> {
        let path = Path::new("a.npz");
        let array = Array::of_floats("x", shape, values);
        let grid = Grid::of_images(path, &array)?.0;
        pixels(path, vec![(array, grid)])
    }

    #[test]
    fn floats_are_pixels_of_one_of_two_ranges_and_it_is_said_which() {
        let (found, notes) = read(&[1, 1, 3], &[0.0, 0.5, 1.0]).unwrap();
        assert_eq!(found, [[0, 128, 255]]);
        assert!(
            notes[0].contains("in 0..=1") && notes[0].contains("1 of 3"),
            "{notes:?}"
        );
        let (found, notes) = read(&[1, 1, 3], &[0.0, 7.0, 200.0]).unwrap();
        assert_eq!(found, [[0, 7, 200]]);
        assert!(
            notes[0].ends_with("in 0..=255: taken for 8-bit pixels"),
            "{notes:?}"
        );
    }

    #[test]
    fn other_ranges_are_refused_with_the_line_that_mends_them() {
        for (values, line) in [
            (
                [-1.0, 0.0, 1.0, 0.5],
                "x = ((x + 1) * 127.5).round().astype(numpy.uint8)",
            ),
            (
                [0.0, 16.0, 8.0, 1.0],
                "x = (x * (255 / x.max())).round().astype(numpy.uint8)",
            ),
            ([0.0, 4095.0, 8.0, 1.0], "x = (x * (255 / 4095)).round()"),
            ([-2.1, 2.6, 0.0, 0.0], "x * std + mean"),
            ([0.0, f64::NAN, 0.0, 0.0], "numpy.isfinite(x"),
        ] {
            let error = read(&[1, 2, 2], &values).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn shapes_of_images_are_understood_or_refused() {
        let grid = |shape: &[usize]| {
            let array = Array::of_floats("x", shape, &vec![0.0; shape.iter().product()]);
            Grid::of_images(Path::new("a"), &array)
                .map(|(grid, note)| (grid.shape().unwrap(), note.is_some()))
        };
        assert_eq!(grid(&[2, 5, 7]).unwrap(), ([1, 5, 7], false));
        assert_eq!(grid(&[2, 5, 7, 3]).unwrap(), ([3, 5, 7], false));
        assert_eq!(grid(&[2, 3, 4, 4]).unwrap(), ([3, 4, 4], false));
        assert_eq!(grid(&[2, 8, 8, 4]).unwrap(), ([3, 8, 8], false));
        assert_eq!(grid(&[2, 4, 8, 8]).unwrap(), ([3, 8, 8], false));
        assert_eq!(grid(&[2, 64]).unwrap(), ([1, 8, 8], true));
        for shape in [
            &[2, 60][..],
            &[2, 8, 8, 2],
            &[2],
            &[2, 1, 8, 1],
            &[2, 2, 2, 2, 2],
        ] {
            assert!(
                matches!(grid(shape), Err(DataError::NpyShape { .. })),
                "{shape:?}"
            );
        }
    }

    #[test]
    fn transparency_is_left_out_and_channels_come_first() {
        let grid = Grid {
            layout: Layout::ChannelsLast,
            rows: 1,
            channels: 4,
            height: 1,
            width: 2,
        };
        assert_eq!(
            grid.arranged(vec![1, 2, 3, 9, 4, 5, 6, 9]),
            [1, 4, 2, 5, 3, 6]
        );
        assert!(grid.note("x").unwrap().contains("transparency"));
    }
}
