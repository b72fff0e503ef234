//! Which candidates to train next: those that fill the gaps along one objective.
//!
//! NSGANetV2's published code takes the second objective (FLOPs). It puts the candidates' values
//! beside those of the front so far, and asks for the `k` candidates that make the gaps between
//! neighbours most even: least standard deviation of the differences of the sorted values. A genetic
//! algorithm looks for them: 100 subsets of exactly `k`, binary tournaments, a crossover that keeps
//! what both parents have and fills up at random from what one of them has (probability 0.9, else
//! the first parent is copied), a mutation that swaps one member for a non-member, no duplicates,
//! the 100 best of old and new survive, 60 generations, the random start included.

use super::{NsgaError, breed, sort};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use std::collections::BTreeSet;
use tox_data::rng::stream;

const POPULATION: usize = 100;
const GENERATIONS: u64 = 60;
const CROSSOVER: f64 = 0.9;

/// A subset: ascending indices of candidates.
type Subset = Vec<usize>;

/// Chooses `k` of the candidates by their values of one objective, beside the values of the `front`
/// so far; returns their indices, ascending. If there are no more than `k`, all of them (that code
/// fails there). Random choices are keyed by `seed` and `round`.
///
/// # Errors
/// When a value is not finite; candidates are counted first, then the front.
pub fn select(
    front: &[f64],
    candidates: &[f64],
    k: usize,
    (seed, round): (u64, u64),
) -> Result<Vec<usize>, NsgaError> {
    let values = candidates.iter().chain(front);
    sort::check(&values.map(|&v| [v]).collect::<Vec<_>>())?;
    if candidates.len() <= k {
        return Ok((0..candidates.len()).collect());
    }
    let mut population: Vec<(f64, Subset)> = Vec::new();
    for generation in 0..GENERATIONS {
        let mut rng = stream(seed, "subset", &[round, generation]);
        let born = if generation == 0 {
            let mut born: Vec<Subset> = (0..POPULATION)
                .map(|_| random(candidates.len(), k, &mut rng))
                .collect();
            let mut seen = BTreeSet::new();
            born.retain(|subset| seen.insert(subset.clone()));
            born
        } else {
            let known = population
                .iter()
                .map(|(_, subset)| subset.clone())
                .collect();
            breed::litter(POPULATION, &known, |missing| {
                mate(&population, candidates.len(), k, missing, &mut rng)
            })
        };
        if born.is_empty() {
            break;
        }
        let valued = born
            .into_iter()
            .map(|s| (unevenness(front, candidates, &s), s));
        population.extend(valued);
        population.sort_by(|a, b| a.0.total_cmp(&b.0));
        population.truncate(POPULATION);
    }
    Ok(population.swap_remove(0).1)
}

/// What is minimised: the standard deviation (of a population) of the gaps between neighbours, the
/// front and a subset of the candidates taken together; 0 if there is no gap.
pub fn unevenness(front: &[f64], candidates: &[f64], subset: &[usize]) -> f64 {
    let chosen = subset.iter().map(|&i| candidates[i]);
    let mut values: Vec<f64> = front.iter().copied().chain(chosen).collect();
    values.sort_by(f64::total_cmp);
    let gaps = values.windows(2).map(|pair| pair[1] - pair[0]);
    let count = values.len().saturating_sub(1).max(1) as f64;
    let mean = gaps.clone().sum::<f64>() / count;
    (gaps.map(|gap| (gap - mean) * (gap - mean)).sum::<f64>() / count).sqrt()
}

fn random(candidates: usize, k: usize, rng: &mut impl Rng) -> Subset {
    let mut subset: Subset = (0..candidates).collect();
    subset.shuffle(rng);
    subset.truncate(k);
    subset.sort_unstable();
    subset
}

fn mate(
    population: &[(f64, Subset)],
    candidates: usize,
    k: usize,
    missing: usize,
    rng: &mut impl Rng,
) -> Vec<Subset> {
    let compare = |i: usize, j: usize| population[i].0.total_cmp(&population[j].0);
    let parents = breed::tournament(population.len(), 2 * missing, compare, rng);
    let mut child = |pair: &[usize]| {
        let (a, b) = (&population[pair[0]].1, &population[pair[1]].1);
        let mut child = if rng.random::<f64>() < CROSSOVER {
            cross(a, b, k, rng)
        } else {
            a.clone()
        };
        swap(&mut child, candidates, rng);
        child
    };
    parents.chunks_exact(2).map(&mut child).collect()
}

fn cross(a: &Subset, b: &Subset, k: usize, rng: &mut impl Rng) -> Subset {
    let (mut child, one): (Subset, Subset) = a.iter().partition(|i| b.contains(i));
    let mut either: Subset = one;
    either.extend(b.iter().filter(|i| !a.contains(i)));
    either.shuffle(rng);
    child.extend(either.iter().take(k - child.len()));
    child.sort_unstable();
    child
}

/// Exchanges one member for one candidate that is none.
fn swap(subset: &mut Subset, candidates: usize, rng: &mut impl Rng) {
    let others: Subset = (0..candidates).filter(|i| !subset.contains(i)).collect();
    if others.is_empty() || subset.is_empty() {
        return;
    }
    let joins = others[rng.random_range(0..others.len())];
    let leaves = rng.random_range(0..subset.len());
    subset[leaves] = joins;
    subset.sort_unstable();
}
