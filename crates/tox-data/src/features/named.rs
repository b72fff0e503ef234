//! Rows of another file as rows of the training set: columns by their names, values in the same units.

use std::path::Path;

use super::sets::Features;
use crate::doubt::Doubt;
use crate::error::DataError;
use crate::format::array::Values;
use crate::format::units::{Span, together};
use crate::format::{file_name, some};

/// Puts the columns of `rows`, which are called `theirs`, into the order of `ours`; returns what is to be said of it.
///
/// # Errors
/// Other names.
pub(super) fn arrange(
    path: &Path,
    ours: &[String],
    theirs: &[String],
    rows: &mut Features,
) -> Result<Option<String>, DataError> {
    // Of other numbers of columns speaks who compares the sizes.
    if ours == theirs || ours.len() != theirs.len() {
        return Ok(None);
    }
    let without = |all: &[String], these: &[String]| {
        let others = all.iter().filter(|name| !these.contains(name));
        others.cloned().collect::<Vec<_>>()
    };
    let (lacks, more) = (without(ours, theirs), without(theirs, ours));
    if !lacks.is_empty() || !more.is_empty() {
        return Err(Doubt::Columns {
            path: path.to_path_buf(),
            lacks: listed(&lacks),
            more: listed(&more),
        }
        .into());
    }
    // Of names that are there twice each is taken once.
    let mut left: Vec<usize> = (0..theirs.len()).collect();
    let mut places = Vec::with_capacity(ours.len());
    for name in ours {
        let Some(at) = left.iter().position(|&column| theirs[column] == *name) else {
            return Err(Doubt::Columns {
                path: path.to_path_buf(),
                lacks: name.clone(),
                more: listed(
                    &left
                        .iter()
                        .map(|&at| theirs[at].clone())
                        .collect::<Vec<_>>(),
                ),
            }
            .into());
        };
        places.push(left.remove(at));
    }
    rows.values = match &rows.values {
        Values::Bytes(values) => Values::Bytes(moved(values, &places)),
        Values::Floats(values) => Values::Floats(moved(values, &places)),
    };
    Ok(Some(format!(
        "the columns of {} are in another order than those of the training rows: they are matched by their names",
        file_name(path)
    )))
}

fn listed(names: &[String]) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => some(names),
    }
}

fn moved<T: Copy>(values: &[T], places: &[usize]) -> Vec<T> {
    let rows = values.chunks_exact(places.len().max(1));
    rows.flat_map(|row| places.iter().map(|&place| row[place]))
        .collect()
}

/// What is to be said of values of `rows` that are far from those of `train`.
///
/// # Errors
/// Images of which some are in 0..=1 and others in 0..=255.
pub(super) fn in_units(
    path: &Path,
    train: &Features,
    rows: &Features,
) -> Result<Vec<String>, DataError> {
    let (Values::Floats(ours), Values::Floats(theirs)) = (&train.values, &rows.values) else {
        return Ok(Vec::new());
    };
    let span = |what: &str, values: &[f32]| Span::of(what, values.iter().map(|x| f64::from(*x)));
    let spans = [
        span("the training set", ours),
        span(&file_name(path), theirs),
    ];
    together(path, &spans, train.shape.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::array::Layout;

    fn names(names: &str) -> Vec<String> {
        names.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn columns_are_matched_by_name_or_refused() {
        let rows = Features {
            values: Values::Floats(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            rows: 2,
            columns: 3,
            shape: None,
            layout: Layout::Columns,
            labels: vec![0, 1],
            class_names: names("0,1"),
        };
        let arranged = |ours: &str, theirs: &str| {
            let mut rows = rows.clone();
            let note = arrange(Path::new("t.csv"), &names(ours), &names(theirs), &mut rows)?;
            Ok::<_, DataError>((rows.values, note.is_some()))
        };
        let moved = Values::Floats(vec![3.0, 1.0, 2.0, 6.0, 4.0, 5.0]);
        assert_eq!(arranged("c,a,b", "a,b,c").unwrap(), (moved, true));
        assert_eq!(
            arranged("a,b,c", "a,b,c").unwrap(),
            (rows.values.clone(), false)
        );
        for (ours, theirs) in [("a,b,c", "a,b,d"), ("a,b,b", "a,a,b")] {
            let error = arranged(ours, theirs).unwrap_err().to_string();
            assert!(error.contains("t.csv has other columns"), "{error}");
        }
    }
}
