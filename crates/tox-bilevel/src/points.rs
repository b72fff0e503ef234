//! Labelled points: clean ones stay 8-bit, which is exact and a quarter of the bytes; poison is real.

use crate::kernels::bytes::tile::{Line, Tile};
use crate::kernels::bytes::{self, Digits, integers};
use crate::kernels::{Coefficients, Products, fast};
use crate::real::Real;
use std::ops::Range;
use tox_data::features::{Features, Values as Stored};

pub use crate::kernels::bytes::tile::Bytes;

/// The features of some points, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values<F> {
    /// Pixels: a feature is `scale * byte + offset`.
    Bytes {
        /// As stored.
        bytes: Bytes,
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
    pub labels: Vec<u16>,
}

impl Points<f32> {
    /// Rows of a user's: 8-bit values as value / 255, floats as they are.
    pub fn of(rows: Features) -> Self {
        Self {
            features: rows.columns,
            values: match rows.values {
                Stored::Bytes(bytes) => Values::Bytes {
                    bytes: bytes.into(),
                    scale: 1.0 / 255.0,
                    offset: 0.0,
                },
                Stored::Floats(values) => Values::Reals(values),
            },
            labels: rows.labels,
        }
    }
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
    fn stored(&self, rows: Range<usize>) -> StoredRows<'_, F> {
        let at = rows.start * self.features..rows.end * self.features;
        match &self.values {
            Values::Bytes {
                bytes,
                scale,
                offset,
            } => StoredRows::Bytes {
                bytes: &bytes[at],
                scale: *scale,
                offset: *offset,
            },
            Values::Reals(reals) => StoredRows::Reals(&reals[at]),
        }
    }

    /// Blocks of [`ROWS`](crate::kernels::ROWS) rows for the integer kernels; none of points that these do not take.
    pub(crate) fn tiles(&self) -> &[Tile] {
        match &self.values {
            Values::Bytes { bytes, .. } if integers::<F>(self.features) => {
                bytes.tiles(self.features)
            }
            Values::Bytes { .. } | Values::Reals(_) => &[],
        }
    }

    /// The features of a point.
    pub fn row(&self, i: usize) -> Vec<F> {
        match self.stored(i..i + 1) {
            StoredRows::Bytes {
                bytes,
                scale,
                offset,
            } => bytes
                .iter()
                .map(|&b| scale * F::of_byte(b) + offset)
                .collect(),
            StoredRows::Reals(row) => row.to_vec(),
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
                    bytes: gather(bytes, d, indices).into(),
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

/// Some rows of points as they are stored.
enum StoredRows<'a, F> {
    Bytes {
        bytes: &'a [u8],
        scale: F,
        offset: F,
    },
    Reals(&'a [F]),
}

/// Some rows of points, as the kernels read them.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a, F> {
    /// 8-bit values for the integer kernels, and the scale and offset of their features.
    Tile(&'a Tile, (f32, f32)),
    /// Features.
    Reals(&'a [F]),
}

impl<'a, F: Products> Rows<'a, F> {
    /// Rows `range` of `points`, whose tile is `tile`; bytes that no integer kernel takes are made real in
    /// `room`.
    pub fn of(
        points: &'a Points<F>,
        range: Range<usize>,
        tile: Option<&'a Tile>,
        room: &'a mut Vec<F>,
    ) -> Self {
        match (points.stored(range), tile) {
            (StoredRows::Bytes { scale, offset, .. }, Some(tile)) => {
                Rows::Tile(tile, (scale.wide() as f32, offset.wide() as f32))
            }
            (
                StoredRows::Bytes {
                    bytes,
                    scale,
                    offset,
                },
                None,
            ) => {
                room.resize(bytes.len(), F::zero());
                fast(
                    #[inline(always)]
                    || {
                        for (x, &byte) in room.iter_mut().zip(bytes) {
                            *x = scale * F::of_byte(byte) + offset;
                        }
                    },
                );
                Rows::Reals(room)
            }
            (StoredRows::Reals(rows), _) => Rows::Reals(rows),
        }
    }

    /// `out[k * pitch + r] = x[r] . w[k]` for each row `r` and each row `k` of the matrix `w`, which
    /// has `d` columns; `digits` are those of `w`.
    pub fn project(self, d: usize, w: &[F], digits: &Digits, out: &mut [F], pitch: usize) {
        match self {
            Rows::Reals(x) => F::project(x, d, w, out, pitch),
            Rows::Tile(tile, affine) => {
                if let Some(out) = F::singles_mut(out) {
                    bytes::project(tile, (digits, affine), out, pitch);
                }
            }
        }
    }

    /// `g[k * d + j] += sum over r of delta[k * pitch + r] * x[r][j]`, the transposed product.
    pub fn accumulate(
        self,
        d: usize,
        delta: &[F],
        pitch: usize,
        room: &mut Vec<Line>,
        g: &mut [F],
    ) {
        match self {
            Rows::Reals(x) => F::combine(Coefficients::by_unit(delta, pitch), x, d, g),
            Rows::Tile(tile, affine) => {
                if let (Some(delta), Some(g)) = (F::singles(delta), F::singles_mut(g)) {
                    bytes::accumulate((tile, affine), delta, pitch, room, g);
                }
            }
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
    /// Clean points and a poison, which may be empty.
    pub fn of(clean: &'a Points<F>, poison: &'a Points<F>) -> Self {
        Self {
            fixed: vec![clean],
            poison,
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
