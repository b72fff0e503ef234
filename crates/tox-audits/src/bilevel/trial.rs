//! A trial: poison, countermeasures, Algorithm 2, attack.

use super::KIND;
use super::model::Mlp;
use super::outcome::Outcome;
use crate::error::TrialError;
use crate::judge;
use crate::poison::{self, Prepared, prepare};
use crate::scene::{Reach, Scene};
use crate::threats::{self, gc::Surrogate};
use serde_json::json;
use tox_bilevel::audit::{self, AuditError, Inputs};
use tox_bilevel::config::{BilevelAttack, BilevelConfig};
use tox_bilevel::sets::Sets;
use tox_data::isa;
use tox_study::part::Part;
use tox_study::spec::TrialSpec;
use tox_study::steps::{Steps, data_key};
use tox_study::trial::{Finished, TrialContext, load};

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &BilevelConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let clean = load(spec, &context)?;
    let threat = judge::threat(spec)?;
    judge::possible(threat.as_ref(), &clean)?;
    let own = spec.threat.data.as_ref();
    let own = own.filter(|t| t.kind == threats::bilevel::KIND);
    let attack: Option<BilevelAttack> = own.map(|t| t.read()).transpose()?;
    let scene = Scene {
        spec,
        clean: &clean,
        device: tox_nn::device::parse(context.device)?,
        // The learner trusts its validation points.
        reach: Reach::Train,
        victims: &Surrogate,
        own: &[threats::bilevel::KIND],
    };
    let mut steps = Steps::new(context, data_key(&clean), spec.seed, weights(spec));
    let Prepared {
        data,
        poisoned,
        cleansed,
    } = prepare(&scene, &mut steps)?;
    let sets = Sets::of(&data, config.range).map_err(AuditError::from)?;
    let inputs = Inputs {
        sets: &sets,
        config,
        attack: attack.as_ref(),
        seed: spec.seed,
    };
    let key = json!({ "spec": spec });
    let finished = steps.again("learning", key.clone(), |hooks| -> Result<_, TrialError> {
        Ok(audit::run(&inputs, hooks)?)
    })?;
    let attacked = match &threat {
        Some(threat) => {
            let made = steps.step("attack", key, |_, hooks| {
                let model = Mlp::last(&inputs, &finished, &clean)?;
                judge::attack((spec, threat), &model, &clean, hooks)
            })?;
            Some(made)
        }
        None => None,
    };
    let outcome = Outcome {
        learned: finished.outcome,
        poison: poisoned.map(|poisoned| poisoned.poison),
        cleansed,
        attacked,
    };
    Ok(Finished {
        outcome: Part::finite(KIND, &outcome).ok_or(TrialError::NotFinite)?,
        data_hash: clean.hash,
        data_notes: clean.notes,
        simd: instruction_set(),
    })
}

/// Shares of a trial's time, roughly: what learning costs is 1.
fn weights(spec: &TrialSpec) -> Vec<(String, f64)> {
    let mut all = poison::steps(spec);
    all.push(("learning".to_owned(), 1.0));
    if spec.threat.inputs.is_some() {
        all.push(("attack".to_owned(), 0.2));
    }
    poison::shares(all)
}

/// What decides the last digits: 8-bit rows are integers to one instruction set alone. There is nothing
/// plain about this learner.
fn instruction_set() -> String {
    match isa::integers() {
        true => format!("{} with vnni", isa::name()),
        false => isa::name().to_owned(),
    }
}
