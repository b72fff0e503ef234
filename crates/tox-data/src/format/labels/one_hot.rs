//! Labels of a column for each class, of which one is 1.

use std::path::Path;

use super::{Array, Form, Given, Labels, wrong};
use crate::doubt::Doubt;
use crate::error::DataError;

/// The columns of the ones.
pub(super) fn read(path: &Path, array: &Array, columns: usize) -> Result<Vec<Given>, DataError> {
    let values: Vec<f64> = array.floats(path)?.collect();
    let label = |(row, values): (usize, &[f64])| {
        let hot = values.iter().position(|&value| value == 1.0);
        let others = values.iter().filter(|&&value| value != 0.0).count();
        match hot.filter(|_| others == 1) {
            Some(column) => Ok(Given::Number(column as i64)),
            None => wrong(
                path,
                array,
                row,
                values.iter().sum(),
                format!(
                    "(N, K) labels are read where each row has a single 1 (the number above is the sum \
                     of row {row}): save {0} = {0}.argmax(1), if each row has one class",
                    array.key
                ),
            ),
        }
    };
    values
        .chunks_exact(columns)
        .enumerate()
        .map(label)
        .collect()
}

/// Whether all one-hot parts have the same columns: those that `pandas.get_dummies` makes of parts that lack classes
/// do not.
pub(super) fn check(path: &Path, parts: &[&Labels]) -> Result<(), DataError> {
    let mut widths = parts.iter().filter_map(|part| match part.form {
        Form::OneHot(columns) => Some((columns, &part.array.key)),
        Form::Numbers | Form::Text => None,
    });
    if let Some((first, one)) = widths.next()
        && let Some((second, other)) = widths.find(|(columns, _)| *columns != first)
    {
        return Err(Doubt::OneHot {
            path: path.to_path_buf(),
            first: format!("`{one}` has {first}"),
            second: format!("`{other}` {second}"),
        }
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hot_parts_have_the_same_columns() {
        let of = |key, columns: usize| {
            let mut values = vec![0.0; columns];
            values[0] = 1.0;
            let array = Array::of_floats(key, &[1, columns], &values);
            Labels::read(Path::new("a.npz"), array, ("x", 1)).unwrap()
        };
        let parts = [of("y_train", 3), of("y_test", 2)];
        let error = check(Path::new("a.npz"), &parts.each_ref()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("`y_train` has 3 columns, `y_test` 2"),
            "{error}"
        );
    }
}
