//! The numbers of arrays, and how arrays hold rows.

/// The numbers of a set, row after row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 8-bit, such as pixels: 0..=255.
    Bytes(Vec<u8>),
    /// Finite floats in the user's own units.
    Floats(Vec<f32>),
}

/// How the array of a file holds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// (N, D): features that are no image.
    Columns,
    /// (N, H, W).
    Grey,
    /// (N, C, H, W).
    ChannelsFirst,
    /// (N, H, W, C).
    ChannelsLast,
}

/// The rows of `stride` values at `rows`, one after the other.
pub(crate) fn gather<T: Copy>(values: &[T], stride: usize, rows: &[usize]) -> Vec<T> {
    let mut gathered = Vec::with_capacity(rows.len() * stride);
    for &row in rows {
        gathered.extend_from_slice(&values[row * stride..][..stride]);
    }
    gathered
}
