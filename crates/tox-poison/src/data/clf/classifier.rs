//! The classifier of CLF, trained on the clean rows: a ResNet-18 of images, a logistic regression of a table.

use super::super::PoisonError;
use super::Confidences;
use crate::classifier::{Classifier, Task};
use crate::logistic::{Logistic, STEPS};
use serde_json::json;
use tox_data::Normalise;
use tox_data::checkpoint::Hooks;
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::evaluate;

/// What it is trained on.
pub struct Training<'a> {
    /// The clean rows, 8-bit images or a table.
    pub clean: &'a Features,
    pub normalise: &'a Normalise,
    /// What happens to training batches; the confidences are those of images as they are.
    pub augment: &'a Augment,
    /// Network and training, of images alone.
    pub classifier: &'a Classifier,
    pub seed: u64,
    pub device: Device,
}

/// Trains the classifier on all clean rows, from its checkpoint if there is one, and gives its
/// softmax on the same rows. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// Images that are no 8-bit ones, keys of the network beside a table, settings out of range, a checkpoint that cannot be used, a
/// training that diverged.
pub fn confidences(
    training: &Training<'_>,
    hooks: Hooks<'_>,
) -> Result<Option<Confidences>, PoisonError> {
    let (clean, classifier) = (training.clean, training.classifier);
    classifier.check()?;
    let (seed, classes) = (training.seed, clean.class_names.len());
    let Some(images) = clean.images() else {
        if clean.shape.is_some() {
            return Err(PoisonError::NotImages {
                attack: "CLF's classifier",
                found: "floats",
            });
        }
        classifier.check_table()?;
        let Some(trained) = Logistic::train(clean, hooks)? else {
            return Ok(None);
        };
        let softmax = evaluate::softmax(&trained.logits(clean), classes);
        let source = json!({ "logistic": { "steps": STEPS } });
        return Confidences::new(classes, softmax, source).map(Some);
    };
    let task = Task {
        images: &images,
        classes,
        normalise: training.normalise,
        augment: training.augment,
        seed,
        name: "poison/clf",
        device: training.device.clone(),
    };
    let Some(trained) = classifier.train(task, hooks)? else {
        return Ok(None);
    };
    let logits = trained.logits(&images)?;
    let source = json!({ "resnet18": classifier, "augment": training.augment, "seed": seed });
    Confidences::new(classes, evaluate::softmax(&logits, classes), source).map(Some)
}
