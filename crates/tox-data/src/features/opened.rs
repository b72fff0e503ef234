//! A user's own data as they are opened, and how they are written back with poison in them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::sets::{FeatureSets, Features};
use super::tables::sets;
use crate::atomic;
use crate::classes::Selection;
use crate::data_dir::DataDir;
use crate::error::DataError;
use crate::format::array::Values;
use crate::format::labels::Classes;
use crate::format::npy::Array;
use crate::format::npz::Writer;
use crate::format::rows::Grid;
use crate::format::source::{Kind, Source};
use crate::format::tables::{Table, Tables};
use crate::format::{file_name, numbered, some};
use crate::load::{load, unknown};
use crate::patch::{Patch, PatchError};
use crate::repeats;
use crate::spec::DataSpec;

/// What is asked of data.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// An `.npz` file, two `.npy` files parted by a comma, a `.csv` file, a folder of class folders, or a
    /// known name.
    pub data: &'a str,
    /// The column of labels, of a table alone.
    pub label: Option<&'a str>,
    /// Classes kept.
    pub classes: Option<&'a [u16]>,
    /// Side to which images are resized, of a folder or a known set.
    pub resize: Option<usize>,
}

impl<'a> Ask<'a> {
    /// All of `data`, as it is.
    pub fn of(data: &'a str) -> Self {
        Self {
            data,
            label: None,
            classes: None,
            resize: None,
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
    /// Where arrays are from; none of images.
    form: Option<Form>,
}

/// A file of arrays, to be read again.
#[derive(Clone, Debug)]
struct Form {
    data: String,
    kind: Kind,
    label: Option<String>,
    classes: Option<Vec<u16>>,
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
        let tables = Tables::open(&path.to_string_lossy(), Kind::Npz, None)?;
        sets(&tables)?.0.checked(&file_name(path))
    }
}

impl Opened {
    /// Opens what is asked for: files of arrays as this module describes them; a known name or a folder of
    /// images by [`crate::load`].
    ///
    /// # Errors
    /// Those of loading, classes that are not in the set, and a training set of one class.
    pub fn of(ask: &Ask, data_dir: &DataDir) -> Result<Self, DataError> {
        let name = file_name(Path::new(ask.data));
        let (sets, mut notes, form) = match Kind::of(ask.data) {
            None => {
                let spec = DataSpec {
                    classes: ask.classes.map(<[u16]>::to_vec),
                    resize: ask.resize,
                    ..DataSpec::of(ask.data, 0)
                };
                let dataset = load(&spec, data_dir)?;
                let notes = dataset.notes.clone();
                return Ok(Self {
                    sets: FeatureSets::of(dataset)?,
                    notes,
                    form: None,
                });
            }
            // The file is there, or its name is told with those that are known.
            Some(Kind::Npz | Kind::Table) if !Path::new(ask.data).exists() => {
                return Err(unknown(ask.data));
            }
            Some(kind) => {
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
                    kind,
                    label: ask.label.map(str::to_owned),
                    classes: ask.classes.map(<[u16]>::to_vec),
                };
                let tables = form.tables()?;
                let (mut sets, notes) = sets(&tables)?;
                form.select(&mut sets)?;
                (sets.checked(&name)?, notes, form)
            }
        };
        notes.extend(repeated(&sets));
        Ok(Self {
            sets,
            notes,
            form: Some(form),
        })
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
                .filter(|_| Kind::of(ask.data) == Some(Kind::Table)),
            ..*ask
        };
        let Self {
            sets, mut notes, ..
        } = Self::of(&whole, data_dir)?;
        let mut trusted = sets.train;
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
}

impl Form {
    fn tables(&self) -> Result<Tables, DataError> {
        Tables::open(&self.data, self.kind, self.label.as_deref())
    }

    fn selection(&self, class_names: &[String]) -> Result<Option<Selection>, DataError> {
        let name = file_name(Path::new(&self.data));
        let classes = self.classes.as_deref();
        classes
            .map(|classes| Selection::new(&name, classes, class_names))
            .transpose()
    }

    /// Keeps the classes that were asked for, if any; returns the choice.
    fn select(&self, sets: &mut FeatureSets) -> Result<Option<Selection>, DataError> {
        let Some(selection) = self.selection(&sets.train.class_names)? else {
            return Ok(None);
        };
        sets.train.select(&selection);
        selection.check(&file_name(Path::new(&self.data)), [&sets.train.labels, &[]])?;
        if let Some(test) = &mut sets.test {
            test.select(&selection);
        }
        // A test set without any of these classes is none.
        sets.test = sets.test.take().filter(|test| test.rows > 0);
        Ok(Some(selection))
    }

