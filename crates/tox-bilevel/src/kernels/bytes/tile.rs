//! A block of 8-bit rows as the kernels read it.

use super::{DIGITS, LANES};
use crate::kernels::ROWS;
use std::ops::Deref;
use std::sync::OnceLock;

/// Rows of a line.
pub const GROUP: usize = 16;

/// Four columns of sixteen rows, a row's side by side: one vector.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [[u8; 4]; GROUP]);

impl Line {
    /// Nothing.
    pub const ZERO: Self = Self([[0; 4]; GROUP]);
}

/// At most [`ROWS`] rows, cut into fours of columns. A four whose bytes are all zero is not kept: it adds
/// nothing to an integer sum. Images have margins; of MNIST's digits a third is left out.
#[derive(Clone, Debug)]
pub struct Tile {
    /// Its rows.
    pub rows: usize,
    /// Their columns.
    pub columns: usize,
    /// Numbers of the fours kept: by their remainder by [`LANES`], then ascending.
    pub fours: Vec<u16>,
    /// Where each remainder ends among them.
    pub ends: [usize; LANES],
    /// Numbers of the others.
    pub empty: Vec<u16>,
    /// [`Tile::groups`] lines for each four kept.
    pub lines: Vec<Line>,
}

impl Tile {
    /// Of rows of `columns` bytes.
    pub fn new(bytes: &[u8], columns: usize) -> Self {
        let rows = bytes.len() / columns;
        let all = columns.div_ceil(4);
        assert!(rows <= ROWS && all <= usize::from(u16::MAX));
        let mut used = vec![0u8; 4 * all];
        for row in bytes.chunks_exact(columns) {
            for (used, &byte) in used.iter_mut().zip(row) {
                *used |= byte;
            }
        }
        let is_used = |four: usize| used[4 * four..4 * four + 4] != [0; 4];
        let (mut fours, mut ends) = (Vec::with_capacity(all), [0; LANES]);
        for (lane, end) in ends.iter_mut().enumerate() {
            let kept = (lane..all).step_by(LANES).filter(|&four| is_used(four));
            fours.extend(kept.map(|four| four as u16));
            *end = fours.len();
        }
        let empty = (0..all).filter(|&four| !is_used(four));
        let mut tile = Self {
            rows,
            columns,
            empty: empty.map(|four| four as u16).collect(),
            lines: vec![Line::ZERO; fours.len() * rows.div_ceil(GROUP)],
            fours,
            ends,
        };
        tile.fill(bytes);
        tile
    }

    fn fill(&mut self, bytes: &[u8]) {
        let (columns, groups) = (self.columns, self.groups());
        for (&four, lines) in self.fours.iter().zip(self.lines.chunks_exact_mut(groups)) {
            let at = 4 * usize::from(four);
            let to = lines.iter_mut().flat_map(|line| &mut line.0);
            for (to, row) in to.zip(bytes.chunks_exact(columns)) {
                match row[at..].first_chunk() {
                    Some(bytes) => *to = *bytes,
                    None => to[..columns - at].copy_from_slice(&row[at..]),
                }
            }
        }
    }

    /// Lines of each four.
    pub fn groups(&self) -> usize {
        self.rows.div_ceil(GROUP)
    }
}

/// Three digits of each of four values.
pub type Four = [[i8; 4]; DIGITS];

/// 8-bit values as they are stored, and their tiles, which are cut when they are first asked for.
#[derive(Debug, Default)]
pub struct Bytes {
    stored: Vec<u8>,
    tiles: OnceLock<Vec<Tile>>,
}

impl Bytes {
    /// Blocks of [`ROWS`] rows of `columns` values, in their order; the last may be shorter.
    ///
    /// # Panics
    /// If they were cut into rows of another length before.
    pub(crate) fn tiles(&self, columns: usize) -> &[Tile] {
        // In one thread: another that waits here must not be one that the cutting waits for.
        let tiles = self.tiles.get_or_init(|| {
            let blocks = self.stored.chunks(ROWS * columns);
            blocks.map(|block| Tile::new(block, columns)).collect()
        });
        assert!(tiles.iter().all(|tile| tile.columns == columns));
        tiles
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(stored: Vec<u8>) -> Self {
        Self {
            stored,
            tiles: OnceLock::new(),
        }
    }
}

impl Clone for Bytes {
    fn clone(&self) -> Self {
        self.stored.clone().into()
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.stored == other.stored
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_place_and_empty_fours_have_none() {
        for (rows, columns) in [(1, 1), (3, 5), (16, 64), (17, 70), (ROWS, 131)] {
            let byte = |r: usize, j: usize| match j / 4 % 3 {
                1 => 0,
                _ => (r * 31 + j * 7 + 1) as u8 | 1,
            };
            let bytes: Vec<u8> = (0..rows * columns)
                .map(|i| byte(i / columns, i % columns))
                .collect();
            let tile = Tile::new(&bytes, columns);
            let mut found = vec![0; rows * columns];
            for (i, &four) in tile.fours.iter().enumerate() {
                let lane = tile.ends.iter().position(|&end| i < end);
                assert_eq!(lane, Some(usize::from(four) % LANES));
                for r in 0..rows {
                    let line = &tile.lines[i * tile.groups() + r / GROUP];
                    for (c, &byte) in line.0[r % GROUP].iter().enumerate() {
                        match 4 * usize::from(four) + c {
                            j if j < columns => found[r * columns + j] = byte,
                            _ => assert_eq!(byte, 0),
                        }
                    }
                }
            }
            assert_eq!(found, bytes);
            assert!(tile.empty.iter().all(|four| four % 3 == 1));
            assert_eq!(tile.empty.len() + tile.fours.len(), columns.div_ceil(4));
        }
    }
}
