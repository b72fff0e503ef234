//! The finished model under attack.

use crate::error::TrialError;
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_robust::evaluation::{Evaluation, EvaluationError, Inputs, evaluate};
use tox_robust::oracle::Oracle;
use tox_robust::threat::EvasionThreat;
use tox_study::spec::TrialSpec;

/// The threat to inputs; `None` without one, or with one that moves nothing.
///
/// # Errors
/// Keys of another threat.
pub fn threat(spec: &TrialSpec) -> Result<Option<EvasionThreat>, TrialError> {
    let Some(part) = &spec.threat.inputs else {
        return Ok(None);
    };
    let threat: EvasionThreat = part.read()?;
    Ok((threat.epsilon > 0.0).then_some(threat))
}

/// Refuses, before anything is trained, an attack that could not be run in the end.
///
/// # Errors
/// That.
pub fn possible(threat: Option<&EvasionThreat>, data: &Dataset) -> Result<(), TrialError> {
    if let Some(threat) = threat {
        threat.check(data.classes)?;
        if data.test.is_empty() {
            return Err(EvaluationError::NoImages.into());
        }
    }
    Ok(())
}

/// Accuracy on test images, as they are and under the attack.
///
/// # Errors
/// Why it cannot be measured.
pub fn attack(
    (spec, threat): (&TrialSpec, &EvasionThreat),
    oracle: &dyn Oracle,
    data: &Dataset,
    hooks: Hooks<'_>,
) -> Result<Option<Evaluation>, TrialError> {
    let images = spec.judge.images.unwrap_or(usize::MAX).min(data.test.len());
    let rows: Vec<u32> = (0..images as u32).collect();
    let attacks = [threat.attack.clone()];
    let inputs = Inputs {
        oracle,
        split: (&data.test).into(),
        rows: &rows,
        ball: threat.ball(),
        attacks: &attacks,
        seed: spec.seed,
    };
    let found = evaluate(&inputs, hooks)?;
    Ok(found.map(|mut found| {
        // Which images stand is not kept: a record must be the same when the step is read again.
        let attacks = found.attacks.iter_mut();
        attacks.for_each(|attack| attack.robust.clear());
        found
    }))
}
