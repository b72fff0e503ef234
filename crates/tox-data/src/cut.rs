//! The three splits that a specification cuts from the training and the test file.

use crate::classes::Selection;
use crate::data::TableSet;
use crate::dataset::{Dataset, Normalise, Split};
use crate::error::DataError;
use crate::features::Features;
use crate::files::{Files, Origin};
use crate::order::{self, Cut, counts};
use crate::resize;
use crate::row_set::RowSet;
use crate::spec::{Augment, DataSpec, SplitKind};
use crate::split::{self, Counts};

impl<R: RowSet> Files<R> {
    /// Keeps the classes that `spec` names.
    pub fn keep(mut self, name: &str, spec: &DataSpec) -> Result<Self, DataError> {
        if let Some(classes) = &spec.classes {
            let selection = Selection::new(name, classes, &self.class_names)?;
            let brought = &self.train.labels()[self.train.count() - self.valid..];
            self.valid = selection.rows(brought).len();
            for split in [&mut self.train, &mut self.test] {
                let rows = selection.rows(split.labels());
                if rows.len() < split.count() {
                    *split = split.pick(&rows);
                }
                selection.relabel(split.labels_mut());
            }
            selection.check(name, [self.train.labels(), self.test.labels()])?;
            self.class_names = selection.names(&self.class_names);
        }
        Ok(self)
    }

    /// The training, validation and test rows that `spec` asks for. `seed` is that of a random split.
    fn split(&mut self, name: &str, spec: &DataSpec, seed: u64) -> Result<[R; 3], DataError> {
        let (train, test) = (self.train.none(), self.test.none());
        let train = std::mem::replace(&mut self.train, train);
        let test = std::mem::replace(&mut self.test, test);
        let [train, valid, test] = match spec.split {
            SplitKind::Official => {
                if self.origin == Origin::Files {
                    let labels = [train.labels(), test.labels()];
                    self.notes
                        .extend(order::apart(name, &self.class_names, labels[0], labels[1])?);
                }
                let border = train.count();
                let all = [&train, &test].map(|split| split.labels().to_vec());
                let splits = official(name, spec, train, test)?;
                let cuts = Order {
                    all,
                    border,
                    origin: self.origin,
                    brought: self.valid,
                };
                self.notes
                    .extend(cuts.check(name, &self.class_names, &splits)?);
                splits
            }
            SplitKind::Random => random(name, spec, self.class_names.len(), train, test, seed)?,
        };
        if self.origin != Origin::Known {
            self.notes.extend(repeated(&train, &valid, &test));
        }
        Ok([train, valid, test])
    }
}

impl Files<Features> {
    /// Cuts the splits that `spec` asks for. `seed` is that of a random split.
    pub fn cut(mut self, name: &str, spec: &DataSpec, seed: u64) -> Result<TableSet, DataError> {
        let keys = [
            ("resize", spec.resize.is_some()),
            ("rgb", spec.rgb),
            ("augment", spec.augment != Augment::default()),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, there)| *there) {
            let name = name.to_owned();
            return Err(DataError::TableKey { name, key });
        }
        let [train, valid, test] = self.split(name, spec, seed)?;
        let mut table = TableSet {
            name: name.to_owned(),
            train,
            valid,
            test,
            class_names: self.class_names,
            columns: self.columns,
            hash: String::new(),
            notes: self.notes,
        };
        table.hash = table.content_hash();
        Ok(table)
    }
}

impl Files {
    /// Cuts the splits that `spec` asks for, then resizes and colours them. `seed` is that of a random
    /// split.
    pub fn cut(mut self, name: &str, spec: &DataSpec, seed: u64) -> Result<Dataset, DataError> {
        check_images(name, spec, &self.train)?;
        let channels = self.train.images.shape[1];
        let classes = self.class_names.len();
        let [train, valid, test] = self.split(name, spec, seed)?;
        let prepare = |split: Split| {
            let mut images = split.images;
            if let Some(side) = spec.resize {
                images = resize::resize(images, side);
            }
            if spec.rgb {
                images = resize::to_rgb(images);
            }
            Split {
                images,
                labels: split.labels,
            }
        };
        let mut dataset = Dataset {
            name: name.to_owned(),
            train: prepare(train),
            valid: prepare(valid),
            test: prepare(test),
            classes,
            class_names: self.class_names,
            normalise: Normalise {
                mean: Vec::new(),
                std: Vec::new(),
            },
            hash: String::new(),
            notes: self.notes,
        };
        dataset.normalise = match self.normalise {
            None => Normalise::measured(&dataset.train.images),
            Some(Normalise { mean, std }) if spec.rgb && channels == 1 => Normalise {
                mean: mean.repeat(3),
                std: std.repeat(3),
            },
            Some(published) => published,
        };
        dataset.hash = dataset.content_hash();
        Ok(dataset)
    }
}

fn refuse<T>(
    name: &str,
    key: &'static str,
    found: usize,
    expected: String,
) -> Result<T, DataError> {
    Err(DataError::Spec {
        name: name.to_owned(),
        key,
        found,
        expected,
    })
}

