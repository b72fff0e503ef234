//! Algorithm 2: poison climbs and lambda descends, batch after batch, and a victim is retrained at
//! each amount of poison. A machine of small steps, so that it can stop and go on anywhere.

mod machine;

use crate::config::{BilevelAttack, BilevelConfig, Victim};
use crate::outcome::BilevelOutcome;
use crate::sets::{Sets, SetsError};
use crate::victim::{Poison, groups};
use machine::Audit;
use tox_data::checkpoint::{self, CheckpointError, Hooks};
use tox_data::ranges::OutOfRange;

/// What an audit depends on.
pub struct Inputs<'a> {
    /// The data.
    pub sets: &'a Sets,
    /// The learner.
    pub config: &'a BilevelConfig,
    /// The adversary; `None` = the clean level alone.
    pub attack: Option<&'a BilevelAttack>,
    pub seed: u64,
}

/// What an audit ends with.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The measurements.
    pub outcome: BilevelOutcome,
    /// The poison of all batches, in their order; batches that were not reached are missing.
    pub poison: Poison,
}

/// Why an audit cannot be run or go on.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A number is out of range.
    #[error("{0}; correct the recipe or the option")]
    Config(#[from] OutOfRange),
    /// The data cannot be used.
    #[error(transparent)]
    Sets(#[from] SetsError),
    /// More poison than there is to replace.
    #[error(
        "the attack asks for {asked} poison points ({batch} in each of {batches} batches), each of \
         which replaces a training point: expected fewer than the {points} training points; lower \
         `batch` or `batches`, or take more training data"
    )]
    TooFewPoints {
        /// Poison points in all.
        asked: usize,
        /// Points of a batch.
        batch: usize,
        /// Batches.
        batches: usize,
        /// Training points.
        points: usize,
    },
    /// No feature subset of this size says anything.
    #[error(
        "`kuncheva` asks for the top {k} of {features} features: expected fewer than there are; \
         lower it"
    )]
    TopK {
        /// The size.
        k: usize,
        /// Features of the data.
        features: usize,
    },
    /// More folds than points.
    #[error("`lambda.folds` = {folds} for {points} training points: expected at most as many")]
    Folds {
        /// Folds.
        folds: usize,
        /// Training points.
        points: usize,
    },
    /// Every lambda of the grid diverged.
    #[error(
        "cross-validation found no lambda from {min} to {max} with which training converges at a \
         learning rate of {lr}; lower `inner.lr` or `lambda.max`"
    )]
    NoLambda {
        /// Least tried.
        min: f64,
        /// Largest tried.
        max: f64,
        /// eta.
        lr: f64,
    },
    /// Fixed lambdas that do not pair up with the layers.
    #[error("{found} fixed lambdas were given: expected {expected}, one for each group of weights")]
    Lambdas {
        /// How many.
        found: usize,
        /// Groups of the config.
        expected: usize,
    },
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Runs or resumes an audit. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// See [`AuditError`].
pub fn run(inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Result<Option<Finished>, AuditError> {
    let lambda = vec![inputs.config.lambda.large; groups(inputs.config)];
    run_fixed(inputs, &lambda, hooks)
}

/// As [`run`]; the victim `large` has these lambdas, one for each group, instead of its constant.
///
/// # Errors
/// See [`AuditError`].
pub fn run_fixed(
    inputs: &Inputs<'_>,
    lambda: &[f64],
    mut hooks: Hooks<'_>,
) -> Result<Option<Finished>, AuditError> {
    check(inputs)?;
    if lambda.len() != groups(inputs.config) {
        return Err(AuditError::Lambdas {
            found: lambda.len(),
            expected: groups(inputs.config),
        });
    }
    let mut audit = Audit::new(inputs, lambda);
    let done = checkpoint::drive(&mut audit, &mut hooks)?;
    match audit.failed.take() {
        Some(failed) => Err(failed),
        None => Ok(done.then(|| audit.finish())),
    }
}

/// Whether the numbers fit the data.
fn check(inputs: &Inputs<'_>) -> Result<(), AuditError> {
    inputs.config.check()?;
    inputs.sets.check()?;
    let points = inputs.sets.train.len();
    if let Some(attack) = inputs.attack {
        attack.check()?;
        if attack.points() >= points {
            return Err(AuditError::TooFewPoints {
                asked: attack.points(),
                batch: attack.batch,
                batches: attack.batches,
                points,
            });
        }
    }
    let features = inputs.sets.train.features;
    if let Some(&k) = inputs
        .config
        .kuncheva
        .iter()
        .find(|&&k| k == 0 || k >= features)
    {
        return Err(AuditError::TopK { k, features });
    }
    let folds = inputs.config.lambda.folds;
    if inputs.config.victim == Victim::CrossValidated && folds > points {
        return Err(AuditError::Folds { folds, points });
    }
    Ok(())
}
