//! The search as an audit runs it, by any method.

use super::cache::Cache;
use super::config::{Method, Select};
use super::controls::{evolution::evolve, in_order, uniform::proposals};
use super::environment::Environment;
use super::error::RcnasError;
use super::inputs::Inputs;
use super::ledger::{Evaluator, Ledger};
use super::meta;
use super::observe::Topology;
use super::outcome::{Evaluation, Outcome};
use std::cmp::Ordering;

/// Searches. `None` means that the environment was asked to stop; with the same inputs, environment and
/// cache the next call repeats what was done without evaluating again. `progress` is told the share done
/// and what is going on.
///
/// # Errors
/// When a number is out of range, the budget cannot be met, a teacher has no robust accuracy, or the
/// environment fails.
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
