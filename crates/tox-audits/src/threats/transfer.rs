//! The optimal poison of Carnerero-Cano et al. for a learner that has no hypergradient of its own: it is
//! crafted against a built-in learner, its victim, and handed to whoever learns. It is transferred.

use super::ShareOfRows;
use crate::error::TrialError;
use crate::optimal::measured;
use crate::rows::{self, Held, Model, divide};
use crate::scene::{Crafting, Poison, Scene, Transferred};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tox_bilevel::audit::{self, Inputs};
use tox_bilevel::config::Victim;
use tox_bilevel::own::Own;
use tox_bilevel::scale::Scaling;
use tox_data::checkpoint::Hooks;
use tox_data::features::{FeatureSets, Features, Values};
use tox_data::patch::Patch;
use tox_poison::data::{Check, points};
use tox_study::part::Part;
use tox_study::steps::{Place, Steps};

/// Poison rows that climb the loss of a victim of toxscreen's by hypergradients (Carnerero-Cano et al.,
/// Algorithm 2), for learners of any kind: it is crafted against the victim, and transferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferThreat {
    /// Share of the rows that a learner learns from; 0: nothing is poisoned.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub budget: f64,
    /// Widths of the victim's hidden layers; none is logistic regression.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 10_000)))]
    pub hidden: Vec<usize>,
    /// How the victim gets its regularisation.
    #[serde(default = "unregularised")]
    pub victim: Victim,
    /// Outer steps of the ascent.
    #[serde(default = "hyperiterations")]
    #[schemars(range(min = 1, max = 10_000))]
    pub hyperiterations: usize,
}

fn unregularised() -> Victim {
    Victim::None
}

fn hyperiterations() -> usize {
    rows::HYPERITERATIONS
}

impl ShareOfRows for TransferThreat {
    const KIND: &str = "bilevel-transfer";
    const NAME: &str = "bilevel";
    const STEPS: &[(&str, f64)] = &[("bilevel", 1.0)];

    fn shares(&self, _learner: &Part) -> Option<Value> {
        Some(json!({ "bilevel": self }))
    }

    fn craft(&self, scene: &Scene<'_>, pool: &Features, steps: &mut Steps<'_>) -> Crafting {
        let key = json!({ "threat": self });
        let (place, (check, transferred)): (Place, (Check, Transferred)) =
            steps.shared("bilevel", key, |place, hooks| {
                self.make(scene, pool, (place, hooks))
            })?;
        let poison = Poison {
            transferred: Some(transferred),
            ..Poison::of(check)
        };
        Ok((Patch::load(&place.file(".npz"))?, poison))
    }
}

impl TransferThreat {
    /// Crafts the patch, which stays as a file of the step.
    fn make(
        &self,
        scene: &Scene<'_>,
        pool: &Features,
        (place, hooks): (&Place, Hooks<'_>),
    ) -> Result<Option<(Check, Transferred)>, TrialError> {
        let [_, _, test] = scene.clean.splits();
        let sets = FeatureSets {
            train: pool.clone(),
            test: (test.rows > 0).then_some(test),
        };
        let held = Held {
            valid: None,
            seed: scene.spec.seed,
            scaling: match pool.values {
                Values::Bytes(_) => None,
                Values::Floats(_) => Some(Scaling::Standard),
            },
        };
        let own = divide(&sets, None, held, 0)?;
        let count = points(self.budget, pool.rows)?;
        if count >= own.rows.len() {
            return Err(TrialError::Unfit(format!(
                "`budget` = {} of {} rows is {count} poison rows, and the adversary holds a tenth of the \
                 rows out to aim at: {} are left; lower `budget`",
                self.budget,
                pool.rows,
                own.rows.len()
            )));
        }
        let model = Model {
            hidden: self.hidden.clone(),
            ..Model::default()
        };
        let mut config = model.config(&own, count, self.hyperiterations);
        config.victim = self.victim;
        let attack = rows::attack(&own, count, (None, None))?;
        let inputs = Inputs {
            sets: &own.sets,
            config: &config,
            attack: Some(&attack),
            seed: scene.spec.seed,
        };
        let Some(finished) = audit::run(&inputs, hooks)? else {
            return Ok(None);
        };
        let made = match measured(&own, &config, scene.spec.seed, finished) {
            Err(TrialError::Diverged(at)) => {
                return Err(TrialError::Unfit(format!(
                    "the victim of `{}` diverged, at {}: there is no poison",
                    Self::KIND,
                    at.training
                )));
            }
            made => made?,
        };
        let mut patch = self.patch(&own, pool, &made.poison, scene.spec.seed)?;
        patch.save(&place.file(".npz"))?;
        let mut check = Check::values(&patch, pool)?;
        let effect = &made.effect;
        if !effect.attacked() {
            check.unreliable = Some(format!(
                "the attack did not attack its own victim: the loss on the adversary's trusted rows is \
                 {:.4} with the poison, {:.4} with flipped labels alone and {:.4} without",
                effect.poisoned.valid_loss, effect.flipped.valid_loss, effect.clean.valid_loss
            ));
        }
        let poisoned = effect.rounded.as_ref().unwrap_or(&effect.poisoned);
        let transferred = Transferred {
            victim: self.name(),
            clean_error: effect.clean.test_error,
            error: poisoned.test_error,
        };
        Ok(Some((check, transferred)))
    }

    fn patch(
        &self,
        own: &Own,
        pool: &Features,
        poison: &tox_bilevel::victim::Poison,
        seed: u64,
    ) -> Result<Patch, TrialError> {
        // Of the audit's training rows, some of the pool's were held out.
        let indices = poison.indices.iter().map(|&i| own.rows[i] as u64);
        Ok(Patch::new(
            pool,
            indices.collect(),
            poison.labels.clone(),
            own.in_own_units(pool, poison),
            Self::KIND,
            json!({ "threat": self, "seed": seed }),
        )?)
    }

    /// What the victim is.
    fn name(&self) -> String {
        match self.hidden.as_slice() {
            [] => "logistic regression".to_owned(),
            widths => {
                let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
                format!("net {}", widths.join("-"))
            }
        }
    }
}
