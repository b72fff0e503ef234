//! Tables of text: numbers in columns, and a column of labels. Separated by commas, semicolons or tabs, plain
//! or `.gz`, with or without a line of names.

pub(crate) mod text_rows;

use std::collections::BTreeMap;
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord};

use super::npy::Array;
use super::some;
use crate::doubt::Doubt;
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
    let second = lines.next()?.map(|(_, record)| record);
    let headed = is_header(&first, second.as_ref(), label);
    let names: Vec<String> = match headed {
        true => first.iter().map(|name| name.trim().to_owned()).collect(),
        false => (0..first.len())
            .map(|column| format!("column {column}"))
            .collect(),
    };
    // From the first line on again, or from the second.
    lines.reader = ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(bytes);
    if headed {
        lines.next()?;
        if first.iter().any(|cell| number(cell).is_some()) {
            notes.push(format!(
                "the first line, {}, is taken for names of columns: if it is a row, put a line of names above it",
                some(&names)
            ));
        }
    } else {
        notes.push("the table has no line of names: its first line is taken for a row".to_owned());
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
    // What pandas writes first unless it is told not to; of rows that were drawn or shuffled it does not count.
    let mut places = at;
    while headed
        && columns > 1
        && places != 0
        && unnamed(&features[0])
        && let Some(what) = index(values.iter().step_by(columns).copied())
    {
        notes.push(format!(
            "the first column has no name and {what} the rows: it is left out"
        ));
        places -= 1;
        features.remove(0);
        values = values
            .chunks_exact(columns)
            .flat_map(|row| row[1..].iter().copied())
            .collect();
        columns -= 1;
    }
    let mut arrays = vec![
        Array::of_floats("x", &[rows.len(), columns], &values),
        labelled(path, &rows, &label_name, labels, headed, &mut notes)?,
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

fn number(cell: &str) -> Option<f64> {
    cell.trim().parse::<f64>().ok()
}

/// Whether a first line is names: no cell of it is a number, or those that are count its columns, as names
/// that pandas makes up do (behind an index without a name too), or it names the column of labels, below which is
/// a number.
fn is_header(first: &StringRecord, second: Option<&StringRecord>, label: Option<&str>) -> bool {
    let mut numbers = first
        .iter()
        .enumerate()
        .filter_map(|(at, cell)| Some((at, number(cell)?)));
    if numbers.clone().next().is_none() {
        return true;
    }
    let shift = usize::from(first.get(0).is_some_and(|cell| unnamed(cell.trim())));
    let counts = |(at, number): (usize, f64)| number + shift as f64 == at as f64;
    if first.len() > 2 && numbers.all(counts) {
        return true;
    }
    let names_labels =
        |cell: &str| label == Some(cell) || LABELS.contains(&&cell.to_lowercase()[..]);
    let below = |at: usize| second.and_then(|second| number(second.get(at)?)).is_some();
    let mut cells = first.iter().map(str::trim).enumerate();
    cells.any(|(at, cell)| number(cell).is_none() && names_labels(cell) && below(at))
}

/// What numbers without a name do if they are an index: whole, and none twice.
fn index(values: impl Iterator<Item = f64>) -> Option<&'static str> {
    let values: Vec<f64> = values.collect();
    let from = values.first().copied()?;
    let mut numbered = values.iter().enumerate();
    if (0.0..=1.0).contains(&from) && numbered.all(|(at, value)| *value == from + at as f64) {
        return Some("counts");
    }
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    let whole = sorted
        .iter()
        .all(|value| value.fract() == 0.0 && *value >= 0.0);
    let apart = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    (whole && apart).then_some("numbers")
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
        let mut called = (0..names.len()).filter(|&at| headed && names[at] == label);
        let by_name = called.next();
        let count = usize::from(by_name.is_some()) + called.count();
        if count > 1 {
            return Err(Doubt::LabelTwice {
                path: path.to_path_buf(),
                label: label.to_owned(),
                count,
            }
            .into());
        }
        let by_number = || {
            label
                .parse()
                .ok()
                .filter(|&column: &usize| column < names.len())
        };
        return match by_name.or_else(by_number) {
            Some(column) => {
                if by_name.is_none() && headed {
                    notes.push(format!(
                        "the labels are those of column {column}, counted from 0: `{}`",
                        names[column]
                    ));
                }
                Ok(column)
            }
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
fn labelled(
    path: &Path,
    rows: &[u64],
    name: &str,
    cells: Vec<String>,
    headed: bool,
    notes: &mut Vec<String>,
) -> Result<Array, DataError> {
    let whole = |cell: &String| {
        let number = cell.parse::<f64>().ok()?;
        (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
    };
    let numbers = cells.iter().map(whole);
    if let Some(numbers) = numbers.clone().collect::<Option<Vec<i64>>>() {
        notes.extend(spelled(&numbers, &cells));
        return Ok(Array::of_integers("y", &numbers));
    }
    let first = cells.first().filter(|cell| number(cell).is_none());
    if let Some(found) =
        first.filter(|_| !headed && cells.len() > 2 && numbers.skip(1).all(|n| n.is_some()))
    {
        return Err(Doubt::FirstLine {
            path: path.to_path_buf(),
            found: found.clone(),
        }
        .into());
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

/// That one number is written in several ways.
fn spelled(numbers: &[i64], cells: &[String]) -> Option<String> {
    let mut ways: BTreeMap<i64, BTreeMap<&str, usize>> = BTreeMap::new();
    for (number, cell) in numbers.iter().zip(cells) {
        *ways.entry(*number).or_default().entry(cell).or_default() += 1;
    }
    let several = ways.iter().filter(|(_, ways)| ways.len() > 1);
    let each = several.map(|(number, ways)| {
        let ways = ways
            .iter()
            .map(|(cell, count)| format!("{cell} ({count} rows)"));
        format!("{} as {number}", some(&ways.collect::<Vec<_>>()))
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| format!("labels are taken for numbers: {}", each.join("; ")))
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
    fn numbers_may_be_names_of_columns() {
        for text in [
            "1,2,3,label\n5,6,7,0\n8,9,7,1\n",
            "1990,1991,1992,kind\n5,6,7,0\n8,9,7,1\n",
            ",0,1,2,y\n0,5,6,7,0\n1,8,9,7,1\n",
            "0,1,2,3\n5,6,7,0\n8,9,7,1\n",
        ] {
            let label = text.contains("kind").then_some("kind");
            let (values, labels, notes) = table(text, label).unwrap();
            assert_eq!(values, [5.0, 6.0, 7.0, 8.0, 9.0, 7.0], "{text}");
            assert_eq!(integers(&labels), [0, 1]);
            assert!(notes.contains("is taken for names"), "{notes}");
        }
        // Labels of text that begin like a name.
        let (_, labels, _) = table("1,2,y\n3,4,n\n", None).unwrap();
        assert_eq!(labels.texts().collect::<Vec<_>>(), ["y", "n"]);
        let error = table("1990,1991,kind\n5,6,0\n8,9,1\n8,9,1\n", None).unwrap_err();
        assert!(error.to_string().contains("\"kind\""), "{error}");
    }

    #[test]
    fn an_index_without_a_name_is_no_feature() {
        for text in [
            ",a,y\n7,1,0\n3,2,1\n9,3,0\n",
            "Unnamed: 0.1,Unnamed: 0,a,y\n0,7,1,0\n1,3,2,1\n2,9,3,0\n",
        ] {
            let (values, _, notes) = table(text, None).unwrap();
            assert_eq!(values, [1.0, 2.0, 3.0]);
            assert!(
                notes.contains("numbers the rows: it is left out"),
                "{notes}"
            );
        }
        // Values are no index.
        let (values, ..) = table(",a,y\n7.5,1,0\n3,2,1\n", None).unwrap();
        assert_eq!(values.len(), 4);
        let (values, ..) = table(",a,y\n7,1,0\n7,2,1\n", None).unwrap();
        assert_eq!(values.len(), 4);
    }

    #[test]
    fn labels_that_are_written_in_several_ways_are_told() {
        let (_, labels, notes) = table("a,y\n1,1\n2,1.0\n3,01\n4,0\n", None).unwrap();
        assert_eq!(integers(&labels), [1, 1, 1, 0]);
        assert!(
            notes.contains("01 (1 rows), 1 (1 rows), 1.0 (1 rows) as 1"),
            "{notes}"
        );
        let error = table("a,k,k\n1,0,1\n", Some("k")).unwrap_err().to_string();
        assert!(error.starts_with("2 columns of"), "{error}");
        let (_, _, notes) = table("a,b,c\n1,0,1\n2,1,1\n", Some("1")).unwrap();
        assert!(notes.contains("column 1, counted from 0: `b`"), "{notes}");
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
