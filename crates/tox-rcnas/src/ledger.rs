//! What evaluating costs: a task made ready, sub-networks visited, and the books that are kept of it.

use super::cache::{Cache, key};
use super::config::{OverBudget, RcnasConfig};
use super::environment::{Cost, Environment, Evaluated, Failure, Measured};
use super::error::RcnasError;
use super::outcome::{Evaluation, Teacher};
use super::reward::{DEGENERATE, Worth, kept, over_budget, reward};
use super::space::Space;
use super::task::Task;
use rand::{Rng, RngExt};
use std::collections::{BTreeMap, BTreeSet};
use tox_nn::nets::wrn::Shape;

/// Uniform draws after which what is left is listed instead.
const TRIES: usize = 1000;

/// A task with what has to be known of it before sub-networks are drawn.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub task: Task,
    pub space: Space,
    pub teacher: Teacher,
    /// In multiply-accumulates.
    pub budget: u64,
}

/// A sub-network that was drawn.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub cost: Cost,
    pub feasible: bool,
    pub reward: f64,
    /// `None` if nothing had to be evaluated.
    pub evaluated: Option<Evaluated>,
}

/// The environment behind its cache.
pub(super) struct Evaluator<'a> {
    pub config: &'a RcnasConfig,
    pub environment: &'a mut dyn Environment,
    pub cache: &'a mut Cache,
}

impl Evaluator<'_> {
    /// The sub-networks of a task, its teacher's cost and its budget, which is one that somebody can
    /// meet. Trains nothing.
    pub fn affordable(&self, task: &Task) -> Result<(Space, Cost, u64), RcnasError> {
        let space = Space::new(&task.teacher, &self.config.space);
        let cost = self.cost(task, &task.teacher)?;
        let budget = task.budget.macs(cost.macs);
        let cheapest = space.cheapest();
        let least = self.cost(task, &cheapest)?.macs;
        match least <= budget {
            true => Ok((space, cost, budget)),
            false => Err(RcnasError::Budget {
                teacher: Box::new(task.teacher),
                data: task.data.name.clone(),
                budget,
                cheapest: Box::new(cheapest),
                least,
                most: cost.macs,
            }),
        }
    }

    /// Makes a task ready: measures its teacher. `None` if asked to stop.
    pub fn setting(&mut self, task: &Task) -> Result<Option<Setting>, RcnasError> {
        let (space, cost, budget) = self.affordable(task)?;
        let refuse = |reason: String| RcnasError::Teacher {
            teacher: Box::new(task.teacher),
            data: task.data.name.clone(),
            attack: task.attack.name.clone(),
            reason,
        };
        let measured = match self.evaluated(task, &task.teacher)? {
            None => return Ok(None),
            Some(Evaluated::Failed { reason }) => return Err(refuse(reason)),
            Some(Evaluated::Measured(measured)) => measured,
        };
        if measured.robust <= 0.0 {
            return Err(refuse("its robust accuracy is 0".to_owned()));
        }
        Ok(Some(Setting {
            task: task.clone(),
            space,
            teacher: Teacher { cost, measured },
            budget,
        }))
    }

    pub fn cost(&self, task: &Task, shape: &Shape) -> Result<Cost, RcnasError> {
        let cost = self.environment.cost(task, shape);
        cost.map_err(|source| failure(task, shape, source))
    }

    /// From the cache, or evaluated and kept. `None` if asked to stop.
    fn evaluated(&mut self, task: &Task, shape: &Shape) -> Result<Option<Evaluated>, RcnasError> {
        if let Some(known) = self.cache.get(task, shape) {
            return Ok(Some(known.clone()));
        }
        let evaluated = self.environment.evaluate(task, shape);
        let Some(evaluated) = evaluated.map_err(|source| failure(task, shape, source))? else {
            return Ok(None);
        };
        let evaluated = sound(evaluated);
        self.cache.put(task, shape, evaluated.clone());
        Ok(Some(evaluated))
    }

    /// Whether a sub-network is within the budget.
    pub fn feasible(&self, on: &Setting, shape: &Shape) -> Result<bool, RcnasError> {
        Ok(self.cost(&on.task, shape)?.macs <= on.budget)
    }

    /// Draws over the budget that are thrown away where `wanted` sub-networks are drawn.
    pub fn redraws(&self, wanted: usize) -> usize {
        match self.config.reward.over_budget {
            OverBudget::Redraw => self.config.fine_tune.patience * wanted,
            OverBudget::Skip | OverBudget::Anneal => 0,
        }
    }

    /// What a sub-network is worth in a round. `None` if asked to stop.
    pub fn visit(
        &mut self,
        on: &Setting,
        shape: &Shape,
        round: usize,
    ) -> Result<Option<Visit>, RcnasError> {
        let cost = self.cost(&on.task, shape)?;
        let feasible = cost.macs <= on.budget;
        let share = kept(&self.config.reward, round);
        if !feasible && share == 0.0 {
            return Ok(Some(Visit {
                cost,
                feasible,
                reward: DEGENERATE,
                evaluated: None,
            }));
        }
        let Some(evaluated) = self.evaluated(&on.task, shape)? else {
            return Ok(None);
        };
        let value = match &evaluated {
            Evaluated::Failed { .. } => DEGENERATE,
            Evaluated::Measured(measured) => {
                let worth = Worth {
                    robust: measured.robust / on.teacher.measured.robust,
                    macs: cost.macs as f64 / on.teacher.cost.macs.max(1) as f64,
                };
                let value = reward(worth, self.config.reward.compression);
                match feasible {
                    true => value,
                    false => over_budget(value, share),
                }
            }
        };
        Ok(Some(Visit {
            cost,
            feasible,
            reward: value,
            evaluated: Some(evaluated),
        }))
    }

    /// How many sub-networks are within the budget, counted up to `most`.
    pub fn count_feasible(&self, on: &Setting, most: usize) -> Result<usize, RcnasError> {
        let mut count = 0;
        for shape in on.space.iter() {
            if count == most {
                break;
            }
            count += usize::from(self.feasible(on, &shape)?);
        }
        Ok(count)
    }
}

