//! Which regularisation to use when a share of the training data may be poison: lambda is learned on
//! the trusted set while the poison climbs (Algorithm 2), then held fixed and attacked anew, beside
//! no regularisation and the lambda of cross-validation under the same treatment.

use crate::audit::{AuditError, Inputs, run, run_fixed};
use crate::config::{BilevelAttack, BilevelConfig, Victim};
use crate::outcome::{BilevelOutcome, Divergence};
use crate::sets::Sets;
use std::path::Path;
use std::time::Duration;
use tox_data::checkpoint::Hooks;

/// The advice.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The lambdas learned: one, or one for each layer.
    pub lambda: Vec<f64>,
    /// No regularisation, cross-validation, and the advice.
    pub treatments: [Treatment; 3],
}

/// A way to regularise, and what it gets wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment {
    /// How lambda is chosen; the advice's is [`Victim::Learned`].
    pub victim: Victim,
    /// The lambdas in force; none without regularisation.
    pub lambda: Vec<f64>,
    /// Test error, percent, trained on the data as they are.
    pub clean: Option<f64>,
    /// Test error, percent, under the poison crafted against this very lambda.
    pub worst: Option<f64>,
    /// Where its training diverged, if it did; errors that it kept from being measured are `None`.
    pub divergence: Option<Divergence>,
}

/// Why there is no advice.
#[derive(Debug, thiserror::Error)]
pub enum AdviceError {
    /// An audit could not be run.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Lambda could not be learned.
    #[error(
        "training diverged while lambda was learned (with {} poison points, at {}, after step {} of \
         gradient descent): expected weights that stay finite; lower the learning rate, or scale \
         the features to about [0, 1]", .0.points, .0.training, .0.step
    )]
    Diverged(Divergence),
}

/// What [`advise`] depends on.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The data; the validation set is the trusted one.
    pub sets: &'a Sets,
    /// The learner, whatever its `victim` says.
    pub config: &'a BilevelConfig,
    /// The poison to be prepared for.
    pub attack: &'a BilevelAttack,
    /// Seed of all random streams.
    pub seed: u64,
}

/// Learns lambda and tries it. `None` means that it was asked to stop. `scratch` is a folder for
/// checkpoints, which are of no use afterwards.
///
/// # Errors
/// See [`AdviceError`].
pub fn advise(
    question: Question<'_>,
    scratch: &Path,
    stop: &mut dyn FnMut() -> bool,
    progress: &mut dyn FnMut(f64, &str),
) -> Result<Option<Advice>, AdviceError> {
    const AUDITS: [(&str, Victim); 4] = [
        ("learning lambda", Victim::Learned),
        ("no regularisation", Victim::None),
        ("cross-validated lambda", Victim::CrossValidated),
        ("advised lambda", Victim::Large),
    ];
    let mut advised = Vec::new();
    let mut treatments = Vec::new();
    for (at, (name, victim)) in AUDITS.into_iter().enumerate() {
        let config = BilevelConfig {
            victim,
            ..question.config.clone()
        };
        let inputs = Inputs {
            sets: question.sets,
            config: &config,
            attack: Some(question.attack),
            seed: question.seed,
        };
        let hooks = Hooks {
            checkpoint: &scratch.join(format!("{at}.safetensors")),
            key: "advice",
            save_every: Duration::MAX,
            stop,
            progress: &mut |share, what| {
                let all = AUDITS.len() as f64;
                progress((at as f64 + share) / all, &format!("{name}: {what}"));
            },
        };
        let finished = match victim {
            Victim::Large => run_fixed(&inputs, &advised, hooks)?,
            _ => run(&inputs, hooks)?,
        };
        let Some(finished) = finished else {
            return Ok(None);
        };
        match victim {
            Victim::Learned => advised = learned(finished.outcome)?,
            Victim::Large => {
                treatments.push(treatment(Victim::Learned, &advised, finished.outcome));
            }
            other => treatments.push(treatment(other, &[], finished.outcome)),
        }
    }
    // One for each audit but the first.
    Ok(treatments.try_into().ok().map(|treatments| Advice {
        lambda: advised,
        treatments,
    }))
}

fn learned(outcome: BilevelOutcome) -> Result<Vec<f64>, AdviceError> {
    match (outcome.divergence, outcome.levels.into_iter().next_back()) {
        (Some(divergence), _) => Err(AdviceError::Diverged(divergence)),
        (None, last) => Ok(last.map_or(Vec::new(), |level| level.lambda)),
    }
}

fn treatment(victim: Victim, lambda: &[f64], outcome: BilevelOutcome) -> Treatment {
    let first = outcome.levels.first();
    let complete = outcome.divergence.is_none();
    let worst = outcome.levels.last().filter(|_| complete);
    Treatment {
        victim,
        lambda: first.map_or(lambda.to_vec(), |level| level.lambda.clone()),
        clean: first.map(|level| level.test_error),
        worst: worst.map(|level| level.test_error),
        divergence: outcome.divergence,
    }
}
