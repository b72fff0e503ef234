//! Points of a space, for distances.

use tox_data::{Images, Normalise};

/// Rows with a Euclidean distance between any two.
pub struct Points {
    /// The rows in f32, one after the other.
    pub(super) values: Vec<f32>,
    /// Values of a row.
    pub(super) columns: usize,
    exact: Exact,
}

enum Exact {
    /// Of 8-bit pixels: squares are summed as integers, and a weight brings those of the channels of
    /// one deviation to normalised units. So rows that are equally far on paper are so here.
    Pixels {
        images: Images,
        weights: Vec<(f64, Vec<usize>)>,
    },
    /// Of the values.
    Floats,
}

impl Points {
    /// Normalised pixels.
    ///
    /// # Panics
    /// If `normalise` has fewer entries than there are channels.
    pub fn pixels(images: Images, normalise: &Normalise) -> Self {
        let [_, c, h, w] = images.shape;
        let channel = |i: usize| (i / (h * w).max(1)) % c.max(1);
        let value = |(i, &pixel): (usize, &u8)| {
            let (mean, std) = (normalise.mean[channel(i)], normalise.std[channel(i)]);
            ((f64::from(pixel) / 255.0 - f64::from(mean)) / f64::from(std)) as f32
        };
        let values = images.pixels.iter().enumerate().map(value).collect();
        let mut weights: Vec<(f64, Vec<usize>)> = Vec::new();
        for (channel, std) in normalise.std[..c].iter().enumerate() {
            let weight = (255.0 * f64::from(*std)).powi(-2);
            match weights.iter_mut().find(|(other, _)| *other == weight) {
                Some((_, channels)) => channels.push(channel),
                None => weights.push((weight, vec![channel])),
            }
        }
        Self {
            values,
            columns: images.stride(),
            exact: Exact::Pixels { images, weights },
        }
    }

    /// Rows of `columns` values each.
    pub fn floats(values: Vec<f32>, columns: usize) -> Self {
        Self {
            values,
            columns,
            exact: Exact::Floats,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// Squared distance between the rows `a` and `b`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        match &self.exact {
            Exact::Pixels { images, weights } => {
                let area = images.shape[2] * images.shape[3];
                let row = |row: usize| &images.pixels[row * self.columns..][..self.columns];
                let (a, b) = (row(a), row(b));
                let sum = |channel: &usize| -> u64 {
                    let plane = channel * area..(channel + 1) * area;
                    let pairs = a[plane.clone()].iter().zip(&b[plane]);
                    let squares = pairs.map(|(a, b)| u64::from(u32::from(a.abs_diff(*b)).pow(2)));
                    squares.sum()
                };
                let weighted = |(weight, channels): &(f64, Vec<usize>)| {
                    weight * channels.iter().map(sum).sum::<u64>() as f64
                };
                weights.iter().map(weighted).sum()
            }
            Exact::Floats => {
                let pairs = self.row(a).iter().zip(self.row(b));
                pairs
                    .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                    .sum()
            }
        }
    }
}
