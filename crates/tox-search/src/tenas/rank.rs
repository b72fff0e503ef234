//! Ranks of candidates, and which of them go.
//!
//! A candidate ranks high to go if the condition number of the kernel falls most without it, and if
//! the number of linear regions falls least. Candidates go by the sum of both ranks.

use crate::nas::Direction;

/// A candidate to go: an op on an edge of a kind of cell.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Kind of cell: 0 normal, 1 reduction. NAS-Bench-201 has one.
    pub cell: usize,
    /// Edge, numbered node by node.
    pub edge: usize,
    /// Op, a place in the space's list (see [`super::ops`]).
    pub op: usize,
}

/// Mean drops of a candidate's scores, in its absence: `(with - without) / with`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drops {
    /// Of the condition number of the kernel.
    pub kernel: f64,
    /// Of the number of linear regions.
    pub regions: f64,
}

impl Drops {
    /// By which candidates go in the reverse order: the sum of ranks of an anti-search.
    pub fn turned(self, direction: Direction) -> Self {
        let sign = direction.sign();
        Self {
            kernel: sign * self.kernel,
            regions: sign * self.regions,
        }
    }
}

/// `(with - without) / with` to three decimals, as Python rounds: half to even.
pub fn drop(with: f64, without: f64) -> f64 {
    let exact = (with - without) / with;
    // Beyond 2^52 there are no decimals, and the factor could overflow.
    if exact.abs() < 4.5e15 {
        (exact * 1e3).round_ties_even() / 1e3
    } else {
        exact
    }
}

/// `x` to three significant digits, as the published code takes them: of its size plus 1e-8.
fn significant(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let size = x.abs() + 1e-8;
    let power = size.log10().floor() + 1.0;
    let digits = (size * 10f64.powf(-power) * 1e3).round_ties_even() / 1e3;
    (digits * 10f64.powf(power)).copysign(x)
}

/// Places of the scores in their sorted order, and the rank of each. Sorting is by three significant
/// digits and stable, but only neighbours that are exactly alike share a rank: so the published code.
fn ranks(scores: &[f64], descending: bool) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let keys: Vec<f64> = scores.iter().map(|s| significant(*s)).collect();
    order.sort_by(|&a, &b| {
        let ascending = keys[a].total_cmp(&keys[b]);
        // -0 and 0 are equals.
        match keys[a] == keys[b] {
            true => std::cmp::Ordering::Equal,
            false if descending => ascending.reverse(),
            false => ascending,
        }
    });
    let mut ranks = vec![0; scores.len()];
    for pair in order.windows(2) {
        let alike = scores[pair[0]] == scores[pair[1]];
        ranks[pair[1]] = ranks[pair[0]] + usize::from(!alike);
    }
    (order, ranks)
}

/// How many of those that went could as well have been another that stayed, since both have the same drops
/// and compete for one place, as `place` numbers them: the order of the list decided between them.
pub fn ties<P: PartialEq>(
    candidates: &[Candidate],
    drops: &[Drops],
    gone: &[Candidate],
    place: impl Fn(&Candidate) -> P,
) -> usize {
    let all = || candidates.iter().zip(drops);
    // No number of a degenerate network is a number.
    let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
    let alike = |a: &Drops, b: &Drops| same(a.kernel, b.kernel) && same(a.regions, b.regions);
    let tied = |(one, its): &(&Candidate, &Drops)| {
        gone.contains(one)
            && all().any(|(other, others)| {
                !gone.contains(other) && place(one) == place(other) && alike(its, others)
            })
    };
    all().filter(tied).count()
}

/// The candidates from the first to go to the last: by the sum of ranks, ties as the kernel ranks.
fn order(drops: &[Drops]) -> Vec<usize> {
    let kernel: Vec<f64> = drops.iter().map(|d| d.kernel).collect();
    let regions: Vec<f64> = drops.iter().map(|d| d.regions).collect();
    let (mut order, by_kernel) = ranks(&kernel, true);
    let (_, by_regions) = ranks(&regions, false);
    order.sort_by_key(|&i| by_kernel[i] + by_regions[i]);
    order
}