fn failure(task: &Task, shape: &Shape, source: Failure) -> RcnasError {
    RcnasError::Environment {
        shape: Box::new(*shape),
        data: task.data.name.clone(),
        attack: task.attack.name.clone(),
        source,
    }
}

/// A measurement that is none is a failed evaluation: NaN must not become a reward.
fn sound(evaluated: Evaluated) -> Evaluated {
    match evaluated {
        Evaluated::Measured(m) if !in_range(&m) => Evaluated::Failed {
            reason: format!("it measured what no network has: {m:?}"),
        },
        other => other,
    }
}

fn in_range(m: &Measured) -> bool {
    let percent = |v: f64| (0.0..=100.0).contains(&v);
    percent(m.clean) && percent(m.robust) && m.lipschitz.is_finite() && m.lipschitz >= 0.0
}

/// The books of meta-training.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    seen: BTreeSet<String>,
    pub repeats: usize,
    pub failed: usize,
}

impl Tally {
    pub fn evaluations(&self) -> usize {
        self.seen.len()
    }

    pub fn book(&mut self, task: &Task, shape: &Shape, visit: &Visit) {
        let Some(evaluated) = &visit.evaluated else {
            return;
        };
        match self.seen.insert(key(task, shape)) {
            false => self.repeats += 1,
            true => self.failed += usize::from(matches!(evaluated, Evaluated::Failed { .. })),
        }
    }
}

/// The books of the target: what has been evaluated, at most `total` sub-networks.
pub(super) struct Ledger<'a> {
    pub on: &'a Setting,
    pub total: usize,
    visited: BTreeMap<Shape, usize>,
    pub evaluations: Vec<Evaluation>,
    pub repeats: usize,
    pub skipped: usize,
}

/// How a sub-network came to be visited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Step of fine-tuning.
    pub step: usize,
    /// Round of the annealed constraint.
    pub round: usize,
    /// Whether it fills a place that the method left.
    pub filled: bool,
}

impl<'a> Ledger<'a> {
    pub fn new(on: &'a Setting, total: usize) -> Self {
        Self {
            on,
            total,
            visited: BTreeMap::new(),
            evaluations: Vec::new(),
            repeats: 0,
            skipped: 0,
        }
    }

    pub fn full(&self) -> bool {
        self.evaluations.len() >= self.total
    }

    pub fn knows(&self, shape: &Shape) -> bool {
        self.visited.contains_key(shape)
    }

    /// Visits a sub-network and books it. Its reward; `None` if asked to stop.
    pub fn visit(
        &mut self,
        evaluator: &mut Evaluator<'_>,
        shape: &Shape,
        source: Source,
    ) -> Result<Option<f64>, RcnasError> {
        let Some(visit) = evaluator.visit(self.on, shape, source.round)? else {
            return Ok(None);
        };
        let reward = visit.reward;
        match visit.evaluated {
            None => self.skipped += 1,
            Some(_) if self.knows(shape) => self.repeats += 1,
            Some(evaluated) => {
                let (measured, failed) = match evaluated {
                    Evaluated::Measured(measured) => (Some(measured), None),
                    Evaluated::Failed { reason } => (None, Some(reason)),
                };
                let counts = visit.feasible && measured.is_some();
                let before = self.evaluations.last();
                let best_robust = before.and_then(|b| b.best_robust);
                let best_reward = before.and_then(|b| b.best_reward);
                let robust = measured.map(|m| m.robust).filter(|_| counts);
                self.visited.insert(*shape, self.evaluations.len());
                self.evaluations.push(Evaluation {
                    index: self.evaluations.len() + 1,
                    step: source.step,
                    shape: *shape,
                    cost: visit.cost,
                    measured,
                    failed,
                    reward,
                    feasible: visit.feasible,
                    filled: source.filled,
                    best_robust: higher(best_robust, robust),
                    best_reward: higher(best_reward, counts.then_some(reward)),
                });
            }
        }
        Ok(Some(reward))
    }

    /// A sub-network within the budget that was not visited, uniformly; none if none is left.
    pub fn fresh(
        &self,
        evaluator: &Evaluator<'_>,
        rng: &mut impl Rng,
    ) -> Result<Option<Shape>, RcnasError> {
        let space = &self.on.space;
        for _ in 0..TRIES {
            let shape = space.random(rng);
            if !self.knows(&shape) && evaluator.feasible(self.on, &shape)? {
                return Ok(Some(shape));
            }
        }
        let (mut drawn, mut met) = (None, 0u64);
        for shape in space.iter() {
            if !self.knows(&shape) && evaluator.feasible(self.on, &shape)? {
                met += 1;
                // Each that is met takes the place with a chance of one among so many.
                if rng.random_range(0..met) == 0 {
                    drawn = Some(shape);
                }
            }
        }
        Ok(drawn)
    }
}

fn higher(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
