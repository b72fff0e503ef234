//! Labels in every form that people save them in: numbers, bools, whole floats, text, one-hot; and the
//! classes that they make.

mod one_hot;

use std::collections::BTreeMap;
use std::path::Path;

use super::npy::{Array, Kind};
use super::{numbered, some, spellings};
use crate::error::DataError;

/// Most classes, so that a label has one number to spare.
const MOST: usize = u16::MAX as usize;

/// More classes than this, and than half of the rows, are strange.
const MANY: usize = 20;

/// A label as a file has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Given {
    Number(i64),
    Text(String),
}

/// How an array holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Numbers,
    /// (N, K) with a single 1 in each row.
    OneHot(usize),
    Text,
}

/// An array of labels.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub array: Array,
    pub form: Form,
    values: Vec<Given>,
}

/// What the labels of a file mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    pub names: Vec<String>,
    /// The label of each class in the file, ascending; none if labels are 0, 1, and so on.
    given: Option<Vec<Given>>,
}

impl Labels {
    /// The labels in `array` of `rows` rows, which are called `rows_key`.
    pub fn read(
        path: &Path,
        array: Array,
        (rows_key, rows): (&str, usize),
    ) -> Result<Self, DataError> {
        let (form, values) = match array.shape[..] {
            [_] | [_, 1] if array.kind.is_text() => (Form::Text, texts(&array)),
            [_] | [_, 1] => (Form::Numbers, numbers(path, &array)?),
            [_, columns] if !array.kind.is_text() && columns > 0 => {
                (Form::OneHot(columns), one_hot::read(path, &array, columns)?)
            }
            _ => {
                return Err(DataError::NpyShape {
                    path: path.to_path_buf(),
                    key: array.key.clone(),
                    expected: format!(
                        "(N), (N, 1), or (N, K) of one-hot labels; save it with {0} = {0}.reshape(len({0}))",
                        array.key
                    )
                    .into(),
                    found: array.shape.clone(),
                });
            }
        };
        match values.len() == rows {
            true => Ok(Self {
                array,
                form,
                values,
            }),
            false => Err(DataError::Counts {
                images_path: path.join(rows_key),
                images: rows,
                labels_path: path.join(&array.key),
                labels: values.len(),
            }),
        }
    }

    /// The labels of only these rows.
    pub fn rows(&self, rows: &[usize]) -> Self {
        Self {
            array: self.array.rows(rows),
            form: self.form,
            values: rows.iter().map(|&row| self.values[row].clone()).collect(),
        }
    }

    /// Puts a label in the place of that of a row.
    pub fn set(&mut self, row: usize, given: &Given) {
        match (self.form, given) {
            (Form::OneHot(columns), Given::Number(column)) => {
                for at in 0..columns {
                    let hot = i64::try_from(at).is_ok_and(|at| at == *column);
                    self.array.set(row * columns + at, f64::from(u8::from(hot)));
                }
            }
            (Form::Text, Given::Number(number)) => self.array.set_text(row, &number.to_string()),
            (_, Given::Text(text)) => self.array.set_text(row, text),
            (Form::Numbers, Given::Number(number)) => {
                self.array.set(row, *number as f64);
            }
        }
    }
}

/// Texts that are all whole numbers are numbers.
fn texts(array: &Array) -> Vec<Given> {
    let texts: Vec<String> = array.texts().collect();
    let number = |text: &String| text.parse::<i64>().ok().filter(|n| n.to_string() == *text);
    match texts.iter().map(number).collect::<Option<Vec<_>>>() {
        Some(numbers) => numbers.into_iter().map(Given::Number).collect(),
        None => texts.into_iter().map(Given::Text).collect(),
    }
}

fn wrong<T>(
    path: &Path,
    array: &Array,
    index: usize,
    found: f64,
    remedy: String,
) -> Result<T, DataError> {
    Err(DataError::LabelValue {
        path: path.to_path_buf(),
        key: array.key.clone(),
        index,
        found,
        remedy,
    })
}

