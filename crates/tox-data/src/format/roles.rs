//! Which arrays of a file are rows and which labels, of which part, by their names.

use std::path::Path;

use crate::error::DataError;

/// What a message says is looked for.
pub(crate) const EXPECTED: &str = "x_train and y_train (and x_test and y_test), train_images and train_labels (and val_images, \
     test_images and so on), images and labels, x and y, or data and target; rename with \
     numpy.savez(FILE, x=..., y=...)";

/// A part of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Train,
    Valid,
    Test,
}

/// What an array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Rows,
    Labels,
}

/// Names of an array of rows and of that of their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub rows: String,
    pub labels: String,
}

/// Which arrays are what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub train: Pair,
    pub valid: Option<Pair>,
    pub test: Option<Pair>,
    /// One text a class.
    pub class_names: Option<String>,
    /// The others.
    pub further: Vec<String>,
}

/// The words of a name, in lower case: `X_train`, `x-train` and `xtrain` are two.
fn words(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let mut words: Vec<String> = name
        .split(['_', '-', '.', ' '])
        .map(str::to_owned)
        .collect();
    if let [word] = &words[..]
        && let Some(part) = word.strip_prefix(['x', 'y']).filter(|p| part(p).is_some())
    {
        words = vec![word[..1].to_owned(), part.to_owned()];
    }
    words
}

fn part(word: &str) -> Option<Part> {
    match word {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" | "dev" => Some(Part::Valid),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

fn role(word: &str) -> Option<Role> {
    match word {
        "x" | "images" | "image" | "imgs" | "img" | "data" | "features" | "inputs" | "pixels" => {
            Some(Role::Rows)
        }
        "y" | "labels" | "label" | "targets" | "target" => Some(Role::Labels),
        _ => None,
    }
}

fn named(name: &str) -> Option<(Part, Role)> {
    let words = words(name);
    match &words[..] {
        [one] => role(one).map(|role| (Part::Whole, role)),
        [a, b] => match (part(a), role(b), role(a), part(b)) {
            (Some(part), Some(role), _, _) | (_, _, Some(role), Some(part)) => Some((part, role)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an array of that name holds labels.
pub(crate) fn is_labels(name: &str) -> bool {
    named(name).is_some_and(|(_, role)| role == Role::Labels)
}

fn is_class_names(name: &str) -> bool {
    matches!(
        &words(name).join("_")[..],
        "class_names" | "classes" | "label_names" | "target_names"
    )
}

impl Parts {
    /// Sorts the arrays called `names` of the file at `path`.
    ///
    /// # Errors
    /// A part with rows and no labels or the other way round, no part to train on, and two arrays that
    /// could be the same.
    pub fn of(path: &Path, names: &[String]) -> Result<Self, DataError> {
        let mut further = Vec::new();
        // Positional arguments of numpy.savez.
        let positional = |name: &str| names.len() == 2 && ["arr_0", "arr_1"].contains(&name);
        let role_of = |name: &String| match &name[..] {
            "arr_0" if positional(name) => Some((Part::Whole, Role::Rows)),
            "arr_1" if positional(name) => Some((Part::Whole, Role::Labels)),
            name => named(name),
        };
        let find = |part: Part, role: Role| -> Result<Option<String>, DataError> {
            let of = |name: &&String| role_of(name) == Some((part, role));
            let mut found = names.iter().filter(of);
            match (found.next(), found.next()) {
                (Some(a), Some(b)) => Err(DataError::Ambiguous {
                    path: path.to_path_buf(),
                    what: match role {
                        Role::Rows => "rows",
                        Role::Labels => "labels",
                    },
                    found: [a, b].map(|name| format!("`{name}`")).join(" and "),
                }),
                (found, _) => Ok(found.cloned()),
            }
        };
        let pair = |part: Part, usual: [&str; 2]| -> Result<Option<Pair>, DataError> {
            match (find(part, Role::Rows)?, find(part, Role::Labels)?) {
                (Some(rows), Some(labels)) => Ok(Some(Pair { rows, labels })),
                (None, None) => Ok(None),
                (rows, _) => Err(DataError::NpzKey {
                    path: path.to_path_buf(),
                    key: usual[usize::from(rows.is_some())].to_owned(),
                    expected: EXPECTED,
                    found: listed(names),
                }),
            }
        };
        let train = pair(Part::Train, ["x_train", "y_train"])?;
        let whole = match train {
            Some(_) => None,
            None => pair(Part::Whole, ["images", "labels"])?,
        };
        let Some(train) = train.or(whole) else {
            return Err(DataError::NpzKey {
                path: path.to_path_buf(),
                key: "x_train".to_owned(),
                expected: EXPECTED,
                found: listed(names),
            });
        };
        let valid = pair(Part::Valid, ["x_val", "y_val"])?;
        let test = pair(Part::Test, ["x_test", "y_test"])?;
        let class_names = names.iter().find(|name| is_class_names(name)).cloned();
        let used: Vec<&String> = [Some(&train), valid.as_ref(), test.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|pair| [&pair.rows, &pair.labels])
            .chain(&class_names)
            .collect();
        further.extend(names.iter().filter(|name| !used.contains(name)).cloned());
        Ok(Self {
            train,
            valid,
            test,
            class_names,
            further,
        })
    }
}

/// The first names, for messages.
fn listed(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.truncate(8);
    match names.is_empty() {
        true => "no array".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(names: &[&str]) -> Result<Parts, DataError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Parts::of(Path::new("a.npz"), &names)
    }

    #[test]
    fn names_of_many_houses_are_known() {
        for names in [
            ["x_train", "y_train", "x_test", "y_test"],
            ["X_train", "Y_train", "X_test", "Y_test"],
            ["train_images", "train_labels", "test_images", "test_labels"],
            ["train-x", "train-y", "test-x", "test-y"],
            ["Xtrain", "ytrain", "Xtest", "ytest"],
            ["data_train", "target_train", "data_test", "target_test"],
        ] {
            let found = parts(&names).unwrap();
            assert_eq!(
                [&found.train.rows, &found.train.labels],
                [names[0], names[1]]
            );
            let test = found.test.unwrap();
            assert_eq!([&test.rows, &test.labels], [names[2], names[3]]);
        }
        for names in [
            ["images", "labels"],
            ["x", "y"],
            ["X", "y"],
            ["data", "target"],
            ["features", "label"],
            ["arr_0", "arr_1"],
        ] {
            let found = parts(&names).unwrap();
            assert_eq!([&found.train.rows, &found.train.labels], names);
            assert_eq!((found.test, found.valid), (None, None));
        }
        let medmnist = parts(&[
            "train_images",
            "val_images",
            "test_images",
            "train_labels",
            "val_labels",
            "test_labels",
            "ids",
            "class_names",
        ])
        .unwrap();
        assert_eq!(medmnist.valid.unwrap().labels, "val_labels");
        assert_eq!(medmnist.further, ["ids"]);
        assert_eq!(medmnist.class_names.unwrap(), "class_names");
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        for (names, part) in [
            (&["x_train"][..], "`y_train`"),
            (&["x_train", "y_train", "y_test"], "`x_test`"),
            (&["images"], "`labels`"),
            (&["a", "b"], "found a, b"),
            (&[], "found no array"),
            (&["x", "X", "y"], "`x` and `X`"),
            (&["images", "data", "labels"], "`images` and `data`"),
            (&["arr_0", "arr_1", "arr_2", "arr_3"], "numpy.savez"),
        ] {
            let error = parts(names).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
