//! A file of arrays as it was opened, and how it is written again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::sets::{FeatureSets, Features};
use super::tables::sets;
use crate::atomic;
use crate::classes::Selection;
use crate::error::DataError;
use crate::format::array::Values;
use crate::format::file_name;
use crate::format::formats::Format;
use crate::format::labels::Classes;
use crate::format::npy::Array;
use crate::format::npz::Writer;
use crate::format::rows::Grid;
use crate::format::source::Source;
use crate::format::tables::{Table, Tables};
use crate::patch::{Patch, PatchError};

/// A file of arrays, to be read again.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub data: String,
    pub format: &'static dyn Format,
    pub label: Option<String>,
    pub classes: Option<Vec<u16>>,
}

impl Form {
    /// Reads it.
    pub fn tables(&self) -> Result<Tables, DataError> {
        Tables::open(&self.data, self.format, self.label.as_deref())
    }

    fn selection(&self, class_names: &[String]) -> Result<Option<Selection>, DataError> {
        let name = file_name(Path::new(&self.data));
        let classes = self.classes.as_deref();
        classes
            .map(|classes| Selection::new(&name, classes, class_names))
            .transpose()
    }

    /// Keeps the classes that were asked for, if any; returns the choice.
    pub fn select(&self, sets: &mut FeatureSets) -> Result<Option<Selection>, DataError> {
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

    /// The rows of the file that are training rows, if classes were chosen.
    pub fn chosen(&self) -> Result<Option<Vec<usize>>, DataError> {
        let tables = self.tables()?;
        let chosen = self.selection(&tables.classes.names)?;
        Ok(chosen.map(|chosen| chosen.rows(&tables.classes.numbers(&tables.train.labels))))
    }

    /// Writes the file again with the rows of `patch` replaced.
    pub fn save(&self, patch: &Patch, path: &Path) -> Result<Vec<String>, PatchError> {
        self.rewrite(None, path, |sets, rows, grid| {
            let mut poisoned = sets.train.clone();
            patch.apply(&mut poisoned)?;
            let notes = place(patch, [&sets.train, &poisoned], rows, grid);
            let labels = patch.indices().iter().zip(patch.labels());
            let labels = labels.map(|(row, label)| (*row as usize, *label));
            Ok((labels.collect(), notes))
        })
    }

    /// Writes the file again to `path`, with those of its training rows (of the classes chosen) that are `kept`,
    /// all by default, and with what `edit` makes of their array, and the labels that it gives some of them.
    pub fn rewrite(
        &self,
        kept: Option<&[usize]>,
        path: &Path,
        edit: impl FnOnce(&FeatureSets, &mut Array, &Grid) -> Result<Edited, PatchError>,
    ) -> Result<Vec<String>, PatchError> {
        let tables = self.tables()?;
        let (mut sets, _) = sets(&tables)?;
        let chosen = self.select(&mut sets)?;
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
            Some(selection) => of_classes(selection, &classes, table),
            None => table,
        };
        let rows = chosen
            .as_ref()
            .map(|chosen| chosen.rows(&classes.numbers(&train.labels)));
        let mut train = keep(train);
        let (labels, notes) = edit(&sets, &mut train.rows, &grid)?;
        for (row, label) in labels {
            let class = chosen
                .as_ref()
                .map_or(usize::from(label), |chosen| chosen.place(label));
            let given = classes.given(train.labels.form, class, label);
            train.labels.set(row, &given);
        }
        // Rows of the file that are written, if not all are.
        let rows = match (rows, kept) {
            (Some(rows), Some(kept)) => Some(kept.iter().map(|row| rows[*row]).collect()),
            (rows, kept) => rows.or_else(|| kept.map(<[usize]>::to_vec)),
        };
        if let Some(kept) = kept {
            train = Table {
                rows: train.rows.rows(kept),
                labels: train.labels.rows(kept),
            };
        }
        // Arrays that are not as the file has them, by name.
        let mut changed = vec![
            (parts.train.rows.clone(), train.rows),
            (parts.train.labels.clone(), train.labels.array),
        ];
        if let Some(chosen) = &chosen {
            for (pair, table) in [(&parts.valid, valid), (&parts.test, test)] {
                if let (Some(pair), Some(table)) = (pair, table) {
                    let table = keep(table);
                    changed.push((pair.rows.clone(), table.rows));
                    changed.push((pair.labels.clone(), table.labels.array));
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
        // What else has an entry for each training row.
        if let Some(rows) = rows {
            // Names of columns have none, even if there are as many columns as rows.
            let further = parts.further.iter().filter(|key| *key != "feature_names");
            for key in further {
                if let Ok(array) = source.array(key)
                    && array.shape.first().copied() == count
                {
                    changed.push((key.clone(), array.rows(&rows)));
                }
            }
        }
        let write = |out: &mut File| write(&mut source, &changed, out);
        atomic::write_named(path, write).map_err(|source| PatchError::Write {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(notes)
    }
}

/// Rows of the training set with the labels that they get, and what is to be said of it.
type Edited = (Vec<(usize, u16)>, Vec<String>);

/// The rows of the classes chosen, with their labels as a file of these classes alone has them.
fn of_classes(chosen: &Selection, classes: &Classes, table: Table) -> Table {
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
