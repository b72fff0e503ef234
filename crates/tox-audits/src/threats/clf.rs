//! CLF, label flipping where a classifier is confident (Coalson et al.).

use super::ShareOfRows;
use crate::error::TrialError;
use crate::scene::{Crafting, Poison, Scene};
use serde_json::{Value, json};
use tox_data::Normalise;
use tox_data::features::Features;
use tox_data::ranges::OutOfRange;
use tox_poison::data::clf::{self, Confidences, Training};
use tox_poison::data::threat::ClfThreat;
use tox_study::part::Part;
use tox_study::steps::Steps;

impl ShareOfRows for ClfThreat {
    const KIND: &str = "clf";
    const NAME: &str = "CLF";
    const STEPS: &[(&str, f64)] = &[("classifier", 1.0)];
    const LABELS_ALONE: bool = true;

    fn check(&self) -> Result<(), OutOfRange> {
        self.check()
    }

    fn takes_table(&self) -> Result<(), String> {
        self.check_table().map_err(|e| e.to_string())
    }

    fn shares(&self, _learner: &Part) -> Option<Value> {
        Some(json!({ "classifier": self.classifier }))
    }

    fn craft(&self, scene: &Scene<'_>, pool: &Features, steps: &mut Steps<'_>) -> Crafting {
        let augment = &scene.spec.data.augment;
        // Of a table nothing is normalised by channels.
        let normalise = scene.clean.images().map(|data| data.normalise.clone());
        let normalise = normalise.unwrap_or_else(|| Normalise::identity(0));
        // The classifier is the same for all learners and budgets.
        let key = json!({ "classifier": self.classifier, "augment": augment });
        let (_, confidences): (_, Confidences) =
            steps.shared("classifier", key, |_, hooks| -> Result<_, TrialError> {
                let training = Training {
                    clean: pool,
                    normalise: &normalise,
                    augment,
                    classifier: &self.classifier,
                    seed: scene.spec.seed,
                    device: scene.device.clone(),
                };
                Ok(clf::confidences(&training, hooks)?)
            })?;
        let crafted = clf::flip(pool, &confidences, self.flip, self.budget)?;
        let poison = Poison {
            classifier_accuracy: Some(confidences.accuracy(&pool.labels)),
            ..Poison::of(crafted.check)
        };
        Ok((crafted.patch, poison))
    }
}
