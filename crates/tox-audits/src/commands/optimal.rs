//! Points that climb a learner's loss by hypergradients, on a user's rows, and what they do to it.

use super::{CHECKPOINT, Desk};
use crate::error::Fails;
use tox_bilevel::audit::{self, Inputs};
use tox_bilevel::config::{BilevelAttack, BilevelConfig};
use tox_bilevel::effect::Effect;
use tox_bilevel::outcome::{Divergence, Level};
use tox_bilevel::own::Own;
use tox_bilevel::victim::Poison;
use tox_study::trial::{Exit, Failure};

/// What is asked for.
pub struct Ask<'a> {
    pub own: &'a Own,
    pub config: &'a BilevelConfig,
    pub attack: &'a BilevelAttack,
    pub seed: u64,
    /// All that the poison depends on.
    pub key: &'a str,
}

/// How crafting ended.
pub enum Ended {
    Stopped,
    /// Training stopped being finite, so that there is no poison.
    Diverged(Divergence),
    Made(Box<Made>),
}

/// A poison, and what it does.
pub struct Made {
    pub poison: Poison,
    /// The learner without poison.
    pub clean: Level,
    /// The learner with all of it.
    pub last: Level,
    pub effect: Effect,
}

/// Crafts the poison and trains with and without it.
///
/// # Errors
/// Why there is no poison.
pub fn craft(ask: &Ask<'_>, desk: &impl Desk) -> Result<Ended, Failure> {
    let inputs = Inputs {
        sets: &ask.own.sets,
        config: ask.config,
        attack: Some(ask.attack),
        seed: ask.seed,
    };
    let finished = desk.part("poison", (CHECKPOINT, ask.key), |hooks| {
        audit::run(&inputs, hooks)
    });
    let Some(finished) = finished.map_err(Fails::fails)? else {
        return Ok(Ended::Stopped);
    };
    measured(ask.own, ask.config, ask.seed, finished)
}

/// What a finished audit's poison does: the learner is trained with and without it.
///
/// # Errors
/// A bug.
pub fn measured(
    own: &Own,
    config: &BilevelConfig,
    seed: u64,
    finished: audit::Finished,
) -> Result<Ended, Failure> {
    if let Some(divergence) = finished.outcome.divergence {
        return Ok(Ended::Diverged(divergence));
    }
    let levels = &finished.outcome.levels;
    let (Some(clean), Some(last)) = (levels.first(), levels.last()) else {
        let what = "the audit measured nothing; this is a bug in toxscreen, please report it";
        return Err(Failure::new(Exit::Failed, &what));
    };
    let effect = Effect::of(
        &own.sets,
        config,
        (&clean.lambda, &last.lambda),
        &finished.poison,
        (seed, levels.len() - 1),
    );
    Ok(match effect {
        Ok(effect) => Ended::Made(Box::new(Made {
            clean: clean.clone(),
            last: last.clone(),
            effect,
            poison: finished.poison,
        })),
        Err(found) => Ended::Diverged(Divergence {
            points: last.points,
            training: "retraining".to_owned(),
            step: found.step as u64,
        }),
    })
}
