//! Rows that are in two places, so that what is learned on one is tested on itself.

use std::collections::HashSet;
use std::hash::Hash;

use crate::dataset::Split;
use crate::features::sets::Features;
use crate::format::array::Values;

/// How many rows of `b` are rows of `a` too.
fn shared<T: Hash + Eq>(a: &[T], b: &[T], columns: usize) -> usize {
    if columns == 0 {
        return 0;
    }
    let there: HashSet<&[T]> = a.chunks_exact(columns).collect();
    b.chunks_exact(columns)
        .filter(|row| there.contains(row))
        .count()
}

/// How many images of `b` are images of `a` too, whatever their labels are.
pub(crate) fn of_splits(a: &[&Split], b: &Split) -> usize {
    let stride = b.images.stride();
    let there: HashSet<&[u8]> = a
        .iter()
        .flat_map(|split| split.images.pixels.chunks_exact(stride.max(1)))
        .collect();
    let rows = b.images.pixels.chunks_exact(stride.max(1));
    rows.filter(|row| there.contains(row)).count()
}

/// How many rows of `b` are rows of `a` too, whatever their labels are; none if the sets differ in columns or
/// in kind of values.
pub fn between(a: &Features, b: &Features) -> usize {
    if a.columns != b.columns {
        return 0;
    }
    let bits = |values: &[f32]| {
        values
            .iter()
            .map(|value| value.to_bits())
            .collect::<Vec<_>>()
    };
    match (&a.values, &b.values) {
        (Values::Bytes(x), Values::Bytes(y)) => shared(x, y, a.columns),
        (Values::Floats(x), Values::Floats(y)) => shared(&bits(x), &bits(y), a.columns),
        (Values::Bytes(_), Values::Floats(_)) | (Values::Floats(_), Values::Bytes(_)) => 0,
    }
}

/// How many rows of `set` repeat an earlier one.
pub(crate) fn within(set: &Features) -> usize {
    fn repeated<T: Hash + Eq>(values: &[T], columns: usize) -> usize {
        let mut there = HashSet::new();
        let rows = values.chunks_exact(columns.max(1));
        rows.filter(|row| !there.insert(*row)).count()
    }
    match &set.values {
        Values::Bytes(values) => repeated(values, set.columns),
        Values::Floats(values) => {
            let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
            repeated(&bits, set.columns)
        }
    }
}
