//! NSGA-II (Deb et al. 2002) over integer genomes.
//!
//! Each generation breeds as many new genomes as the population is large: binary tournaments
//! (the dominating one wins, else the less crowded one), two-point crossover, polynomial mutation;
//! genomes that exist already are dropped. Of old and new together the best fronts stay, the last
//! of them thinned by crowding. Conventions are pymoo's: the start counts as the first generation
//! and may be smaller than the population.

use super::sort::{crowding, dominates, fronts};
use super::{Genome, NsgaError, breed, variation};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use tox_data::ranges;
use tox_data::rng::stream;

/// The numbers of a search. The defaults are those of NSGANetV2's published code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NsgaConfig {
    /// Members that survive a generation.
    #[schemars(range(min = 1, max = 100_000))]
    pub population: usize,
    /// Generations, the start included.
    #[schemars(range(min = 1, max = 100_000))]
    pub generations: usize,
    /// Probability that two parents are crossed.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub crossover: f64,
    /// How near a mutated gene stays.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub eta: f64,
}

impl Default for NsgaConfig {
    fn default() -> Self {
        Self {
            population: 40,
            generations: 20,
            crossover: 0.9,
            eta: 1.0,
        }
    }
}

/// A genome and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub genome: Genome,
    /// Its objectives, minimised.
    pub objectives: Vec<f64>,
    /// Which front of the population it is in, 0 for the best.
    pub rank: usize,
    /// Its crowding distance there, see [`crowding`].
    pub crowding: f64,
}

/// Searches for genomes that none dominates. `choices[g]` is the number of options of gene `g`;
/// `evaluate` gives the objectives of each of a batch of genomes. Random choices are keyed by `seed`
/// and `round`. Returns the last population, best front first; a space with few genomes may fill less
/// than `config.population`, and the search ends when it has bred nothing new.
///
/// # Errors
/// When there is no start, a genome does not fit `choices`, a setting is out of range, results do
/// not pair with genomes, an objective is not finite, or `evaluate` fails.
pub fn minimise<E: From<NsgaError>>(
    start: &[Genome],
    choices: &[usize],
    config: &NsgaConfig,
    (seed, round): (u64, u64),
    mut evaluate: impl FnMut(&[Genome]) -> Result<Vec<Vec<f64>>, E>,
) -> Result<Vec<Member>, E> {
    ranges::check(config).map_err(NsgaError::from)?;
    check_start(start, choices)?;
    let mut known = BTreeSet::new();
    let mut genomes = start.to_vec();
    genomes.retain(|genome| known.insert(genome.clone()));
    let mut population = Vec::new();
    for generation in 0..config.generations.max(1) {
        let mut rng = stream(seed, "nsga2", &[round, generation as u64]);
        if generation > 0 {
            let known = population
                .iter()
                .map(|m: &Member| m.genome.clone())
                .collect();
            genomes = breed::litter(config.population, &known, |missing| {
                mate(&population, choices, config, missing, &mut rng)
            });
        }
        if genomes.is_empty() {
            break;
        }
        let results = evaluate(&genomes)?;
        if results.len() != genomes.len() {
            return Err(NsgaError::Results {
                found: results.len(),
                expected: genomes.len(),
            }
            .into());
        }
        let born = genomes.drain(..).zip(results);
        population.extend(born.map(|(genome, objectives)| Member {
            genome,
            objectives,
            rank: 0,
            crowding: 0.0,
        }));
        // the start is ranked, but not thinned
        let most = if generation > 0 {
            config.population
        } else {
            population.len()
        };
        population = survivors(population, most, &mut rng)?;
    }
    Ok(population)
}

fn check_start(start: &[Genome], choices: &[usize]) -> Result<(), NsgaError> {
    if start.is_empty() {
        return Err(NsgaError::NoStart);
    }
    for (genome, genes) in start.iter().enumerate() {
        if genes.len() != choices.len() {
            return Err(NsgaError::Length {
                genome,
                found: genes.len(),
                expected: choices.len(),
            });
        }
        let out = genes
            .iter()
            .zip(choices)
            .position(|(gene, options)| gene >= options);
        if let Some(gene) = out {
            return Err(NsgaError::Gene {
                genome,
                gene,
                found: genes[gene],
                options: choices[gene],
            });
        }
    }
    Ok(())
}

/// At least `missing` children, all first ones of the pairs before all second ones.
fn mate(
    population: &[Member],
    choices: &[usize],
    config: &NsgaConfig,
    missing: usize,
    rng: &mut impl Rng,
) -> Vec<Genome> {
    let compare = |i: usize, j: usize| {
        let (a, b) = (&population[i], &population[j]);
        if dominates(&a.objectives, &b.objectives) {
            Ordering::Less
        } else if dominates(&b.objectives, &a.objectives) {
            Ordering::Greater
        } else {
            b.crowding.total_cmp(&a.crowding)
        }
    };
    let parents = breed::tournament(population.len(), 2 * missing.div_ceil(2), compare, rng);
    let (mut children, mut second) = (Vec::new(), Vec::new());
    for pair in parents.chunks_exact(2) {
        let (a, b) = (&population[pair[0]].genome, &population[pair[1]].genome);
        let crossed = if rng.random::<f64>() < config.crossover {
            variation::two_point(a, b, rng)
        } else {
            (a.clone(), b.clone())
        };
        children.push(crossed.0);
        second.push(crossed.1);
    }
    children.extend(second);
    for child in &mut children {
        variation::mutate(child, choices, config.eta, rng);
    }
    children
}

/// Ranks members and keeps the best fronts; of one that does not fit whole, the least crowded, at
/// random among equals.
fn survivors(
    members: Vec<Member>,
    most: usize,
    rng: &mut impl Rng,
) -> Result<Vec<Member>, NsgaError> {
    let points: Vec<&[f64]> = members.iter().map(|m| m.objectives.as_slice()).collect();
    let mut kept: Vec<(usize, usize, f64)> = Vec::new();
    for (rank, front) in fronts(&points)?.into_iter().enumerate() {
        let room = most - kept.len();
        if room == 0 {
            break;
        }
        let near: Vec<&[f64]> = front.iter().map(|&i| points[i]).collect();
        let mut front: Vec<(usize, usize, f64)> = (front.iter().zip(crowding(&near)?))
            .map(|(&i, distance)| (i, rank, distance))
            .collect();
        if front.len() > room {
            front.shuffle(rng);
            front.sort_by(|a, b| b.2.total_cmp(&a.2));
            front.truncate(room);
        }
        kept.extend(front);
    }
    let mut members: Vec<Option<Member>> = members.into_iter().map(Some).collect();
    let keep = |(i, rank, crowding): (usize, usize, f64)| {
        members[i].take().map(|member| Member {
            rank,
            crowding,
            ..member
        })
    };
    Ok(kept.into_iter().filter_map(keep).collect())
}
