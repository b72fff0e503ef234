//! Tables of text: numbers in columns, and a column of labels. Separated by commas, semicolons or tabs, plain
//! or `.gz`, with or without a line of names.

pub(crate) mod text_rows;

use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::npy::Array;
use super::some;
use crate::error::DataError;
use crate::input::{Input, MAX_BYTES};

/// Names that a column of labels has, in lower case.
const LABELS: [&str; 6] = ["label", "labels", "target", "class", "y", "targets"];

/// Cells that say that there is no value.
const MISSING: [&str; 8] = ["", "na", "n/a", "nan", "null", "none", "?", "-"];

/// The table at `path` as arrays `x`, `y` and, if it has a line of names, `feature_names`; and what is to be
/// said of it. `label` names the column of labels: by default the one that is called so, or the last.
pub(crate) fn read(
    path: &Path,
    label: Option<&str>,
) -> Result<(Vec<Array>, Vec<String>), DataError> {
    let bytes = Input::open(path)?.all(MAX_BYTES, "text")?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let delimiter = delimiter(bytes);
    let mut notes = Vec::new();
    if delimiter != b',' {
        let name = if delimiter == b';' {
            "semicolons"
        } else {
            "tabs"
        };
        notes.push(format!("the table's columns are separated by {name}"));
    }
    let mut lines = Lines {
        path,
        reader: ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .from_reader(bytes),
    };
    let Some((_, first)) = lines.next()? else {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    };
    let headed = is_header(&first);
    let names: Vec<String> = match headed {
        true => first.iter().map(|name| name.trim().to_owned()).collect(),
        false => (0..first.len())
            .map(|column| format!("column {column}"))
            .collect(),
    };
    if !headed {
        notes.push("the table has no line of names: its first line is taken for a row".to_owned());
        lines.reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .from_reader(bytes);
    }
    let at = label_column(path, label, headed, &names, &mut notes)?;
    let (mut rows, mut values, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((line, record)) = lines.next()? {
        for (column, cell) in record.iter().enumerate() {
            let cell = cell.trim();
            let wrong = |reason: &'static str| DataError::Cell {
                path: path.to_path_buf(),
                line,
                column: names[column].clone().into(),
                found: cell.into(),
                reason,
            };
            if MISSING.contains(&&cell.to_lowercase()[..]) {
                return Err(wrong(
                    "expected a value, which is missing: drop the row or fill it in (pandas: df = \
                     df.dropna())",
                ));
            }
            if column == at {
                labels.push(cell.to_owned());
                continue;
            }
            match cell.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                Ok(_) => {
                    return Err(wrong(
                        "expected a finite number: drop the row or fill it in",
                    ));
                }
                Err(_) => {
                    return Err(wrong(
                        "expected a number: encode text as numbers first (pandas: df = \
                         pd.get_dummies(df)), or name the column of labels: --label, in a recipe label under [data]",
                    ));
                }
            }
        }
        rows.push(line);
    }
    let mut features: Vec<String> = names;
    let label_name = features.remove(at);
    let mut columns = features.len();
    if rows.is_empty() || columns == 0 {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    }
    // What pandas writes first unless it is told not to.
    let counted =
        |first: f64| (0..rows.len()).all(|row| values[row * columns] == first + row as f64);
    if headed && columns > 1 && at != 0 && unnamed(&features[0]) && (counted(0.0) || counted(1.0)) {
        notes.push("the first column has no name and counts the rows: it is left out".to_owned());
        features.remove(0);
        values = values
            .chunks_exact(columns)
            .flat_map(|row| row[1..].iter().copied())
            .collect();
        columns -= 1;
    }
    let mut arrays = vec![
        Array::of_floats("x", &[rows.len(), columns], &values),
        labelled(path, &rows, &label_name, labels)?,
    ];
    if headed {
        arrays.push(Array::of_texts("feature_names", &features));
    }
    Ok((arrays, notes))
}

/// Lines with the number that each has in the file.
struct Lines<'a> {
    path: &'a Path,
    reader: Reader<&'a [u8]>,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<(u64, StringRecord)>, DataError> {
        let mut record = StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(true) => Ok(Some((
                record.position().map_or(0, csv::Position::line),
                record,
            ))),
            Ok(false) => Ok(None),
            Err(error) => Err(DataError::Table {
                path: self.path.to_path_buf(),
                reason: error.to_string(),
            }),
        }
    }
}

/// The separator that the first line has most of; commas if none.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    let most = [b'\t', b';', b','].into_iter().max_by_key(count);
    most.filter(|most| count(most) > 0).unwrap_or(b',')
}

/// Whether a first line is names: no cell of it is a number, or those that are count its columns, as names
/// that pandas makes up do.
fn is_header(first: &StringRecord) -> bool {
    let number = |cell: &str| cell.trim().parse::<f64>().ok();
    let mut numbers = first
        .iter()
        .enumerate()
        .filter_map(|(at, cell)| Some((at, number(cell)?)));
    let counts = |(at, number): (usize, f64)| number == at as f64;
    numbers.clone().next().is_none() || first.len() > 2 && numbers.all(counts)
}

fn unnamed(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed:")
}

