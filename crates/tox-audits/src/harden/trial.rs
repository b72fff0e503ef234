//! A trial: the rows are divided several times, poisoned and learned from.

use super::KIND;
use super::config::HardenConfig;
use super::outcome::HardenOutcome;
use super::plan::Plan;
use crate::error::TrialError;
use crate::rows::Source;
use tox_bilevel::advice::{Question, Split, advise};
use tox_bilevel::own::Own;
use tox_study::spec::TrialSpec;
use tox_study::steps::StepError;
use tox_study::trial::{Finished, TrialContext, with_hooks};

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &HardenConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let source = Source::of(spec, config.trusted.as_ref(), context.data_dir)?;
    let folds = 0..config.splits;
    let folds = folds.map(|fold| source.divide(spec, config.scale, fold));
    let folds: Vec<Own> = folds.collect::<Result<_, _>>()?;
    let Some(own) = folds.first() else {
        return Err(TrialError::Unfit(
            "`splits` = 0: expected at least 2".into(),
        ));
    };
    let plan = Plan::new(config, own).map_err(|e| TrialError::Unfit(e.to_string()))?;
    let tested = tested(&folds, source.data.sets.train.rows);
    let seeds = (0u64..).map(|fold| spec.seed.wrapping_add(fold << 32));
    let splits = folds.iter().zip(seeds).map(|(own, seed)| Split {
        sets: own.sets.clone(),
        seed,
    });
    let splits: Vec<Split> = splits.collect();
    let question = Question {
        splits: &splits,
        tested,
        config: &plan.config,
        attack: &plan.attack,
        current: plan.current,
        grid: &plan.grid,
    };
    let hash = source.data.hash();
    let advice = with_hooks(spec, context, &hash, |hooks| advise(question, hooks))?;
    let advice = advice.ok_or(StepError::Stopped)?;
    let outcome = HardenOutcome::of(&plan, (own, &source.data), tested, advice);
    source.finished(KIND, &outcome, hash)
}

/// Test rows over all divisions of `rows` rows, each counted once.
fn tested(folds: &[Own], rows: usize) -> usize {
    let Some(own) = folds.first() else { return 0 };
    let tests = own.sets.test.len();
    match own.test_rows.is_empty() {
        true => tests,
        false => (folds.len() * tests).min(rows),
    }
}
