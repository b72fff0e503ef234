//! What is cut, drawn and compared row by row, whatever a row is.

use crate::dataset::{Images, Split};
use crate::features::sets::Features;
use crate::format::array::Values;
use crate::repeats;

/// Labelled rows of one shape.
pub(crate) trait RowSet: Clone {
    /// What messages call the rows.
    const ROWS: &'static str;
    /// How messages say that two of them are equal.
    const EQUAL: &'static str;

    fn labels(&self) -> &[u16];

    fn labels_mut(&mut self) -> &mut Vec<u16>;

    /// A copy of the rows at `rows`, in their order.
    fn pick(&self, rows: &[usize]) -> Self;

    /// Puts the rows of `more`, of the same shape, behind these.
    fn append(&mut self, more: Self);

    /// Takes the rows from `at` on away, into a set of their own.
    fn split_off(&mut self, at: usize) -> Self;

    /// Drops the rows from `at` on.
    fn truncate(&mut self, at: usize);

    /// No rows, of the shape of these.
    fn none(&self) -> Self;

    /// How many rows of `b` are rows of one of `a` too, whatever their labels are.
    fn repeats(a: &[&Self], b: &Self) -> usize;

    /// Adds shape and values to a hash.
    fn hash_values(&self, hasher: &mut blake3::Hasher);

    fn count(&self) -> usize {
        self.labels().len()
    }
}

fn hash_sizes(hasher: &mut blake3::Hasher, sizes: [usize; 4]) {
    for size in sizes {
        hasher.update(&(size as u64).to_le_bytes());
    }
}

impl RowSet for Split {
    const ROWS: &'static str = "images";
    const EQUAL: &'static str = "pixel by pixel";

    fn labels(&self) -> &[u16] {
        &self.labels
    }

    fn labels_mut(&mut self) -> &mut Vec<u16> {
        &mut self.labels
    }

    fn pick(&self, rows: &[usize]) -> Self {
        self.rows(rows)
    }

    fn append(&mut self, more: Self) {
        self.images.pixels.extend(more.images.pixels);
        self.images.shape[0] += more.images.shape[0];
        self.labels.extend(more.labels);
    }

    fn split_off(&mut self, at: usize) -> Self {
        let [n, c, h, w] = self.images.shape;
        let pixels = self.images.pixels.split_off(at * self.images.stride());
        self.images.shape[0] = at;
        Self {
            images: Images {
                pixels,
                shape: [n - at, c, h, w],
            },
            labels: self.labels.split_off(at),
        }
    }

    /// Gives the memory back too.
    fn truncate(&mut self, at: usize) {
        self.images.pixels.truncate(at * self.images.stride());
        self.images.pixels.shrink_to_fit();
        self.images.shape[0] = at;
        self.labels.truncate(at);
    }

    fn none(&self) -> Self {
        let [_, c, h, w] = self.images.shape;
        Self {
            images: Images {
                pixels: Vec::new(),
                shape: [0, c, h, w],
            },
            labels: Vec::new(),
        }
    }

    fn repeats(a: &[&Self], b: &Self) -> usize {
        repeats::of_splits(a, b)
    }

    fn hash_values(&self, hasher: &mut blake3::Hasher) {
        hash_sizes(hasher, self.images.shape);
        hasher.update(&self.images.pixels);
    }
}

impl RowSet for Features {
    const ROWS: &'static str = "rows";
    const EQUAL: &'static str = "value by value";

    fn labels(&self) -> &[u16] {
        &self.labels
    }

    fn labels_mut(&mut self) -> &mut Vec<u16> {
        &mut self.labels
    }

    fn pick(&self, rows: &[usize]) -> Self {
        self.rows(rows)
    }

    fn append(&mut self, more: Self) {
        match (&mut self.values, more.values) {
            (Values::Bytes(all), Values::Bytes(more)) => all.extend(more),
            (Values::Floats(all), Values::Floats(more)) => all.extend(more),
            (Values::Bytes(_), Values::Floats(_)) | (Values::Floats(_), Values::Bytes(_)) => {
                unreachable!(
                    "the parts of a set are of one kind, which is checked when they are read"
                )
            }
        }
        self.rows += more.rows;
        self.labels.extend(more.labels);
    }

    fn split_off(&mut self, at: usize) -> Self {
        Self::split_off(self, at)
    }

    fn truncate(&mut self, at: usize) {
        self.split_off(at);
    }

    fn none(&self) -> Self {
        self.rows(&[])
    }

    fn repeats(a: &[&Self], b: &Self) -> usize {
        match a {
            [a] => repeats::between(a, b),
            several => {
                let mut all = several[0].clone();
                several[1..]
                    .iter()
                    .for_each(|more| all.append((*more).clone()));
                repeats::between(&all, b)
            }
        }
    }

    /// Bytes count as the grey images that they may be taken for: the same file has the same name by
    /// content, whoever reads it.
    fn hash_values(&self, hasher: &mut blake3::Hasher) {
        let side = (self.columns as f64).sqrt() as usize;
        match &self.values {
            Values::Bytes(values) if side * side == self.columns => {
                hash_sizes(hasher, [self.rows, 1, side, side]);
                hasher.update(values);
            }
            Values::Bytes(values) => {
                hash_sizes(hasher, [self.rows, 1, 1, self.columns]);
                hasher.update(values);
            }
            Values::Floats(values) => {
                hash_sizes(hasher, [self.rows, 1, 1, self.columns]);
                hasher.update(b"float32");
                for values in values.chunks(1 << 14) {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    hasher.update(&bytes.collect::<Vec<u8>>());
                }
            }
        }
    }
}
