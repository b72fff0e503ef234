//! What a search may end with, whatever the data.

use crate::space::nasbench201::{Cell, EDGES, Op};
use std::fmt;

/// The cells of NAS-Bench-201 that a search may end with, whatever the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether they may have `none`.
    pub none: bool,
    /// Most skip-connects that they may have.
    pub skips: usize,
}

impl Reach {
    /// All of them.
    pub const ALL: Self = Self {
        none: true,
        skips: EDGES,
    };

    pub fn holds(self, cell: &Cell) -> bool {
        let count = |op| cell.ops.iter().filter(|other| **other == op).count();
        (self.none || count(Op::None) == 0) && count(Op::Skip) <= self.skips
    }
}

/// What is true of these cells: `without none, at most 2 skips`.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = (!self.none).then(|| "without none".to_owned());
        let skips = (self.skips < EDGES).then(|| format!("at most {} skips", self.skips));
        let all: Vec<String> = none.into_iter().chain(skips).collect();
        f.write_str(&match all.is_empty() {
            true => "all".to_owned(),
            false => all.join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts by hand: 4^6 cells without `none`; of 5^6 those with at most two skips are
    /// 4^6 + 6 x 4^5 + 15 x 4^4.
    #[test]
    fn cells_within_reach_are_counted_by_hand() {
        let count = |reach: Reach| Cell::all().filter(|cell| reach.holds(cell)).count();
        let of = |none, skips| Reach { none, skips };
        assert_eq!(count(Reach::ALL), 15_625);
        assert_eq!(count(of(false, 6)), 4_096);
        assert_eq!(count(of(true, 2)), 4_096 + 6 * 1_024 + 15 * 256);
        assert_eq!(count(of(false, 0)), 729);
        let texts = [Reach::ALL, of(false, 6), of(true, 2), of(false, 2)].map(|r| r.to_string());
        let expected = [
            "all",
            "without none",
            "at most 2 skips",
            "without none, at most 2 skips",
        ];
        assert_eq!(texts, expected);
    }
}
