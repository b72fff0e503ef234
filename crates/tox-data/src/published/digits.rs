//! The embedded digits: 1,797 images of 8x8 as gzipped CSV, see `data/README.md`.

use std::path::Path;

use super::{Published, Source};
use crate::dataset::{Images, Split};
use crate::error::DataError;
use crate::files::{Files, Origin};
use crate::format::numbered;
use crate::input::Input;
use crate::row_set::RowSet;

const CSV: &[u8] = include_bytes!("../../data/digits.csv.gz");
const PATH: &str = "the embedded digits.csv.gz";
const PIXELS: usize = 64;
/// 20 % of 1,797; fixed, so that results of different recipes can be compared.
const TEST: usize = 360;
/// All images of the file.
const COUNT: usize = 1797;

/// The only one.
pub(crate) struct Digits;

pub(crate) const DIGITS: Digits = Digits;

impl Published for Digits {
    fn name(&self) -> &'static str {
        "digits"
    }

    fn folder(&self) -> Option<&'static str> {
        None
    }

    fn licence(&self) -> &'static str {
        "CC BY 4.0; Alpaydin and Kaynak 1998, doi:10.24432/C50P49, via scikit-learn"
    }

    fn shape(&self) -> [usize; 3] {
        [1, 8, 8]
    }

    fn classes(&self) -> usize {
        10
    }

    fn source(&self) -> Option<Source> {
        None
    }

    fn counts(&self, _folder: &Path) -> Result<[usize; 2], DataError> {
        Ok([COUNT - TEST, TEST])
    }

    /// Training file: all but the last 360 images; test file: these.
    fn load(&self, _folder: &Path, _keep: Option<&[u16]>) -> Result<Files, DataError> {
        let mut train = parse(Path::new(PATH), CSV)?;
        let test = train.split_off(train.len().saturating_sub(TEST));
        Ok(Files::of([train, test], numbered(10), Origin::Known))
    }
}

/// Lines of 64 values 0..=16 and a label 0..=9, gzipped.
fn parse(path: &Path, bytes: &[u8]) -> Result<Split, DataError> {
    let text = Input::memory(path, bytes).all(1 << 20, "text")?;
    let text = String::from_utf8_lossy(&text);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (line, fields) in text.lines().enumerate() {
        let wrong = |reason| DataError::Csv {
            path: path.to_path_buf(),
            line: line + 1,
            reason,
        };
        let values: Vec<u16> = fields
            .split(',')
            .map(|field| {
                field
                    .trim()
                    .parse()
                    .map_err(|_| wrong(format!("{field:?} is no number")))
            })
            .collect::<Result<_, _>>()?;
        let [image @ .., label] = values.as_slice() else {
            return Err(wrong("it is empty".to_owned()));
        };
        if image.len() != PIXELS {
            return Err(wrong(format!(
                "expected 65 numbers, found {}",
                values.len()
            )));
        }
        if let Some(value) = image.iter().find(|&&value| value > 16) {
            return Err(wrong(format!("expected pixels 0..=16, found {value}")));
        }
        if *label > 9 {
            return Err(wrong(format!("expected a label 0..=9, found {label}")));
        }
        pixels.extend(image.iter().map(|&value| ((value * 255 + 8) / 16) as u8));
        labels.push(*label);
    }
    let images = Images {
        pixels,
        shape: [labels.len(), 1, 8, 8],
    };
    Ok(Split { images, labels })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gz(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn line(pixel: &str, label: &str) -> String {
        format!("{}{label}", format!("{pixel},").repeat(64))
    }

    #[test]
    fn the_embedded_file_is_whole_and_split_as_documented() {
        let files = DIGITS.load(Path::new(""), None).unwrap();
        assert_eq!(files.train.len() + files.test.len(), COUNT);
        assert_eq!(files.test.len(), TEST);
        assert_eq!(files.train.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(files.test.labels[TEST - 1], 8);
        // First row of the first image: 0,0,5,13,9,1,0,0.
        assert_eq!(
            files.train.images.pixels[..8],
            [0, 0, 80, 207, 143, 16, 0, 0]
        );
        assert!(files.train.images.pixels.contains(&255));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let path = Path::new("digits.csv.gz");
        let good = line("16", "9");
        assert_eq!(parse(path, &gz(&good)).unwrap().images.pixels, [255; 64]);
        for (bad, reason) in [
            (line("17", "0"), "expected pixels 0..=16, found 17"),
            (line("0", "10"), "expected a label 0..=9, found 10"),
            (line("x", "0"), "no number"),
            ("1,2,3".to_owned(), "expected 65 numbers, found 3"),
        ] {
            let error = parse(path, &gz(&format!("{good}\n{bad}\n")))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("line 2") && error.contains(reason),
                "{error}"
            );
        }
    }
}
