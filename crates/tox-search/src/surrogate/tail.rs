//! The polynomial part of a model: a constant and one slope for each column.

/// Smallest part of a column, relative to its length, that earlier columns must leave unexplained.
const INDEPENDENT: f64 = 1e-9;

/// Which of `1, x_1, ..., x_d` a model uses: those that are linearly independent on its samples,
/// so that a column which never varies, or repeats another, gets no slope of its own instead of
/// making the equations singular. Term 0 is the constant, term `j` is column `j - 1`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tail {
    terms: Vec<usize>,
}

impl Tail {
    pub(super) fn none() -> Self {
        Self { terms: Vec::new() }
    }

    /// Constant and slopes, by Gram-Schmidt over the samples. At most as many terms as rows.
    pub(super) fn linear(rows: &[Vec<f64>]) -> Self {
        let width = rows.first().map_or(0, Vec::len);
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let mut terms = Vec::new();
        for term in 0..=width {
            let mut column: Vec<f64> = rows.iter().map(|row| value(term, row)).collect();
            let length = norm(&column);
            // twice, because once loses digits when little remains
            for _ in 0..2 {
                for unit in &basis {
                    let along: f64 = unit.iter().zip(&column).map(|(u, c)| u * c).sum();
                    for (c, u) in column.iter_mut().zip(unit) {
                        *c -= along * u;
                    }
                }
            }
            let rest = norm(&column);
            if rest > INDEPENDENT * length && basis.len() < rows.len() {
                column.iter_mut().for_each(|c| *c /= rest);
                basis.push(column);
                terms.push(term);
            }
        }
        Self { terms }
    }

    pub(super) fn len(&self) -> usize {
        self.terms.len()
    }

    /// The terms at `row`.
    pub(super) fn values<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.terms.iter().map(|&term| value(term, row))
    }
}

fn value(term: usize, row: &[f64]) -> f64 {
    if term == 0 { 1.0 } else { row[term - 1] }
}

fn norm(column: &[f64]) -> f64 {
    column.iter().map(|c| c * c).sum::<f64>().sqrt()
}
