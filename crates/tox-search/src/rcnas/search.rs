//! The search as an audit runs it, by any method.

use super::cache::{Cache, CacheError};
use super::config::{Method, RcnasConfig, Select};
use super::controls::{evolution::evolve, in_order, uniform::proposals};
use super::environment::{Environment, Failure};
use super::ledger::{Evaluator, Ledger};
use super::meta;
use super::observe::Topology;
use super::outcome::{Evaluation, Outcome};
use super::task::{Buffers, Task, TaskError};
use crate::config::ConfigError;
use std::cmp::Ordering;
use tox_nn::nets::wrn::Shape;

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Every number.
    pub config: &'a RcnasConfig,
    /// What meta-training draws from; methods without it may have empty ones.
    pub tasks: &'a Buffers,
    /// The task to solve.
    pub target: &'a Task,
    /// Seed of all random streams.
    pub seed: u64,
}

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum RcnasError {
    /// A number out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A task that cannot be.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Nothing to meta-train on.
    #[error(
        "there is no task to meta-train on; list data sets, attacks, teachers and budgets that are not \
         held out, or search with method = \"from-scratch\""
    )]
    NoTasks,
    /// A budget that no sub-network meets.
    #[error(
        "no sub-network of {teacher} meets the budget of {budget} MACs on {data}: the cheapest, \
         {cheapest}, has {least}, the teacher {most}; give a budget of at least {least} MACs"
    )]
    Budget {
        teacher: Box<Shape>,
        data: String,
        budget: u64,
        cheapest: Box<Shape>,
        least: u64,
        most: u64,
    },
    /// A teacher with which nothing can be compared.
    #[error(
        "the teacher {teacher} cannot be compressed for {attack} on {data}: {reason}; rewards are \
         relative to the teacher's robust accuracy, give one that is above 0"
    )]
    Teacher {
        teacher: Box<Shape>,
        data: String,
        attack: String,
        reason: String,
    },
    /// The environment cannot go on.
    #[error("{shape} could not be evaluated under {attack} on {data}: {source}")]
    Environment {
        shape: Box<Shape>,
        data: String,
        attack: String,
        source: Failure,
    },
    /// Evaluations could not be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Searches. After an interruption it is simply run again: with the same inputs, the same environment and
/// a cache in the same folder it repeats what it did without evaluating again, and ends with the same
/// outcome. `None` means that the environment was asked to stop. `progress` is told the share done and
/// what is going on.
///
/// # Errors
/// When a number is out of range, the budget cannot be met, a teacher has no robust accuracy, or
/// environment or cache fail.
pub fn run(
    inputs: &Inputs<'_>,
    environment: &mut dyn Environment,
    cache: &mut Cache,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Option<Outcome>, RcnasError> {
    let config = inputs.config;
    config.check()?;
    inputs.target.check()?;
    let trained_before = config.method == Method::RcNas;
    let mut evaluator = Evaluator {
        config,
        environment,
        cache,
    };
    // A budget that cannot be met is refused before anything is trained.
    evaluator.affordable(inputs.target)?;
    if trained_before {
        inputs.tasks.check()?;
        for task in inputs.tasks.all() {
            evaluator.affordable(&task)?;
        }
    }
    let Some(on) = evaluator.setting(inputs.target)? else {
        return Ok(None);
    };
    let total = evaluator.count_feasible(&on, config.evaluations)?;
    let (mut summary, mut steps) = (None, Vec::new());
    let mut learner = meta::fresh(inputs);
    let mut rounds = 0;
    if trained_before {
        let trained = meta::train(inputs, &mut learner, &mut evaluator, progress)?;
        let Some(trained) = trained else {
            return Ok(None);
        };
        rounds = trained.rounds.len();
        summary = Some(trained);
    }
    let mut told = |ledger: &Ledger<'_>| {
        let done = ledger.evaluations.len();
        let share = done as f64 / total.max(1) as f64;
        let share = match trained_before {
            true => 0.5 + 0.5 * share,
            false => share,
        };
        progress(share, &format!("{done}/{total} sub-networks evaluated"));
    };
    let mut ledger = Ledger::new(&on, total);
    let (seed, books, told) = (inputs.seed, &mut ledger, &mut told);
    let done = match config.method {
        Method::RcNas | Method::FromScratch => {
            let done = meta::fine_tune(inputs, learner, rounds, &mut evaluator, books, told)?;
            done.map(|done| steps = done).is_some()
        }
        Method::Random => in_order(&[], &mut evaluator, books, seed, told)?,
        Method::Uniform => {
            let proposals = proposals(&on, &evaluator)?;
            in_order(&proposals, &mut evaluator, books, seed, told)?
        }
        Method::Evolution => evolve(&config.evolution, &mut evaluator, books, seed, told)?,
    };
    if !done {
        return Ok(None);
    }
    let Ledger {
        evaluations,
        repeats,
        skipped,
        ..
    } = ledger;
    let best = best(&evaluations, config.select);
    let teacher = &inputs.target.teacher;
    Ok(Some(Outcome {
        method: config.method,
        target: inputs.target.clone(),
        budget: on.budget,
        teacher: on.teacher,
        meta: summary,
        steps,
        topology: best.map(|best| Topology::new(&evaluations[best].shape, teacher)),
        best,
        evaluations,
        repeats,
        skipped,
    }))
}

/// The result: of equals the cheapest, then the first.
fn best(evaluations: &[Evaluation], select: Select) -> Option<usize> {
    let value = |e: &Evaluation| {
        let robust = e.measured.filter(|_| e.feasible)?.robust;
        Some(match select {
            Select::Robust => robust,
            Select::Reward => e.reward,
        })
    };
    let all = evaluations.iter().enumerate();
    let valued = all.filter_map(|(i, e)| Some((i, value(e)?, e.cost.macs)));
    let better = |a: &(usize, f64, u64), b: &(usize, f64, u64)| -> Ordering {
        a.1.total_cmp(&b.1).then(b.2.cmp(&a.2)).then(b.0.cmp(&a.0))
    };
    valued.max_by(better).map(|(i, ..)| i)
}
