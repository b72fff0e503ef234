//! Labelled points: clean ones stay 8-bit, which is exact and a quarter of the bytes; poison is real.

use crate::kernels::Rows;
use crate::real::Real;
use std::ops::Range;

/// The features of some points, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values<F> {
    /// Pixels: a feature is `scale * byte + offset`.
    Bytes {
        /// As stored.
        bytes: Vec<u8>,
        /// Of one grey level.
        scale: F,
        /// Of black.
        offset: F,
    },
    /// Features as they are.
    Reals(Vec<F>),
}

/// Points with a label each.
#[derive(Clone, Debug, PartialEq)]
pub struct Points<F> {
    /// Features of a point.
    pub features: usize,
    /// As many rows as there are labels.
    pub values: Values<F>,
    /// From 0.
    pub labels: Vec<u16>,
}

impl<F: Real> Points<F> {
    /// No points.
    pub fn none(features: usize) -> Self {
        Self {
            features,
            values: Values::Reals(Vec::new()),
            labels: Vec::new(),
        }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Rows as they are stored.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Rows<'_, F> {
        let at = rows.start * self.features..rows.end * self.features;
        match &self.values {
            Values::Bytes {
                bytes,
                scale,
                offset,
            } => Rows::Bytes {
                bytes: &bytes[at],
                scale: *scale,
                offset: *offset,
            },
            Values::Reals(reals) => Rows::Reals(&reals[at]),
        }
    }

    /// The features of a point.
    pub fn row(&self, i: usize) -> Vec<F> {
        match self.rows(i..i + 1) {
            Rows::Bytes {
                bytes,
                scale,
                offset,
            } => bytes
                .iter()
                .map(|&b| scale * F::of_byte(b) + offset)
                .collect(),
            Rows::Reals(row) => row.to_vec(),
        }
    }

    /// The points at `indices`, in that order, stored in the same way.
    pub fn select(&self, indices: &[usize]) -> Self {
        fn gather<T: Copy>(from: &[T], d: usize, indices: &[usize]) -> Vec<T> {
            indices
                .iter()
                .flat_map(|&i| &from[i * d..(i + 1) * d])
                .copied()
                .collect()
        }
        let d = self.features;
        Self {
            features: d,
            values: match &self.values {
                Values::Bytes {
                    bytes,
                    scale,
                    offset,
                } => Values::Bytes {
                    bytes: gather(bytes, d, indices),
                    scale: *scale,
                    offset: *offset,
                },
                Values::Reals(reals) => Values::Reals(gather(reals, d, indices)),
            },
            labels: gather(&self.labels, 1, indices),
        }
    }

    /// The same points with real features.
    pub fn real(&self) -> Self {
        Self {
            features: self.features,
            values: Values::Reals((0..self.len()).flat_map(|i| self.row(i)).collect()),
            labels: self.labels.clone(),
        }
    }
}

/// What a model is trained on: parts whose points stay as they are, and the poison whose features
/// are outer variables.
#[derive(Clone, Debug)]
pub struct TrainingSet<'a, F> {
    /// Clean points and frozen poison.
    pub fixed: Vec<&'a Points<F>>,
    /// The poison that is optimised; may be empty.
    pub poison: &'a Points<F>,
}

impl<'a, F: Real> TrainingSet<'a, F> {
    /// Without poison.
    pub fn clean(points: &'a Points<F>, none: &'a Points<F>) -> Self {
        Self {
            fixed: vec![points],
            poison: none,
        }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.parts().map(Points::len).sum()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All parts, the poison last.
    pub fn parts(&self) -> impl Iterator<Item = &'a Points<F>> + '_ {
        self.fixed.iter().copied().chain([self.poison])
    }
}
