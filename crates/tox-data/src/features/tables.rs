//! Feature sets out of a file's tables.

use super::sets::{FeatureSets, Features};
use crate::error::DataError;
use crate::format::array::Values;
use crate::format::dimensions;
use crate::format::rows::{self, Grid};
use crate::format::tables::{Table, Tables};

/// The rows and labels of `tables` as feature sets, and what is to be said of them.
pub(super) fn sets(tables: &Tables) -> Result<(FeatureSets, Vec<String>), DataError> {
    let path = &tables.path;
    let mut notes = tables.notes.clone();
    if let (Some(pair), Some(table)) = (&tables.parts.valid, &tables.valid) {
        notes.push(format!(
            "the {} rows of `{}` are neither learned on nor poisoned",
            table.rows.shape.first().unwrap_or(&0),
            pair.rows
        ));
    }
    let ([train, test], said) = features(tables, &[Some(&tables.train), tables.test.as_ref()])?;
    notes.extend(said);
    let Some(train) = train else {
        return Err(DataError::Empty { path: path.clone() });
    };
    Ok((FeatureSets { train, test }, notes))
}

/// Parts of `tables` as rows of numbers, all with the columns and the kind of values of the first, and what
/// is to be said of them.
pub(crate) fn features<const N: usize>(
    tables: &Tables,
    parts: &[Option<&Table>; N],
) -> Result<([Option<Features>; N], Vec<String>), DataError> {
    let path = &tables.path;
    let mut grids = Vec::new();
    for table in parts.iter().flatten() {
        grids.push((&table.rows, Grid::of(path, &table.rows)?));
    }
    let (values, said) = rows::features(path, &grids)?;
    let mut values = values.into_iter().zip(&grids);
    let made = parts.map(|table| {
        let (table, (values, (_, grid))) = (table?, values.next()?);
        Some(Features {
            values,
            rows: grid.rows,
            columns: grid.columns(),
            shape: grid.shape(),
            layout: grid.layout,
            labels: tables.classes.numbers(&table.labels),
            class_names: tables.classes.names.clone(),
        })
    });
    let first = made.iter().flatten().next().map(describe);
    for part in made.iter().flatten() {
        let found = describe(part);
        if let Some(expected) = first.clone().filter(|first| *first != found) {
            return Err(DataError::Shape {
                path: path.clone(),
                expected,
                found,
            });
        }
    }
    Ok((made, said))
}

fn describe(set: &Features) -> String {
    let sizes = set
        .shape
        .map_or(set.columns.to_string(), |s| dimensions(&s));
    match set.values {
        Values::Bytes(_) => format!("{sizes} of uint8"),
        Values::Floats(_) => format!("{sizes} of floats"),
    }
}
