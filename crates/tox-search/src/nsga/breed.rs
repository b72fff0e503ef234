//! What both genetic algorithms share: tournaments, and litters without duplicates.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Matings tried before a litter that is not full is taken as it is.
const TRIES: usize = 101;

/// Winners of `wanted` binary tournaments among `population` members. Each round of tournaments
/// goes through a random order of all members, so nobody is drawn twice before everybody was once;
/// `compare` says which of two is better (`Less`), a draw is decided by a coin. Nobody to draw from
/// gives no winner.
pub(super) fn tournament(
    population: usize,
    wanted: usize,
    compare: impl Fn(usize, usize) -> Ordering,
    rng: &mut impl Rng,
) -> Vec<usize> {
    let mut drawn: Vec<usize> = Vec::new();
    let mut order: Vec<usize> = (0..population).collect();
    while drawn.len() < 2 * wanted && population > 0 {
        order.shuffle(rng);
        drawn.extend(&order);
    }
    let mut fight = |pair: &[usize]| match compare(pair[0], pair[1]) {
        Ordering::Less => pair[0],
        Ordering::Greater => pair[1],
        Ordering::Equal => pair[usize::from(rng.random::<bool>())],
    };
    drawn.chunks_exact(2).take(wanted).map(&mut fight).collect()
}

/// `wanted` genomes of which none is in `known` or twice among them, from matings that are asked for
/// as many as are missing; fewer if [`TRIES`] matings do not bring enough.
pub(super) fn litter<G: Ord + Clone>(
    wanted: usize,
    known: &BTreeSet<G>,
    mut mate: impl FnMut(usize) -> Vec<G>,
) -> Vec<G> {
    let (mut litter, mut seen) = (Vec::new(), known.clone());
    for _ in 0..TRIES {
        if litter.len() >= wanted {
            break;
        }
        let mut born = mate(wanted - litter.len());
        born.retain(|genome| seen.insert(genome.clone()));
        born.truncate(wanted - litter.len());
        litter.extend(born);
    }
    litter
}
