//! Feature sets out of a file's tables.

use super::sets::FeatureSets;
use crate::error::DataError;
use crate::format::tables::{Tables, features};

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
