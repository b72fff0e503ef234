//! What a poison that climbs did. Errors are in percent.

use super::config::Plan;
use crate::rows::Sizes;
use serde::{Deserialize, Serialize};
use tox_bilevel::effect::Effect;
use tox_bilevel::outcome::{Level, TargetRows};
use tox_bilevel::own::Own;
use tox_bilevel::scale::Scale;
use tox_bilevel::victim::Poison;
use tox_data::features::Opened;
use tox_data::majority::{self, NoBetter};

/// A poison, and what it does.
pub struct Made {
    pub poison: Poison,
    /// The learner without poison.
    pub clean: Level,
    /// The learner with all of it.
    pub last: Level,
    pub effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimalOutcome {
    pub rows: Sizes,
    /// Poison points.
    pub points: usize,
    /// Their share of the training rows.
    pub share: f64,
    /// The victim on the clean rows, on flipped labels alone, on the poison, and, of 8-bit rows, on the poison as it
    /// is written.
    pub trained: Vec<Trained>,
    /// Whether moving the points raised the adversary's objective.
    pub attacked: bool,
    /// Labels that changed.
    pub flips: usize,
    /// How far points moved, on average in L2, and a feature at most.
    pub moved: [f64; 2],
    /// Percent of the rise in test error that rounding leaves, and of what moving the points adds to it.
    pub rounding_leaves: [Option<f64>; 2],
    /// Steps of the inner training, and their rate.
    pub steps: usize,
    pub lr: f64,
    pub scale: Option<Scale>,
    /// What of the features makes it doubtful.
    pub concerns: Vec<String>,
    /// Of the victim on the clean rows.
    pub no_better_than_majority: Option<NoBetter>,
    /// What was odd when the rows were written.
    pub notes: Vec<String>,
    /// What the adversary aimed at, where that is not the trusted rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRows>,
}

/// The victim, trained on one set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    pub on: String,
    pub test_error: f64,
    pub trusted_error: f64,
    pub trusted_loss: f64,
    pub lambda: Vec<f64>,
    /// What the adversary raises on its target rows; `None` where these are the trusted ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_objective: Option<f64>,
    /// Percent of the target rows that are misclassified, or that get the wanted label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_success: Option<f64>,
}

/// The poison as it is written, of 8-bit rows.
const ROUNDED: &str = "rounded";

impl OptimalOutcome {
    /// Of a poison of the rows of `data`, which `own` divides.
    pub fn of(plan: &Plan, (own, data): (&Own, &Opened), made: &Made, notes: Vec<String>) -> Self {
        let effect = &made.effect;
        let (clean, last) = (&made.clean.lambda, &made.last.lambda);
        let all = [
            ("clean", Some(&effect.clean), clean),
            ("flipped", Some(&effect.flipped), last),
            ("poison", Some(&effect.poisoned), last),
            (ROUNDED, effect.rounded.as_ref(), last),
        ];
        let trained = all.into_iter().filter_map(|(on, found, lambda)| {
            let found = found?;
            Some(Trained {
                on: on.to_owned(),
                test_error: found.test_error,
                trusted_error: found.valid_error,
                trusted_loss: found.valid_loss,
                lambda: lambda.clone(),
                target_objective: found.target.map(|on| on.objective),
                target_success: found.target.map(|on| on.success),
            })
        });
        Self {
            rows: Sizes::of(own, data),
            points: plan.attack.points(),
            share: made.last.fraction,
            trained: trained.collect(),
            attacked: effect.attacked(),
            flips: effect.flips,
            moved: [effect.l2, effect.linf],
            rounding_leaves: [effect.survives(), effect.movement_survives()],
            steps: plan.config.inner.steps,
            lr: plan.config.inner.lr,
            scale: own.scale.clone(),
            concerns: own.concerns().iter().map(ToString::to_string).collect(),
            no_better_than_majority: majority::no_better(
                effect.clean.test_error,
                &own.sets.test.labels,
            ),
            notes,
            target: TargetRows::of(&own.sets),
        }
    }

    /// Whether the rows are 8-bit, so that there are floats beside them.
    pub fn is_rounded(&self) -> bool {
        self.trained.iter().any(|trained| trained.on == ROUNDED)
    }

    /// Why the attack did not attack.
    pub fn did_not_attack(&self) -> Option<String> {
        let [clean, flipped, poison, ..] = &self.trained[..] else {
            return None;
        };
        let aimed = [poison, flipped, clean].map(|on| on.target_objective);
        if let ([Some(poison), Some(flipped), Some(clean)], false) = (aimed, self.attacked) {
            return Some(format!(
                "the adversary's objective on the target rows is {poison:.4} with the poison, {flipped:.4} with \
                 flipped labels only and {clean:.4} without"
            ));
        }
        (!self.attacked).then(|| {
            format!(
                "the loss on the trusted rows is {:.4} with the poison, {:.4} with flipped labels only and \
                 {:.4} without",
                poison.trusted_loss, flipped.trusted_loss, clean.trusted_loss
            )
        })
    }
}