fn numbers(path: &Path, array: &Array) -> Result<Vec<Given>, DataError> {
    let key = &array.key;
    if array.kind.is_float() {
        let label = |(index, found): (usize, f64)| match found.fract() == 0.0 && found.abs() < 1e15
        {
            true => Ok(Given::Number(found as i64)),
            false => wrong(
                path,
                array,
                index,
                found,
                format!(
                    "a measurement is no class: make classes of it, {key} = ({key} > \
                     numpy.median({key})).astype(int)"
                ),
            ),
        };
        return array.floats(path)?.enumerate().map(label).collect();
    }
    let label = |(index, found): (usize, i128)| match i64::try_from(found) {
        Ok(found) => Ok(Given::Number(found)),
        Err(_) => wrong(
            path,
            array,
            index,
            found as f64,
            format!("number the classes: {key} = numpy.unique({key}, return_inverse=True)[1]"),
        ),
    };
    array.integers(path)?.enumerate().map(label).collect()
}

impl Classes {
    /// The classes of all `parts` of the file at `path`, and what is to be said of them; `names` is what
    /// the file calls the labels 0, 1, and so on.
    pub fn of(
        path: &Path,
        parts: &[&Labels],
        names: Option<Vec<String>>,
    ) -> Result<(Self, Vec<String>), DataError> {
        one_hot::check(path, parts)?;
        let mut notes: Vec<String> = parts.iter().filter_map(|part| part.note()).collect();
        let mut there: BTreeMap<&Given, usize> = BTreeMap::new();
        for given in parts.iter().flat_map(|part| &part.values) {
            *there.entry(given).or_default() += 1;
        }
        let rows: usize = there.values().sum();
        if there.len() > MANY && 2 * there.len() > rows {
            notes.push(format!(
                "there are {} different labels for {rows} rows: are they classes?",
                there.len()
            ));
        }
        let number = |given: &&Given| match given {
            Given::Number(number) => Some(*number),
            Given::Text(_) => None,
        };
        let numbers: Vec<i64> = there.keys().filter_map(number).collect();
        let (least, most) = match numbers[..] {
            [least, ..] => (least, numbers[numbers.len() - 1]),
            [] => (0, -1),
        };
        let texts: Vec<Given> = there
            .keys()
            .filter(|g| number(g).is_none())
            .map(|&g| g.clone())
            .collect();
        if !texts.is_empty() {
            if least < 0 || most >= texts.len() as i64 {
                return Err(DataError::MixedLabels {
                    path: path.to_path_buf(),
                    number: if least < 0 { least } else { most },
                    text: text(&texts[0]),
                });
            }
            let names: Vec<String> = texts.iter().map(text).collect();
            let counted = texts.iter().map(|given| (text(given), there[given]));
            notes.extend(spellings::check(path, &counted.collect::<Vec<_>>())?);
            notes.push(format!(
                "the labels are text; in their order: {}",
                mapping(&names)
            ));
            if !numbers.is_empty() {
                notes.push(
                    "some labels are numbers beside the text: they are taken as places in the order of \
                     the texts"
                        .to_owned(),
                );
            }
            return Self::made(path, names, Some(texts)).map(|classes| (classes, notes));
        }
        if let Some(names) = names {
            if least < 0 || most >= names.len() as i64 {
                return Err(DataError::ClassNames {
                    path: path.to_path_buf(),
                    names: names.len(),
                    found: if least < 0 { least } else { most },
                });
            }
            return Self::made(path, names, None).map(|classes| (classes, notes));
        }
        if least == 0 {
            if most >= MOST as i64 {
                return Err(beyond(path, parts, most));
            }
            let missing = (0..most).filter(|n| numbers.binary_search(n).is_err());
            let missing: Vec<String> = missing.map(|n| n.to_string()).collect();
            if !missing.is_empty() {
                notes.push(format!(
                    "labels go up to {most}, and no row has the label{} {}",
                    if missing.len() == 1 { "" } else { "s" },
                    some(&missing)
                ));
            }
            return Self::made(path, numbered(most as usize + 1), None)
                .map(|classes| (classes, notes));
        }
        let names: Vec<String> = numbers.iter().map(i64::to_string).collect();
        notes.push(format!(
            "the labels do not begin at 0 and are renumbered: {}",
            mapping(&names)
        ));
        let given = numbers.into_iter().map(Given::Number).collect();
        Self::made(path, names, Some(given)).map(|classes| (classes, notes))
    }

