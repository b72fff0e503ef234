//! Regularised evolution (Real et al. 2019) over the sub-networks within the budget, with the reward as
//! fitness.

use super::PROPOSED;
use crate::config::EvolutionConfig;
use crate::error::RcnasError;
use crate::ledger::{Evaluator, Ledger, Source};
use crate::space::{Genes, Space};
use rand::seq::index::sample;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use tox_data::rng::stream;
use tox_nn::nets::wrn::Shape;
use tox_search::nsga::variation::two_point;

/// Births tried before a place is filled uniformly.
const TRIES: usize = 100;

/// Evolves until the ledger is full. False if asked to stop.
pub(crate) fn evolve(
    config: &EvolutionConfig,
    evaluator: &mut Evaluator<'_>,
    ledger: &mut Ledger<'_>,
    seed: u64,
    told: &mut dyn FnMut(&Ledger<'_>),
) -> Result<bool, RcnasError> {
    let mut alive: VecDeque<(Genes, f64)> = VecDeque::new();
    while !ledger.full() {
        told(ledger);
        let index = ledger.evaluations.len();
        let mut rng = stream(seed, "rcnas/evolution", &[index as u64]);
        let founding = index < config.population;
        let born = match founding {
            true => None,
            false => birth(config, &alive, evaluator, ledger, &mut rng)?,
        };
        let filled = !founding && born.is_none();
        let shape = match born {
            Some(shape) => Some(shape),
            None => ledger.fresh(evaluator, &mut rng)?,
        };
        let Some(shape) = shape else {
            break;
        };
        let source = Source { filled, ..PROPOSED };
        let Some(reward) = ledger.visit(evaluator, &shape, source)? else {
            return Ok(false);
        };
        if let Ok(genes) = ledger.on.space.encode(&shape) {
            alive.push_back((genes, reward));
        }
        if alive.len() > config.population {
            alive.pop_front();
        }
    }
    Ok(true)
}

/// A child within the budget that was not evaluated before.
fn birth(
    config: &EvolutionConfig,
    alive: &VecDeque<(Genes, f64)>,
    evaluator: &Evaluator<'_>,
    ledger: &Ledger<'_>,
    rng: &mut ChaCha8Rng,
) -> Result<Option<Shape>, RcnasError> {
    let space = &ledger.on.space;
    for _ in 0..TRIES {
        let mut child = winner(config, alive, rng);
        if rng.random::<f64>() < config.crossover {
            let (crossed, _) = two_point(&child, &winner(config, alive, rng), rng);
            child = Genes::try_from(crossed).unwrap_or(child);
        }
        mutate(&mut child, space, rng);
        let shape = space.decode(&child);
        if !ledger.knows(&shape) && evaluator.feasible(ledger.on, &shape)? {
            return Ok(Some(shape));
        }
    }
    Ok(None)
}

/// The best of a tournament; of equals the youngest.
fn winner(config: &EvolutionConfig, alive: &VecDeque<(Genes, f64)>, rng: &mut impl Rng) -> Genes {
    let drawn = sample(rng, alive.len(), config.tournament.min(alive.len()));
    let best = drawn.iter().max_by(|a, b| {
        let order = alive[*a].1.total_cmp(&alive[*b].1);
        order.then(a.cmp(b))
    });
    best.map_or_else(Genes::default, |best| alive[best].0)
}

/// Gives one gene another value, uniformly among the genes that have one.
fn mutate(genes: &mut Genes, space: &Space, rng: &mut impl Rng) {
    let open: Vec<usize> = (0..genes.len())
        .filter(|gene| space.options()[*gene].len() > 1)
        .collect();
    if open.is_empty() {
        return;
    }
    let gene = open[rng.random_range(0..open.len())];
    let other = rng.random_range(0..space.options()[gene].len() - 1);
    genes[gene] = other + usize::from(other >= genes[gene]);
}
