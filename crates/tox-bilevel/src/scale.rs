//! Features brought to about one size: fitted on the training rows, applied to every set, and undone
//! where poison goes back into the user's own units.

use crate::points::{Points, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::features::{Features, Values as Stored};

/// How features are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// Each to [0, 1] of the training rows.
    Minmax,
    /// Each to a mean of 0 and a standard deviation of 1 among the training rows.
    Standard,
}

/// A scaling fitted: a feature `x` of column `j` becomes `(x - offset[j]) * factor[j]`. 8-bit values
/// are scaled as value / 255.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// How.
    pub kind: Scaling,
    /// One a column.
    pub offset: Vec<f64>,
    /// One a column; 1 for columns that have one value only.
    pub factor: Vec<f64>,
}

impl Scale {
    /// Fitted on `rows`.
    pub fn fit(kind: Scaling, rows: &Features) -> Self {
        let columns = rows.columns;
        let (mut low, mut high) = (
            vec![f64::INFINITY; columns],
            vec![f64::NEG_INFINITY; columns],
        );
        let (mut mean, mut square) = (vec![0.0; columns], vec![0.0; columns]);
        let rows_of = |each: &mut dyn FnMut(usize, f64)| match &rows.values {
            Stored::Bytes(values) => {
                for (i, &value) in values.iter().enumerate() {
                    each(i % columns, f64::from(f32::from(value) / 255.0));
                }
            }
            Stored::Floats(values) => {
                for (i, &value) in values.iter().enumerate() {
                    each(i % columns, f64::from(value));
                }
            }
        };
        let n = (rows.rows as f64).max(1.0);
        rows_of(&mut |j, x| {
            low[j] = low[j].min(x);
            high[j] = high[j].max(x);
            mean[j] += x / n;
        });
        rows_of(&mut |j, x| square[j] += (x - mean[j]).powi(2) / n);
        let factor = |j: usize| {
            let size = match kind {
                Scaling::Minmax => high[j] - low[j],
                Scaling::Standard => f64::sqrt(square[j]),
            };
            // A column of one value has a spread of 0, or of the rounding of its mean.
            if high[j] > low[j] { 1.0 / size } else { 1.0 }
        };
        Self {
            kind,
            factor: (0..columns).map(factor).collect(),
            offset: match kind {
                Scaling::Minmax => low,
                // The mean of one value is rounded.
                Scaling::Standard => (0..columns)
                    .map(|j| if high[j] > low[j] { mean[j] } else { low[j] })
                    .collect(),
            },
        }
    }

    /// The points with scaled, real features.
    pub fn apply(&self, points: Points<f32>) -> Points<f32> {
        let mut points = points.real();
        let columns = self.offset.len();
        if let Values::Reals(values) = &mut points.values {
            for (i, x) in values.iter_mut().enumerate() {
                *x = self.to(i % columns, *x);
            }
        }
        points
    }

    /// Column `j`'s value `x`, scaled.
    pub fn to(&self, j: usize, x: f32) -> f32 {
        ((f64::from(x) - self.offset[j]) * self.factor[j]) as f32
    }

    /// Column `j`'s scaled value `x` in the user's own units.
    pub fn back(&self, j: usize, x: f32) -> f32 {
        (f64::from(x) / self.factor[j] + self.offset[j]) as f32
    }
}
