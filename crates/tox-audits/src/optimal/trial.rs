//! A trial: the points climb, the victim is trained with and without them, and the rows are written.

use super::config::{OptimalConfig, Plan};
use super::outcome::{Made, OptimalOutcome};
use super::{FLOATS, KIND};
use crate::error::TrialError;
use crate::poisoning::{PATCH, ROWS};
use crate::rows::Source;
use crate::target;
use crate::threats::bilevel;
use serde_json::{Value, json};
use std::path::Path;
use tox_bilevel::audit::{self, Inputs};
use tox_bilevel::config::BilevelConfig;
use tox_bilevel::effect::Effect;
use tox_bilevel::outcome::{Divergence, TargetRows};
use tox_bilevel::own::Own;
use tox_bilevel::sets::Target;
use tox_bilevel::victim::Poison;
use tox_data::features::FeatureSets;
use tox_data::patch::Patch;
use tox_study::spec::TrialSpec;
use tox_study::steps::StepError;
use tox_study::trial::{Finished, TrialContext, with_hooks};

/// What a finished audit's poison does: the learner is trained with and without it.
///
/// # Errors
/// Training that stopped being finite, so that there is no poison.
pub fn measured(
    own: &Own,
    config: &BilevelConfig,
    seed: u64,
    finished: audit::Finished,
) -> Result<Made, TrialError> {
    if let Some(divergence) = finished.outcome.divergence {
        return Err(TrialError::Diverged(divergence));
    }
    let levels = &finished.outcome.levels;
    let (Some(clean), Some(last)) = (levels.first(), levels.last()) else {
        let what = "the audit measured nothing; this is a bug in toxscreen, please report it";
        return Err(TrialError::Unfit(what.into()));
    };
    let effect = Effect::of(
        &own.sets,
        config,
        (&clean.lambda, &last.lambda),
        &finished.poison,
        (seed, levels.len() - 1),
    );
    let effect = effect.map_err(|found| {
        TrialError::Diverged(Divergence {
            points: last.points,
            training: "retraining".to_owned(),
            step: found.step as u64,
        })
    })?;
    Ok(Made {
        clean: clean.clone(),
        last: last.clone(),
        effect,
        poison: finished.poison,
    })
}

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &OptimalConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let source = Source::of(spec, config.trusted.as_ref(), context.data_dir)?;
    let mut own = source.divide(spec, config.scale, 0)?;
    if let Some(target) = &config.target {
        let rows = target::rows(target, &source.data.sets.train)?;
        own.sets.target = Some(Target {
            points: own.points(rows),
            labels: target.labels,
        });
    }
    let plan = Plan::new(config, &own).map_err(|e| TrialError::Unfit(e.to_string()))?;
    let inputs = Inputs {
        sets: &own.sets,
        config: &plan.config,
        attack: Some(&plan.attack),
        seed: spec.seed,
    };
    let (hash, folder) = (source.data.hash(), context.dir);
    let finished = with_hooks(spec, context, &hash, |hooks| audit::run(&inputs, hooks))?;
    let finished = finished.ok_or(StepError::Stopped)?;
    let made = measured(&own, &plan.config, spec.seed, finished)?;
    let mut settings = json!({
        "data": spec.data.name(),
        "classes": spec.data.classes,
        "learner": plan.config,
        "attack": plan.attack,
        "seed": spec.seed,
        "scale": own.scale,
        "trusted_rows": own.trusted_rows,
        "test_rows": own.test_rows,
        "hashes": source.hashes(),
    });
    if let Some(target) = &config.target {
        settings["target"] = json!(target);
    }
    let mut notes = write(folder, (&own, &source), settings, &made.poison)?;
    notes.extend(TargetRows::of(&own.sets).and_then(|target| target.overlap()));
    let outcome = OptimalOutcome::of(&plan, (&own, &source.data), &made, notes);
    source.finished(KIND, &outcome, hash)
}

/// Writes the poison and the rows with it; what was odd.
fn write(
    folder: &Path,
    (own, source): (&Own, &Source),
    settings: Value,
    poison: &Poison,
) -> Result<Vec<String>, TrialError> {
    let data = &source.data.sets;
    // Of the audit's training rows, some of the user's were left out.
    let indices = poison.indices.iter().map(|&i| own.rows[i] as u64);
    let mut patch = Patch::new(
        &data.train,
        indices.collect(),
        poison.labels.clone(),
        own.in_own_units(&data.train, poison),
        bilevel::KIND,
        settings,
    )?;
    patch.save(&folder.join(PATCH))?;
    let notes = source.data.save(&patch, &folder.join(ROWS))?;
    if own.sets.shape.is_some() {
        let floats = FeatureSets {
            train: patch.apply_unrounded(data.train.clone())?,
            test: data.test.clone().map(|test| test.into_floats()),
        };
        floats.save(&folder.join(FLOATS))?;
    }
    Ok(notes)
}