    fn made(path: &Path, names: Vec<String>, given: Option<Vec<Given>>) -> Result<Self, DataError> {
        match names.len() <= MOST {
            true => Ok(Self { names, given }),
            false => Err(DataError::TooLarge {
                path: path.to_path_buf(),
                what: "classes (different labels)".to_owned(),
                claimed: names.len().to_string(),
                limit: MOST as u64,
            }),
        }
    }

    /// The class of each label.
    pub fn numbers(&self, labels: &Labels) -> Vec<u16> {
        let number = |given: &Given| match (&self.given, given) {
            (Some(all), given) => match (all.binary_search(given), given) {
                (Ok(class), _) => class as u16,
                // Beside text: its place.
                (Err(_), Given::Number(number)) => *number as u16,
                (Err(_), Given::Text(_)) => 0,
            },
            (None, Given::Number(number)) => *number as u16,
            (None, Given::Text(_)) => 0,
        };
        labels.values.iter().map(number).collect()
    }

    /// What an array of this form calls `class`, which is `new` after classes were chosen.
    pub fn given(&self, form: Form, class: usize, new: u16) -> Given {
        match (&self.given, form) {
            (Some(all), Form::Text) => all[class].clone(),
            (Some(all), Form::Numbers | Form::OneHot(_)) => match &all[class] {
                Given::Number(number) => Given::Number(*number),
                Given::Text(_) => Given::Number(i64::from(new)),
            },
            (None, _) => Given::Number(i64::from(new)),
        }
    }
}

impl Labels {
    /// What is to be said of the form.
    fn note(&self) -> Option<String> {
        let key = &self.array.key;
        match (self.form, self.array.kind) {
            (Form::OneHot(columns), _) => Some(format!(
                "`{key}` is one-hot, of {columns} columns: a label is the column of the 1"
            )),
            (Form::Numbers, Kind::Bool) => Some(format!(
                "`{key}` is bool: False is class 0, True is class 1"
            )),
            (Form::Numbers, Kind::Float(_)) => Some(format!(
                "`{key}` is {}, of whole numbers only: they are the labels",
                self.array.kind.name()
            )),
            _ => None,
        }
    }
}

fn text(given: &Given) -> String {
    match given {
        Given::Number(number) => number.to_string(),
        Given::Text(text) => text.clone(),
    }
}

/// The error for a label that is too large for a class.
fn beyond(path: &Path, parts: &[&Labels], label: i64) -> DataError {
    let given = Given::Number(label);
    let place = |part: &&&Labels| part.values.contains(&given);
    let part = parts.iter().find(place);
    DataError::Label {
        path: part.map_or(path.to_path_buf(), |part| path.join(&part.array.key)),
        index: part.map_or(0, |part| {
            part.values.iter().position(|v| *v == given).unwrap_or(0)
        }),
        found: i128::from(label),
        classes: MOST,
    }
}

