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
    let used: Vec<&Table> = [Some(&tables.train), tables.test.as_ref()]
        .into_iter()
        .flatten()
        .collect();
    let mut grids = Vec::new();
    for table in &used {
        grids.push((&table.rows, Grid::of(path, &table.rows)?));
    }
    let (values, said) = rows::features(path, &grids)?;
    notes.extend(said);
    let made = values.into_iter().zip(&grids).zip(&used);
    let mut made = made.map(|((values, (_, grid)), table)| Features {
        values,
        rows: grid.rows,
        columns: grid.columns(),
        shape: grid.shape(),
        layout: grid.layout,
        labels: tables.classes.numbers(&table.labels),
        class_names: tables.classes.names.clone(),
    });
    let (Some(train), test) = (made.next(), made.next()) else {
        return Err(DataError::Empty { path: path.clone() });
    };
    if let Some(test) = &test {
        let (expected, found) = (describe(&train), describe(test));
        if expected != found {
            return Err(DataError::Shape {
                path: path.clone(),
                expected,
                found,
            });
        }
    }
    Ok((FeatureSets { train, test }, notes))
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
