//! A user's own data as they are opened, and how they are written back with poison in them.

use std::path::Path;

use super::form::Form;
use super::named;
use super::sets::{FeatureSets, Features};
use super::tables::sets;
use crate::data::TableSet;
use crate::data_dir::DataDir;
use crate::error::DataError;
use crate::format::formats;
use crate::format::npy::Array;
use crate::format::rows::Grid;
use crate::format::tables::Tables;
use crate::format::{file_name, numbered, some};
use crate::load::load;
use crate::order;
use crate::patch::{Patch, PatchError};
use crate::repeats;
use crate::spec::DataSpec;

/// What is asked of data.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// An `.npz` file, two `.npy` files parted by a comma, a `.csv` or `.parquet` file, a folder of class
    /// folders, or a known name.
    pub data: &'a str,
    /// The column of labels, of a table alone.
    pub label: Option<&'a str>,
    /// Classes kept.
    pub classes: Option<&'a [u16]>,
    /// Side to which images are resized, of a folder or a known set.
    pub resize: Option<usize>,
    /// The [`Opened::hash`] that they must have.
    pub hash: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// All of `data`, as it is.
    pub fn of(data: &'a str) -> Self {
        Self {
            data,
            label: None,
            classes: None,
            resize: None,
            hash: None,
        }
    }
}

impl<'a> From<&'a DataSpec> for Ask<'a> {
    /// What a trial names; how it would cut the rows is left to who divides them.
    fn from(spec: &'a DataSpec) -> Self {
        Self {
            data: &spec.dataset,
            label: spec.label.as_deref(),
            classes: spec.classes.as_deref(),
            resize: spec.resize,
            hash: spec.hash.as_deref(),
        }
    }
}

/// Data that are open.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The rows.
    pub sets: FeatureSets,
    /// What was reinterpreted, left out or is odd, one sentence each.
    pub notes: Vec<String>,
    /// Names of the columns, if the file has them.
    pub(super) columns: Option<Vec<String>>,
    /// Where arrays are from; none of images.
    pub(super) form: Option<Form>,
}

impl FeatureSets {
    /// What `--data DATA --classes CLASSES` means, see [`Opened::of`], whose notes and form are dropped.
    ///
    /// # Errors
    /// As [`Opened::of`].
    pub fn open(
        data: &str,
        classes: Option<&[u16]>,
        data_dir: &DataDir,
    ) -> Result<Self, DataError> {
        let ask = Ask {
            classes,
            ..Ask::of(data)
        };
        Ok(Opened::of(&ask, data_dir)?.sets)
    }

    /// All of the archive at `path`.
    ///
    /// # Errors
    /// A file that is not what this module describes, a number that is not finite, a training set
    /// of one class.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let tables = Tables::open(&path.to_string_lossy(), formats::NPZ, None)?;
        sets(&tables)?.0.checked(&file_name(path))
    }

    /// As [`FeatureSets::load`], of rows that may all be of one class.
    ///
    /// # Errors
    /// A file that is not what this module describes, a number that is not finite.
    pub fn load_any(path: &Path) -> Result<Self, DataError> {
        let tables = Tables::open(&path.to_string_lossy(), formats::NPZ, None)?;
        Ok(sets(&tables)?.0)
    }
}

impl TableSet {
    /// The rows of a file as they were opened, of which none are for validation.
    pub fn of(name: &str, opened: Opened) -> Self {
        let (hash, train) = (opened.hash(), opened.sets.train);
        Self {
            name: name.to_owned(),
            valid: train.rows(&[]),
            test: opened.sets.test.unwrap_or_else(|| train.rows(&[])),
            class_names: train.class_names.clone(),
            columns: None,
            train,
            hash,
            notes: opened.notes,
        }
    }
}

impl Opened {
    /// Opens what is asked for: files of arrays as this module describes them; a known name or a folder of
    /// images by [`crate::load`].
    ///
    /// # Errors
    /// Those of loading, classes that are not in the set, a training set of one class, and other data than those
    /// that the hash asked for names.
    pub fn of(ask: &Ask, data_dir: &DataDir) -> Result<Self, DataError> {
        let opened = Self::open(ask, data_dir)?;
        match ask.hash.map(|expected| (expected, opened.hash())) {
            Some((expected, found)) if found != expected => Err(DataError::Changed {
                name: ask.data.to_owned(),
                expected: expected.to_owned(),
                found,
            }),
            _ => Ok(opened),
        }
    }