/// `cat is class 0, dog is class 1`.
fn mapping(names: &[String]) -> String {
    let each = names.iter().enumerate();
    let each = each.map(|(class, name)| format!("{name} is class {class}"));
    some(&each.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(array: Array) -> Result<Labels, DataError> {
        let rows = array.shape[0];
        Labels::read(Path::new("a.npz"), array, ("x", rows))
    }

    fn classes(array: Array) -> (Vec<u16>, Vec<String>, String) {
        let labels = read(array).unwrap();
        let (classes, notes) = Classes::of(Path::new("a.npz"), &[&labels], None).unwrap();
        (classes.numbers(&labels), classes.names, notes.join("; "))
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn labels_of_every_form_are_classes() {
        let (found, names, notes) = classes(Array::of_integers("y", &[0, 2, 1]));
        assert_eq!(
            (found, names, notes),
            (vec![0, 2, 1], numbered(3), String::new())
        );
        let (found, names, notes) = classes(Array::of_integers("y", &[1, -1, 1]));
        assert_eq!((found, names), (vec![1, 0, 1], owned(&["-1", "1"])));
        assert!(
            notes.contains("renumbered: -1 is class 0, 1 is class 1"),
            "{notes}"
        );
        let (found, names, _) = classes(Array::of_floats("y", &[2, 1], &[3.0, 8.0]));
        assert_eq!((found, names), (vec![0, 1], owned(&["3", "8"])));
        let (found, names, notes) = classes(Array::of_texts("y", &owned(&["dog", "cat", "dog"])));
        assert_eq!((found, names), (vec![1, 0, 1], owned(&["cat", "dog"])));
        assert!(notes.contains("cat is class 0, dog is class 1"), "{notes}");
        // 10 comes after 2.
        let (found, names, _) = classes(Array::of_texts("y", &owned(&["10", "2"])));
        assert_eq!((found, names), (vec![1, 0], owned(&["2", "10"])));
        let (found, names, notes) =
            classes(Array::of_floats("y", &[2, 3], &[0., 0., 1., 1., 0., 0.]));
        assert_eq!((found, names), (vec![2, 0], numbered(3)));
        assert!(
            notes.contains("one-hot, of 3 columns") && notes.contains("label 1"),
            "{notes}"
        );
    }

    #[test]
    fn what_is_no_label_is_refused_with_a_line_that_mends_it() {
        for (array, part) in [
            (
                Array::of_floats("y", &[2], &[0.5, 1.0]),
                "(y > numpy.median(y)).astype(int)",
            ),
            (
                Array::of_floats("y", &[2], &[0.0, f64::NAN]),
                "label 1 of `y`",
            ),
            (Array::of_floats("y", &[1, 2], &[1.0, 1.0]), "y.argmax(1)"),
            (
                Array::of_floats("y", &[1, 1, 2], &[1.0, 1.0]),
                "y.reshape(len(y))",
            ),
        ] {
            let error = read(array).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let labels = [
            read(Array::of_texts("y_train", &owned(&["a", "b"]))).unwrap(),
            read(Array::of_integers("y_test", &[1, 2])).unwrap(),
        ];
        let parts = labels.each_ref();
        let error = Classes::of(Path::new("a.npz"), &parts, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("label 2") && error.contains("\"a\""),
            "{error}"
        );
    }

    #[test]
    fn labels_are_written_in_their_form() {
        let names = owned(&["cat", "dog"]);
        let mut labels = read(Array::of_texts("y", &names)).unwrap();
        let (classes, _) = Classes::of(Path::new("a"), &[&labels], None).unwrap();
        labels.set(0, &classes.given(labels.form, 1, 1));
        assert_eq!(labels.array.texts().collect::<Vec<_>>(), ["dog", "dog"]);
        let mut labels = read(Array::of_floats("y", &[2, 2], &[1., 0., 0., 1.])).unwrap();
        let (classes, _) = Classes::of(Path::new("a"), &[&labels], None).unwrap();
        labels.set(0, &classes.given(labels.form, 1, 1));
        let values: Vec<f64> = labels.array.floats(Path::new("a")).unwrap().collect();
        assert_eq!(values, [0., 1., 0., 1.]);
        let mut labels = read(Array::of_integers("y", &[-1, 1])).unwrap();
        let (classes, _) = Classes::of(Path::new("a"), &[&labels], None).unwrap();
        labels.set(1, &classes.given(labels.form, 0, 0));
        let values: Vec<i128> = labels.array.integers(Path::new("a")).unwrap().collect();
        assert_eq!(values, [-1, -1]);
    }
}
