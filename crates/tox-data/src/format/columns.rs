//! Columns of a table that say which row it is, or what its label is, and not what it is.

use crate::features::sets::Features;
use crate::format::array::Values;

/// Fewer rows than this agree by accident.
const FEW: usize = 20;

/// What is to be said of the columns of `rows`, which have these names; without names they are numbered.
pub(crate) fn notes(rows: &Features, names: Option<&[String]>) -> Vec<String> {
    if rows.rows < FEW || rows.shape.is_some() {
        return Vec::new();
    }
    let value = |row: usize, column: usize| match &rows.values {
        Values::Bytes(values) => f32::from(values[row * rows.columns + column]),
        Values::Floats(values) => values[row * rows.columns + column],
    };
    let mut notes = Vec::new();
    for column in 0..rows.columns {
        let what = match names.and_then(|names| names.get(column)) {
            Some(name) => format!("the column `{name}`"),
            None => format!("column {column} (counted from 0)"),
        };
        let counts = (1..rows.rows).all(|row| value(row, column) == value(row - 1, column) + 1.0);
        if counts {
            notes.push(format!(
                "{what} counts the rows, and is learned from as a feature: leave it out if it is an index"
            ));
        } else if tells(rows, |row| value(row, column)) {
            notes.push(format!(
                "{what} has one value for each class and no other, and is learned from as a feature: leave it out \
                 if it is made of the label"
            ));
        }
    }
    notes
}

/// Whether a value tells the class, and the class the value.
fn tells(rows: &Features, value: impl Fn(usize) -> f32) -> bool {
    let mut of: Vec<Option<f32>> = vec![None; rows.class_names.len()];
    for (row, label) in rows.labels.iter().enumerate() {
        let known = of[usize::from(*label)].get_or_insert_with(|| value(row));
        if *known != value(row) {
            return false;
        }
    }
    let mut values: Vec<f32> = of.into_iter().flatten().collect();
    let classes = values.len();
    values.sort_by(f32::total_cmp);
    values.dedup();
    classes > 1 && values.len() == classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::array::Layout;

    #[test]
    fn counts_and_copies_of_the_label_are_told() {
        let label = |row: usize| (row * 7 % 3) as u16;
        let row = |row: usize| {
            [
                row as f32 + 5.0,
                f32::from(label(row)) * 2.0 - 1.0,
                (row % 4) as f32,
            ]
        };
        let rows = Features {
            values: Values::Floats((0..30).flat_map(row).collect()),
            rows: 30,
            columns: 3,
            shape: None,
            layout: Layout::Columns,
            labels: (0..30).map(label).collect(),
            class_names: crate::format::numbered(3),
        };
        let names = ["id", "copy", "c"].map(str::to_owned);
        let told = notes(&rows, Some(&names));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("the column `id` counts the rows"));
        assert!(told[1].starts_with("the column `copy` has one value for each class"));
        assert!(notes(&rows, None)[0].starts_with("column 0 (counted from 0)"));
        assert!(notes(&rows.rows(&[0, 1, 2]), None).is_empty());
    }
}