/// The candidates that go when `number(candidate)` may go from the candidate's edge, edge by edge in
/// the order in which each lost its first.
pub fn pruned(
    candidates: &[Candidate],
    drops: &[Drops],
    number: impl Fn(&Candidate) -> usize,
) -> Vec<Candidate> {
    let mut edges: Vec<Vec<Candidate>> = Vec::new();
    for i in order(drops) {
        let candidate = candidates[i];
        let same =
            |of: &&mut Vec<Candidate>| (of[0].cell, of[0].edge) == (candidate.cell, candidate.edge);
        match edges.iter_mut().find(same) {
            Some(of) if of.len() < number(&candidate) => of.push(candidate),
            Some(_) => {}
            None if number(&candidate) > 0 => edges.push(vec![candidate]),
            None => {}
        }
    }
    edges.concat()
}

/// The candidates that go so that the last `keep` stay: the last step, over the edges of a node.
pub fn removed(candidates: &[Candidate], drops: &[Drops], keep: usize) -> Vec<Candidate> {
    let order = order(drops);
    let gone = order.len().saturating_sub(keep);
    order[..gone].iter().map(|&i| candidates[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_drops_by_hand() {
        assert_eq!(significant(0.0), 0.0);
        for (x, expected) in [
            (0.456, 0.456),
            (0.45649, 0.456),
            (-0.45651, -0.457),
            (1234.0, 1230.0),
            (0.00401, 0.00401),
            (-0.012, -0.012),
        ] {
            assert!(
                (significant(x) - expected).abs() < 1e-12 * expected.abs(),
                "{x}"
            );
        }
        assert_eq!(drop(8.0, 6.0), 0.25);
        assert_eq!(drop(3.0, 2.0), 0.333);
        assert_eq!(drop(3.0, 4.0), -0.333);
        assert_eq!(drop(-4.0, 2.0), 1.5);
        assert!(drop(1.0, f64::MAX).is_finite());
    }

    #[test]
    fn ties_are_those_that_went_in_place_of_an_equal() {
        let candidate = |edge, op| Candidate { cell: 0, edge, op };
        let drops = |kernel, regions| Drops { kernel, regions };
        let all = [
            candidate(0, 1),
            candidate(0, 2),
            candidate(0, 3),
            candidate(1, 1),
        ];
        let scores = [
            drops(0.1, 0.0),
            drops(0.1, 0.0),
            drops(0.2, 0.0),
            drops(0.1, 0.0),
        ];
        let edge = |c: &Candidate| c.edge;
        // The equal one on another edge is no rival.
        assert_eq!(ties(&all, &scores, &[all[0]], edge), 1);
        assert_eq!(ties(&all, &scores, &[all[2]], edge), 0);
        assert_eq!(ties(&all, &scores, &[all[0], all[1]], edge), 0);
        assert_eq!(ties(&all, &scores, &[all[0], all[1]], |_| 0), 2);
        let nothing = [drops(f64::NAN, f64::NAN); 4];
        assert_eq!(ties(&all, &nothing, &[all[0], all[1]], edge), 2);
        assert_eq!(ties(&all, &nothing, &[], edge), 0);
    }

    /// By hand: the first has the kernel's largest drop and the regions' least, so it goes first; turned round last.
    #[test]
    fn an_anti_search_takes_the_others() {
        let drops = |kernel, regions| Drops { kernel, regions };
        let all = [drops(0.3, -0.1), drops(0.2, 0.0), drops(-0.1, 0.4)];
        let turned = |direction| all.map(|d| d.turned(direction));
        assert_eq!(order(&turned(Direction::Search)), [0, 1, 2]);
        assert_eq!(order(&turned(Direction::AntiSearch)), [2, 1, 0]);
        let candidates: Vec<Candidate> = (1..4)
            .map(|op| Candidate {
                cell: 0,
                edge: 0,
                op,
            })
            .collect();
        let gone = |direction| pruned(&candidates, &turned(direction), |_| 2);
        assert_eq!(gone(Direction::Search), candidates[..2]);
        assert_eq!(gone(Direction::AntiSearch), [candidates[2], candidates[1]]);
    }

    /// Sorted: 0.5, 0.2002 and 0.2001 (alike to three digits, so in their own order), 0.2001, -1.
    #[test]
    fn ranks_grow_unless_neighbours_are_exactly_alike() {
        let scores = [0.2002, -1.0, 0.2001, 0.5, 0.2001];
        let (order, found) = ranks(&scores, true);
        assert_eq!(order, [3, 0, 2, 4, 1]);
        assert_eq!(found, [1, 3, 2, 0, 2]);
        let (order, found) = ranks(&scores, false);
        assert_eq!(order, [1, 0, 2, 4, 3]);
        assert_eq!(found, [1, 0, 2, 3, 2]);
    }
}