    fn open(ask: &Ask, data_dir: &DataDir) -> Result<Self, DataError> {
        let name = file_name(Path::new(ask.data));
        let format = match formats::of(ask.data) {
            Some(format) if format.holds_images(Path::new(ask.data))? => None,
            format => format,
        };
        let (sets, mut notes, columns, form) = match format {
            None => {
                let spec = DataSpec {
                    label: ask.label.map(str::to_owned),
                    classes: ask.classes.map(<[u16]>::to_vec),
                    resize: ask.resize,
                    ..DataSpec::of(ask.data, 0)
                };
                let dataset = load(&spec, data_dir)?;
                let notes = dataset.notes.clone();
                return Ok(Self {
                    sets: FeatureSets::of(dataset)?,
                    notes,
                    columns: None,
                    form: None,
                });
            }
            Some(format) => {
                if let Some(found) = ask.resize {
                    return Err(DataError::Spec {
                        name,
                        key: "resize",
                        found,
                        expected: "a folder of images; resize arrays first".to_owned(),
                    });
                }
                let form = Form {
                    data: ask.data.to_owned(),
                    format,
                    label: ask.label.map(str::to_owned),
                    classes: ask.classes.map(<[u16]>::to_vec),
                };
                let tables = form.tables()?;
                let (mut sets, notes) = sets(&tables)?;
                form.select(&mut sets)?;
                (sets.checked(&name)?, notes, tables.columns, form)
            }
        };
        notes.extend(repeated(&sets));
        if let FeatureSets {
            train,
            test: Some(test),
        } = &sets
        {
            let labels = [&train.labels, &test.labels];
            notes.extend(order::apart(
                &name,
                &train.class_names,
                labels[0],
                labels[1],
            )?);
        }
        Ok(Self {
            sets,
            notes,
            columns,
            form: Some(form),
        })
    }

