//! Poison against logistic regression that has converged: Algorithm 2 with the hypergradient at the
//! minimum (implicit function theorem) in place of the one through a training of T steps. What
//! [`crate::audit`] crafts aims at a training that is stopped early; a solver that runs to the end
//! feels other points.

use crate::ascent::{climb, descend};
use crate::config::{BilevelAttack, BilevelConfig, Victim};
use crate::converge::{Minimum, Stop, minimise};
use crate::hypergradient::at_optimum;
use crate::points::TrainingSet;
use crate::sets::Sets;
use crate::victim::{Poison, model, order, problem};

/// Most products with the Hessian for one hypergradient.
const PRODUCTS: usize = 60;

/// The lambda of the victim that an adversary aims at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim<'a> {
    /// These, whatever the poison is.
    Fixed(&'a [f64]),
    /// Learned on the trusted set while the poison climbs.
    Learned,
}

/// What was crafted.
#[derive(Clone, Debug, PartialEq)]
pub struct Crafted {
    /// The poison, of all batches.
    pub poison: Poison,
    /// The lambdas at the end.
    pub lambda: Vec<f64>,
}

/// The converged victim with these lambdas on the training set with `poison` in it.
pub fn converged(
    sets: &Sets,
    config: &BilevelConfig,
    lambda: &[f64],
    poison: &Poison,
    start: &[f32],
) -> Minimum<f32> {
    let model = model(config, sets);
    let (clean, poison) = (poison.leaves(&sets.train), poison.points(model.features));
    let points = (TrainingSet::of(&clean, &poison), &sets.valid);
    let problem = problem((&model, config), points, lambda, start);
    minimise(&problem, start, Stop::default())
}

/// Crafts the poison of `attack`. Of a victim with fixed lambdas the strongest poison on the way is
/// kept, else the last one. `None` if `stop` asks for it.
pub fn craft(
    sets: &Sets,
    config: &BilevelConfig,
    attack: &BilevelAttack,
    aim: Aim<'_>,
    seed: u64,
    stop: &mut dyn FnMut() -> bool,
) -> Option<Crafted> {
    let config = BilevelConfig {
        victim: match aim {
            Aim::Fixed([]) => Victim::None,
            Aim::Fixed(_) => Victim::Large,
            Aim::Learned => Victim::Learned,
        },
        ..config.clone()
    };
    let mut lambda = match aim {
        Aim::Fixed(lambda) => lambda.to_vec(),
        Aim::Learned => vec![config.lambda.start],
    };
    let model = model(&config, sets);
    let (features, order) = (model.features, order(sets, seed));
    let mut weights = vec![0.0; model.parameters()];
    let mut poison = Poison::default();
    for batch in 0..attack.batches {
        let from = batch * attack.batch;
        for &i in &order[from..from + attack.batch] {
            poison.clone_flipped(sets, i, seed);
        }
        if aim == Aim::Learned {
            lambda.fill(config.lambda.start);
        }
        let clean = poison.leaves(&sets.train);
        let frozen = poison.range(0..from, features).points(features);
        let at = from * features;
        let mut best = (f64::NEG_INFINITY, Vec::new());
        for step in 0..=config.hyperiterations {
            if stop() {
                return None;
            }
            let all = from..from + attack.batch;
            let points = poison.range(all, features).points(features);
            let train = TrainingSet {
                fixed: vec![&clean, &frozen],
                poison: &points,
            };
            let problem = problem((&model, &config), (train, &sets.valid), &lambda, &weights);
            let found = minimise(&problem, &weights, Stop::default()).weights;
            let hyper = at_optimum(&problem, found.clone(), PRODUCTS);
            if hyper.loss > best.0 || aim == Aim::Learned {
                best = (hyper.loss, poison.values[at..].to_vec());
            }
            weights = found;
            if step < config.hyperiterations {
                climb(sets, attack, &hyper.poison, &mut poison.values[at..]);
                if aim == Aim::Learned {
                    descend(&config.lambda, &hyper.lambda, &mut lambda);
                }
            }
        }
        poison.values[at..].copy_from_slice(&best.1);
    }
    Some(Crafted { poison, lambda })
}
