//! How genomes are crossed and mutated.

use super::Genome;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

/// Two-point crossover: both genomes with the genes between two random cuts exchanged. The two cuts
/// differ, and a cut is between two genes; with two genes there is one cut, and what follows it is
/// exchanged, with fewer nothing is.
pub fn two_point(a: &[usize], b: &[usize], rng: &mut impl Rng) -> (Genome, Genome) {
    let (mut a, mut b) = (a.to_vec(), b.to_vec());
    let genes = a.len().min(b.len());
    let mut cuts: Vec<usize> = (1..genes).collect();
    cuts.shuffle(rng);
    cuts.truncate(2);
    cuts.sort_unstable();
    let from = cuts.first().copied().unwrap_or(genes);
    let to = cuts.get(1).copied().unwrap_or(genes);
    a[from..to].swap_with_slice(&mut b[from..to]);
    (a, b)
}

/// Polynomial mutation of a genome: each gene with probability one over their number.
pub fn mutate(genome: &mut [usize], choices: &[usize], eta: f64, rng: &mut impl Rng) {
    let share = 1.0 / genome.len().max(1) as f64;
    for (gene, &options) in genome.iter_mut().zip(choices) {
        if rng.random::<f64>() < share {
            *gene = polynomial(*gene, options, eta, rng.random());
        }
    }
}

/// Polynomial mutation (Deb and Goyal 1996) of one gene of `options` values, from the draw `u` in
/// [0, 1): the bounded real operator on `[-0.5, options - 0.5]`, rounded. `u = 0.5` changes nothing,
/// smaller draws lower the gene, larger ones raise it; the larger `eta`, the nearer it stays.
pub fn polynomial(gene: usize, options: usize, eta: f64, u: f64) -> usize {
    let width = options as f64;
    let (below, above) = (
        (gene as f64 + 0.5) / width,
        (width - 0.5 - gene as f64) / width,
    );
    let (power, root) = (eta + 1.0, 1.0 / (eta + 1.0));
    let shift = if u <= 0.5 {
        let left = 2.0 * u + (1.0 - 2.0 * u) * (1.0 - below).powf(power);
        left.powf(root) - 1.0
    } else {
        let left = 2.0 * (1.0 - u) + 2.0 * (u - 0.5) * (1.0 - above).powf(power);
        1.0 - left.powf(root)
    };
    let moved = (gene as f64 + shift * width).round_ties_even();
    moved.clamp(0.0, (width - 1.0).max(0.0)) as usize
}