    /// BLAKE3 (hexadecimal) of class names, and of kind, sizes, values and labels of the rows: what
    /// [`DataSpec::hash`] is where rows are taken as they are here.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("toxscreen 2026 rows v1");
        let names = &self.sets.train.class_names;
        hasher.update(&(names.len() as u64).to_le_bytes());
        for name in names {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        for set in [Some(&self.sets.train), self.sets.test.as_ref()] {
            let Some(set) = set else { continue };
            for side in set.shape.unwrap_or_default() {
                hasher.update(&(side as u64).to_le_bytes());
            }
            hasher.update(set.hash().as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The rows of another file as a trusted set of these: its classes are told by their names, and rows of
    /// classes that were not chosen are dropped.
    ///
    /// # Errors
    /// As [`Opened::of`], and a class that the training set does not have.
    pub fn trusted(
        &self,
        ask: &Ask,
        data_dir: &DataDir,
    ) -> Result<(Features, Vec<String>), DataError> {
        let whole = Ask {
            classes: None,
            // Of a table alone.
            label: ask
                .label
                .filter(|_| formats::of(ask.data).is_some_and(|format| format.has_columns())),
            ..*ask
        };
        let Self {
            sets,
            mut notes,
            columns,
            ..
        } = Self::of(&whole, data_dir)?;
        let mut trusted = sets.train;
        let path = Path::new(ask.data);
        if let (Some(ours), Some(theirs)) = (&self.columns, &columns) {
            notes.extend(named::arrange(path, ours, theirs, &mut trusted)?);
        }
        notes.extend(named::in_units(path, &self.sets.train, &trusted)?);
        let ours = &self.sets.train.class_names;
        let place = |name: &String| ours.iter().position(|our| our == name);
        let theirs = &trusted.class_names;
        let mut places: Vec<Option<usize>> = theirs.iter().map(place).collect();
        let unnamed = *theirs == numbered(theirs.len());
        if places.iter().all(Option::is_none) && unnamed && theirs.len() <= ours.len() {
            places = (0..theirs.len()).map(Some).collect();
            notes.push(
                "labels of the trusted rows are taken for places among the class names".to_owned(),
            );
        }
        let found = |row: usize| places[usize::from(trusted.labels[row])];
        let kept: Vec<usize> = (0..trusted.rows)
            .filter(|&row| found(row).is_some())
            .collect();
        if ask.classes.is_none()
            && let Some(row) = (0..trusted.rows).find(|&row| found(row).is_none())
        {
            return Err(DataError::OtherClass {
                path: Path::new(ask.data).to_path_buf(),
                class: theirs[usize::from(trusted.labels[row])].clone(),
                known: some(ours),
            });
        }
        let dropped = trusted.rows - kept.len();
        if dropped > 0 {
            let other = places
                .iter()
                .zip(theirs)
                .filter(|(place, _)| place.is_none());
            let other: Vec<String> = other.map(|(_, name)| name.clone()).collect();
            notes.push(format!(
                "{dropped} of the {} trusted rows are of classes that are not kept, and are left out: {}",
                trusted.rows,
                some(&other)
            ));
        }
        let labels = kept
            .iter()
            .filter_map(|&row| found(row))
            .map(|class| class as u16);
        let labels: Vec<u16> = labels.collect();
        trusted = trusted.rows(&kept);
        trusted.labels = labels;
        trusted.class_names.clone_from(ours);
        let sets = [
            ("training", Some(&self.sets.train)),
            ("test", self.sets.test.as_ref()),
        ];
        for (what, set) in sets {
            let count = set.map_or(0, |set| repeats::between(set, &trusted));
            if count > 0 {
                notes.push(format!(
                    "{count} of the {} trusted rows are {what} rows too: a trusted set should be apart",
                    trusted.rows
                ));
            }
        }
        Ok((trusted, notes))
    }

    /// Writes the data to the archive at `path` as their file has them, with the rows of `patch` replaced:
    /// names, types, order, forms of labels and further arrays stay, and so do all other rows, to the bit.
    /// Returns what is to be said of it. The same data and patch give the same bytes.
    ///
    /// # Errors
    /// A patch of other data, a file that has changed since it was opened, and one that cannot be written.
    pub fn save(&self, patch: &Patch, path: &Path) -> Result<Vec<String>, PatchError> {
        let Some(form) = &self.form else {
            let mut sets = self.sets.clone();
            patch.apply(&mut sets.train)?;
            sets.save(path)?;
            return Ok(Vec::new());
        };
        form.save(patch, path)
    }

    /// Writes the data to the archive at `path` as their file has them, with the training rows `kept` alone, in
    /// their order; of these, `labels` says the row in the training set and the new label of some. All else
    /// stays as [`Opened::save`] has it.
    ///
    /// # Errors
    /// A file that has changed so that it no longer opens, and one that cannot be written.
    ///
    /// # Panics
    /// If a row is not below the number of training rows.
    pub fn save_rows(
        &self,
        kept: &[usize],
        labels: &[(usize, u16)],
        path: &Path,
    ) -> Result<(), PatchError> {
        let Some(form) = &self.form else {
            let mut sets = self.sets.clone();
            for &(row, label) in labels {
                sets.train.labels[row] = label;
            }
            sets.train = sets.train.rows(kept);
            sets.save(path)?;
            return Ok(());
        };
        let edit = |_: &FeatureSets, _: &mut Array, _: &Grid| Ok((labels.to_vec(), Vec::new()));
        form.rewrite(Some(kept), path, edit)?;
        Ok(())
    }
}

/// How many rows are there twice, where a learner is tested on one and has learned on the other.
fn repeated(sets: &FeatureSets) -> Vec<String> {
    let (count, what) = match &sets.test {
        Some(test) => (
            repeats::between(&sets.train, test),
            format!("of the {} test rows are training rows too", test.rows),
        ),
        None => (
            repeats::within(&sets.train),
            format!(
                "of the {} training rows repeat an earlier one: some that are held out may be trained on too",
                sets.train.rows
            ),
        ),
    };
    if count == 0 {
        Vec::new()
    } else {
        vec![format!("{count} {what}")]
    }
}
