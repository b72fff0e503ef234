//! The rows that an optimised poison aims at: a file, whose labels are names of the classes that are learned.

use crate::error::TrialError;
use std::path::Path;
use tox_bilevel::config::{Range, TargetSet};
use tox_bilevel::sets::{Sets, Target};
use tox_data::Data;
use tox_data::features::{FeatureSets, Features, Values};
use tox_data::hashed::unchanged;
use tox_study::recipe::{Keys, RecipeError};

/// Why rows cannot be aimed at.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// Other features than the training rows have.
    #[error(
        "the target rows of {path} have {found} features: expected {expected}, as the training rows have; take \
         both from the same export"
    )]
    Columns {
        path: String,
        found: usize,
        /// Of a training row.
        expected: usize,
    },
    /// Bytes beside floats.
    #[error(
        "the target rows of {path} are {found} and the training rows are {expected}: expected the same kind, or \
         their units differ; store both in the same way"
    )]
    Kind {
        path: String,
        /// `8-bit` or `floats`.
        found: &'static str,
        /// Of the training rows.
        expected: &'static str,
    },
    /// A label that no class has.
    #[error(
        "row {row} (counted from 0) of the target rows of {path} has the label {found}: expected a class that is \
         learned, one of {known}; correct the labels of that file"
    )]
    Label {
        path: String,
        row: usize,
        found: String,
        /// Names of all classes.
        known: String,
    },
}

/// What target rows must be like.
struct Like<'a> {
    columns: usize,
    /// `8-bit` or `floats`.
    kind: &'static str,
    classes: &'a [String],
}

fn kind(values: &Values) -> &'static str {
    match values {
        Values::Bytes(_) => "8-bit",
        Values::Floats(_) => "floats",
    }
}

/// Names the file by its content, so that a trial's id depends on it.
///
/// # Errors
/// A file that cannot be read.
pub fn named(target: Option<&mut TargetSet>, keys: &Keys<'_>) -> Result<(), RecipeError> {
    if let Some(target) = target.filter(|target| target.hash.is_none()) {
        target.hash = Some(keys.hash_of("target", &target.path)?);
    }
    Ok(())
}

/// The target set of a trial whose rows are `data`.
///
/// # Errors
/// A file that is not the spec's, or whose rows do not fit.
pub fn of_data(target: &TargetSet, data: &Data, range: Range) -> Result<Target, TrialError> {
    let points = match data {
        Data::Images(images) => {
            let columns = images.train.images.stride();
            let rows = load(
                target,
                &Like {
                    columns,
                    kind: "8-bit",
                    classes: &images.class_names,
                },
            )?;
            match rows.values {
                Values::Bytes(pixels) => Sets::image_points(pixels, rows.labels, columns, range),
                Values::Floats(_) => {
                    return Err(TargetError::Kind {
                        path: target.path.clone(),
                        found: "floats",
                        expected: "8-bit",
                    }
                    .into());
                }
            }
        }
        Data::Table(table) => {
            let rows = load(target, &like(&table.train))?;
            Sets::table_points(table, &rows, range)
        }
    };
    let labels = target.labels;
    Ok(Target { points, labels })
}

/// The rows for a user's training rows.
///
/// # Errors
/// As [`of_data`].
pub fn rows(target: &TargetSet, train: &Features) -> Result<Features, TrialError> {
    load(target, &like(train))
}

fn like(train: &Features) -> Like<'_> {
    Like {
        columns: train.columns,
        kind: kind(&train.values),
        classes: &train.class_names,
    }
}

fn load(target: &TargetSet, like: &Like<'_>) -> Result<Features, TrialError> {
    let path = Path::new(&target.path);
    unchanged(&target.path, target.hash.as_ref())?;
    let mut rows = FeatureSets::load_any(path)?.train;
    let path = target.path.clone();
    if rows.columns != like.columns {
        let (found, expected) = (rows.columns, like.columns);
        return Err(TargetError::Columns {
            path,
            found,
            expected,
        }
        .into());
    }
    let (found, expected) = (kind(&rows.values), like.kind);
    if found != expected {
        return Err(TargetError::Kind {
            path,
            found,
            expected,
        }
        .into());
    }
    for (row, label) in rows.labels.iter_mut().enumerate() {
        let name = &rows.class_names[usize::from(*label)];
        match like.classes.iter().position(|class| class == name) {
            Some(place) => *label = place as u16,
            None => {
                return Err(TargetError::Label {
                    path,
                    row,
                    found: name.clone(),
                    known: like.classes.join(", "),
                }
                .into());
            }
        }
    }
    rows.class_names = like.classes.to_vec();
    Ok(rows)
}