/// Whether the sizes asked for fit images like those of `train`.
fn check_images(name: &str, spec: &DataSpec, train: &Split) -> Result<(), DataError> {
    if let Some(side @ (0 | 1025..)) = spec.resize {
        return refuse(name, "resize", side, "1..=1024 pixels".to_owned());
    }
    let [_, _, h, w] = train.images.shape;
    let side = spec.resize.unwrap_or(h.min(w));
    let (crop, cutout) = (spec.augment.crop, spec.augment.cutout);
    if crop >= side {
        return refuse(
            name,
            "augment.crop",
            crop,
            format!("less than {side} pixels"),
        );
    }
    if cutout > side {
        return refuse(
            name,
            "augment.cutout",
            cutout,
            format!("at most {side} pixels"),
        );
    }
    Ok(())
}

/// First rows for training, last ones of the training file for validation, first ones for test.
fn official<R: RowSet>(
    name: &str,
    spec: &DataSpec,
    mut train: R,
    mut test: R,
) -> Result<[R; 3], DataError> {
    let (all, all_test, rows) = (train.count(), test.count(), R::ROWS);
    if spec.valid >= all {
        let expected = format!("fewer than the {all} training {rows}");
        return refuse(name, "valid", spec.valid, expected);
    }
    let left = all - spec.valid;
    let wanted = spec.train.unwrap_or(left);
    if wanted == 0 || wanted > left {
        let valid = spec.valid;
        let expected = format!("1..={left}, what `valid` = {valid} leaves of {all} {rows}");
        return refuse(name, "train", wanted, expected);
    }
    let wanted_test = spec.test.unwrap_or(all_test);
    if wanted_test == 0 || wanted_test > all_test {
        let expected = format!("1..={all_test} test {rows}");
        return refuse(name, "test", wanted_test, expected);
    }
    let valid = train.split_off(left);
    train.truncate(wanted);
    test.truncate(wanted_test);
    Ok([train, valid, test])
}

/// The rows that splits were cut from.
struct Order {
    /// Labels of the training and of the test file.
    all: [Vec<u16>; 2],
    /// Rows of the training file.
    border: usize,
    origin: Origin,
    /// Its last rows that the user brought for validation.
    brought: usize,
}

impl Order {
    /// Whether the splits are like the files.
    fn check<R: RowSet>(
        &self,
        name: &str,
        class_names: &[String],
        [train, valid, test]: &[R; 3],
    ) -> Result<Vec<String>, DataError> {
        let (classes, rows) = (class_names.len(), R::ROWS);
        let [mut of_train, mut of_test] =
            [0, 1].map(|file: usize| counts(&self.all[file], classes));
        if self.origin == Origin::OneFile {
            let both = of_train.iter().zip(&of_test).map(|(a, b)| a + b);
            of_train = both.collect();
            of_test.clone_from(&of_train);
        } else if self.brought > 0 && self.brought == valid.count() {
            // The validation rows are a split of the user's own.
            of_train = counts(&self.all[0][..self.border - self.brought], classes);
        }
        let cut = |what: String, labels, file| Cut { what, labels, file };
        let mut cuts = vec![
            cut(
                format!("the first {} {rows}, for training,", train.count()),
                train.labels(),
                &of_train[..],
            ),
            cut(
                match self.origin {
                    Origin::OneFile => {
                        format!("the {} {rows} of the last fifth, for test,", test.count())
                    }
                    Origin::Known | Origin::Files => {
                        format!("the first {} test {rows}", test.count())
                    }
                },
                test.labels(),
                &of_test,
            ),
        ];
        if self.brought != valid.count() {
            let what = format!(
                "the last {} training {rows}, for validation,",
                valid.count()
            );
            cuts.push(cut(what, valid.labels(), &of_train));
        }
        order::check(name, class_names, &cuts, self.origin != Origin::Known)
    }
}

/// How many rows are in two splits.
fn repeated<R: RowSet>(train: &R, valid: &R, test: &R) -> Vec<String> {
    let counted = [
        (
            R::repeats(&[train, valid], test),
            test.count(),
            "test",
            "training or validation",
        ),
        (
            R::repeats(&[train], valid),
            valid.count(),
            "validation",
            "training",
        ),
    ];
    let (rows, equal) = (R::ROWS, R::EQUAL);
    let found = counted.into_iter().filter(|(count, ..)| *count > 0);
    found
        .map(|(count, all, these, those)| {
            format!("{count} of the {all} {these} {rows} are {those} {rows} too, {equal}")
        })
        .collect()
}

/// All three at random from both files together.
fn random<R: RowSet>(
    name: &str,
    spec: &DataSpec,
    classes: usize,
    mut pool: R,
    test: R,
    seed: u64,
) -> Result<[R; 3], DataError> {
    pool.append(test);
    let Some(train) = spec.train else {
        return Err(DataError::RandomTrain {
            name: name.to_owned(),
            rows: R::ROWS,
            pool: pool.count(),
        });
    };
    let counts = Counts {
        train,
        valid: spec.valid,
        test: spec.test,
    };
    let drawn = split::balanced(name, pool.labels(), classes, &counts, seed)?;
    Ok(drawn.map(|rows| pool.pick(&rows)))
}