/// The column of labels among those called `names`.
pub(super) fn label_column(
    path: &Path,
    label: Option<&str>,
    headed: bool,
    names: &[String],
    notes: &mut Vec<String>,
) -> Result<usize, DataError> {
    let refuse = |label: &str, expected: String| {
        Err(DataError::LabelColumn {
            path: path.to_path_buf(),
            label: label.to_owned(),
            expected,
        })
    };
    if let Some(label) = label {
        let by_name = names.iter().position(|name| headed && name == label);
        let by_number = || {
            label
                .parse()
                .ok()
                .filter(|&column: &usize| column < names.len())
        };
        return match by_name.or_else(by_number) {
            Some(column) => Ok(column),
            None => refuse(
                label,
                match headed {
                    true => format!("one of its columns: {}", some(names)),
                    false => format!("a column from 0 to {}, for it names none", names.len() - 1),
                },
            ),
        };
    }
    let called = |&column: &usize| headed && LABELS.contains(&&names[column].to_lowercase()[..]);
    let mut found = (0..names.len()).filter(called);
    match (found.next(), found.next()) {
        (Some(a), Some(b)) => refuse(
            &format!("{} or {}", names[a], names[b]),
            "one column of labels: say which with --label COLUMN, in a recipe label = \"COLUMN\" under [data]"
                .to_owned(),
        ),
        (Some(column), None) => {
            notes.push(format!(
                "the labels are those of the column `{}`",
                names[column]
            ));
            Ok(column)
        }
        (None, _) => {
            let last = names.len() - 1;
            notes.push(format!(
                "the labels are those of the last column, `{}`; another is named with --label COLUMN, in a \
                 recipe label = \"COLUMN\" under [data]",
                names[last]
            ));
            Ok(last)
        }
    }
}

/// Whole numbers as integers, other cells as text.
fn labelled(path: &Path, rows: &[u64], name: &str, cells: Vec<String>) -> Result<Array, DataError> {
    let whole = |cell: &String| {
        let number = cell.parse::<f64>().ok()?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    };
    if let Some(numbers) = cells.iter().map(whole).collect::<Option<Vec<i64>>>() {
        return Ok(Array::of_integers("y", &numbers));
    }
    // Numbers all of them, but not whole.
    if cells.iter().all(|cell| cell.parse::<f64>().is_ok()) {
        let index = cells
            .iter()
            .position(|cell| whole(cell).is_none())
            .unwrap_or(0);
        return Err(DataError::Cell {
            path: path.to_path_buf(),
            line: rows[index],
            column: name.into(),
            found: cells[index].clone().into(),
            reason: "a measurement is no class: name the column of labels (--label, in a recipe label under \
                     [data]), or make classes of it first",
        });
    }
    Ok(Array::of_texts("y", &cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, label: Option<&str>) -> Result<(Vec<f64>, Array, String), DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let (arrays, notes) = read(&path, label)?;
        let values = arrays[0].floats(&path).unwrap().collect();
        Ok((values, arrays[1].clone(), notes.join("; ")))
    }

    fn integers(array: &Array) -> Vec<i128> {
        array.integers(Path::new("a")).unwrap().collect()
    }

    #[test]
    fn tables_of_every_kind_are_read() {
        let (values, labels, notes) = table("a,b,label\n1,2.5,0\n3,-4e1,1\n", None).unwrap();
        assert_eq!(
            (values, integers(&labels)),
            (vec![1.0, 2.5, 3.0, -40.0], vec![0, 1])
        );
        assert_eq!(notes, "the labels are those of the column `label`");
        let (values, labels, notes) = table("5.1,3.5,setosa\r\n6,2,\"vir,g\"\r\n", None).unwrap();
        assert_eq!(values, [5.1, 3.5, 6.0, 2.0]);
        assert_eq!(labels.texts().collect::<Vec<_>>(), ["setosa", "vir,g"]);
        assert!(
            notes.contains("no line of names") && notes.contains("column 2"),
            "{notes}"
        );
        // A byte order mark, an index of pandas', semicolons, and a label that is asked for.
        let text = "\u{feff};a;kind;b\n0;1;x;2\n1;3;y;4\n";
        let (values, labels, notes) = table(text, Some("kind")).unwrap();
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(labels.texts().collect::<Vec<_>>(), ["x", "y"]);
        assert!(
            notes.contains("semicolons") && notes.contains("left out"),
            "{notes}"
        );
        // Names that pandas makes up.
        let (values, _, _) = table("0,1,2\n5,6,0\n7,8,1\n", None).unwrap();
        assert_eq!(values, [5.0, 6.0, 7.0, 8.0]);
        let (_, labels, _) = table("a,y\n1,2.0\n2,3.0\n", None).unwrap();
        assert_eq!(integers(&labels), [2, 3]);
    }

    #[test]
    fn cells_that_are_no_numbers_are_named() {
        for (text, label, part) in [
            ("a,b,y\n1,2,0\n1,,1\n", None, "line 3, column `b`"),
            ("a,b,y\n1,NaN,0\n", None, "missing"),
            ("a,b,y\n1,inf,0\n", None, "finite"),
            ("a,b,y\n1,red,0\n", None, "pd.get_dummies"),
            ("a,b,y\n1,2,0.5\n", None, "no class"),
            ("a,b,y\n1,2\n", None, "line: 2"),
            ("a,b,c\n1,2,0\n", Some("z"), "a, b, c"),
            ("a,y,label\n1,2,0\n", None, "y or label"),
            ("", None, "at least one"),
            ("a,b,y\n", None, "at least one"),
        ] {
            let error = table(text, label).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