    fn save(&self, patch: &Patch, path: &Path) -> Result<Vec<String>, PatchError> {
        let tables = self.tables()?;
        let (mut sets, _) = sets(&tables)?;
        let chosen = self.select(&mut sets)?;
        let mut poisoned = sets.train.clone();
        patch.apply(&mut poisoned)?;
        let Tables {
            path: from,
            mut source,
            parts,
            train,
            valid,
            test,
            classes,
            ..
        } = tables;
        let (count, grid) = (
            train.rows.shape.first().copied(),
            Grid::of(&from, &train.rows)?,
        );
        let keep = |table: Table| match &chosen {
            Some(selection) => kept(selection, &classes, table),
            None => table,
        };
        let rows = chosen
            .as_ref()
            .map(|chosen| chosen.rows(&classes.numbers(&train.labels)));
        let mut train = keep(train);
        let notes = place(patch, [&sets.train, &poisoned], &mut train.rows, &grid);
        for (&row, &label) in patch.indices().iter().zip(patch.labels()) {
            let class = chosen
                .as_ref()
                .map_or(usize::from(label), |chosen| chosen.place(label));
            let given = classes.given(train.labels.form, class, label);
            train.labels.set(row as usize, &given);
        }
        // Arrays that are not as the file has them, by name.
        let mut changed = vec![
            (parts.train.rows.clone(), train.rows),
            (parts.train.labels.clone(), train.labels.array),
        ];
        if let (Some(chosen), Some(rows)) = (&chosen, rows) {
            for (pair, table) in [(&parts.valid, valid), (&parts.test, test)] {
                if let (Some(pair), Some(table)) = (pair, table) {
                    let table = keep(table);
                    changed.push((pair.rows.clone(), table.rows));
                    changed.push((pair.labels.clone(), table.labels.array));
                }
            }
            // What else has an entry for each training row.
            for key in &parts.further {
                if let Ok(array) = source.array(key)
                    && array.shape.first().copied() == count
                {
                    changed.push((key.clone(), array.rows(&rows)));
                }
            }
            if let Some(key) = &parts.class_names {
                let names =
                    (0..sets.train.class_names.len()).map(|class| chosen.place(class as u16));
                changed.push((
                    key.clone(),
                    source.array(key)?.rows(&names.collect::<Vec<_>>()),
                ));
            }
        }
        let write = |out: &mut File| write(&mut source, &changed, out);
        atomic::write(path, write).map_err(|source| PatchError::Write {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(notes)
    }
}

/// The rows of the classes chosen, with their labels as a file of these classes alone has them.
fn kept(chosen: &Selection, classes: &Classes, table: Table) -> Table {
    let old = classes.numbers(&table.labels);
    let rows = chosen.rows(&old);
    let mut new: Vec<u16> = rows.iter().map(|&row| old[row]).collect();
    chosen.relabel(&mut new);
    let mut labels = table.labels.rows(&rows);
    for (at, (&row, &label)) in rows.iter().zip(&new).enumerate() {
        let given = classes.given(labels.form, usize::from(old[row]), label);
        labels.set(at, &given);
    }
    Table {
        rows: table.rows.rows(&rows),
        labels,
    }
}

/// Puts what differs between the clean and the poisoned rows of `patch` into the array of the file; returns what
/// became of numbers that its type does not hold.
fn place(
    patch: &Patch,
    [clean, poisoned]: [&Features; 2],
    rows: &mut Array,
    grid: &Grid,
) -> Vec<String> {
    let (places, columns) = (grid.places(), clean.columns);
    let (mut moved, mut rounded) = (0usize, 0usize);
    for &row in patch.indices() {
        let row = row as usize;
        for (column, place) in places.iter().enumerate() {
            let value = |set: &Features| match &set.values {
                Values::Bytes(values) => f64::from(values[row * columns + column]),
                Values::Floats(values) => f64::from(values[row * columns + column]),
            };
            let new = value(poisoned);
            if new != value(clean) {
                let stored = rows.set(row * grid.stride() + place, new);
                moved += 1;
                rounded += usize::from(stored != new);
            }
        }
    }
    match rounded {
        0 => Vec::new(),
        _ => vec![format!(
            "{rounded} of the {moved} values of the poison were rounded to {}, the type of `{}`",
            rows.kind.name(),
            rows.key
        )],
    }
}

/// Writes an archive of all that `source` has, with the arrays `changed` in the places of theirs.
fn write(source: &mut Source, changed: &[(String, Array)], out: &mut File) -> std::io::Result<()> {
    let mut writer = Writer::new(BufWriter::new(out));
    let new = |key: &str| {
        changed
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, array)| array)
    };
    match source {
        Source::Npz(archive) => {
            for member in archive.members() {
                let bytes = match member.strip_suffix(".npy").and_then(new) {
                    Some(array) => array.file(),
                    None => archive.raw(&member).map_err(std::io::Error::other)?,
                };
                writer.member(&member, &bytes)?;
            }
        }
        Source::Read(arrays) => {
            for array in arrays {
                let array = new(&array.key).unwrap_or(array);
                writer.member(&format!("{}.npy", array.key), &array.file())?;
            }
        }
    }
    writer.finish()?.flush()
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
