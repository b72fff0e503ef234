//! Cubic radial basis function with a linear tail.
//!
//! `s(x) = sum_i w_i |x - x_i|^3 + b_0 + b . x`, with the weights and the tail from
//!
//! ```text
//! | 0   P^T         | | b |   | 0 |
//! | P   Phi + eta I | | w | = | y |
//! ```
//!
//! where `Phi_ij = |x_i - x_j|^3` and a row of `P` is `(1, x_i)`. This is `RBFInterpolant` of pySOT
//! 0.2.3 with its cubic kernel, linear tail and `eta = 1e-6`, which NSGANetV2's published code uses
//! on the encoded architectures as they are, not scaled. Two differences: a column that does not
//! vary on the samples, or repeats others, has no slope, where pySOT's equations become singular;
//! and fewer samples than `width + 1` are enough, where pySOT refuses.

use super::tail::Tail;
use super::{SurrogateError, check, check_rows, check_setting, square_distance};
use nalgebra::{DMatrix, DVector};

/// pySOT's regularisation.
pub const ETA: f64 = 1e-6;

/// A fitted radial basis function.
#[derive(Clone, Debug, PartialEq)]
pub struct Rbf {
    width: usize,
    rows: Vec<Vec<f64>>,
    weights: Vec<f64>,
    tail: Tail,
    slopes: Vec<f64>,
}

impl Rbf {
    /// Fits the function to samples. With `eta = 0` it goes through every target; above 0 it misses
    /// target `i` by `eta w_i`, and rows may repeat. Linear targets are reproduced exactly.
    ///
    /// # Errors
    /// When there is no sample, samples are not as [`crate::surrogate`] wants them, `eta` is below 0
    /// or not finite, `eta` is 0 and two rows are equal, or the equations cannot be solved.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64], eta: f64) -> Result<Self, SurrogateError> {
        let width = check("a radial basis function", rows, targets)?;
        check_setting("eta", eta)?;
        if eta == 0.0 {
            refuse_duplicates(rows)?;
        }
        let tail = Tail::linear(rows);
        let (m, n) = (tail.len(), rows.len());
        let mut system = DMatrix::zeros(m + n, m + n);
        for (i, a) in rows.iter().enumerate() {
            for (j, value) in tail.values(a).enumerate() {
                system[(j, m + i)] = value;
                system[(m + i, j)] = value;
            }
            for (j, b) in rows.iter().enumerate() {
                system[(m + i, m + j)] = cubed(square_distance(a, b));
            }
            system[(m + i, m + i)] += eta;
        }
        let right = DVector::from_iterator(
            m + n,
            std::iter::repeat_n(0.0, m).chain(targets.iter().copied()),
        );
        let solution = system
            .lu()
            .solve(&right)
            .filter(|s| s.iter().all(|v| v.is_finite()))
            .ok_or(SurrogateError::Unsolvable {
                what: "a radial basis function",
                samples: n,
                remedy: "raise eta",
            })?;
        Ok(Self {
            width,
            rows: rows.to_vec(),
            weights: solution.iter().skip(m).copied().collect(),
            tail,
            slopes: solution.iter().take(m).copied().collect(),
        })
    }

    /// Predicted targets.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Result<Vec<f64>, SurrogateError> {
        check_rows(rows, self.width)?;
        Ok(rows.iter().map(|row| self.value(row)).collect())
    }

    fn value(&self, row: &[f64]) -> f64 {
        let bumps = self.rows.iter().zip(&self.weights);
        let bumps: f64 = bumps
            .map(|(at, w)| w * cubed(square_distance(row, at)))
            .sum();
        let line = self.tail.values(row).zip(&self.slopes);
        bumps + line.map(|(value, b)| value * b).sum::<f64>()
    }
}

/// `r^3` of `r^2`.
fn cubed(square: f64) -> f64 {
    square * square.sqrt()
}

fn refuse_duplicates(rows: &[Vec<f64>]) -> Result<(), SurrogateError> {
    for (second, row) in rows.iter().enumerate() {
        if let Some(first) = rows[..second].iter().position(|other| other == row) {
            return Err(SurrogateError::Duplicate { first, second });
        }
    }
    Ok(())
}
