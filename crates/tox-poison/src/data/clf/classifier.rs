//! The classifier of CLF: a ResNet-18 trained on the clean rows.

use super::super::PoisonError;
use super::Confidences;
use crate::classifier::{Classifier, Task};
use serde_json::json;
use tox_data::Normalise;
use tox_data::checkpoint::Hooks;
use tox_data::features::{Features, Values};
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::evaluate;

/// What it is trained on.
pub struct Training<'a> {
    /// The clean rows, 8-bit images.
    pub clean: &'a Features,
    pub normalise: &'a Normalise,
    /// What happens to training batches; the confidences are those of images as they are.
    pub augment: &'a Augment,
    /// Network and training.
    pub classifier: &'a Classifier,
    pub seed: u64,
    pub device: Device,
}

/// Trains the classifier on all clean rows, from its checkpoint if there is one, and gives its
/// softmax on the same rows. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// Rows that are no 8-bit images, settings out of range, a checkpoint that cannot be used, a
/// training that diverged.
pub fn confidences(
    training: &Training<'_>,
    hooks: Hooks<'_>,
) -> Result<Option<Confidences>, PoisonError> {
    let (clean, classifier) = (training.clean, training.classifier);
    classifier.check()?;
    let Some(images) = clean.images() else {
        let found = match clean.values {
            Values::Bytes(_) => "rows without the shape of an image",
            Values::Floats(_) => "floats",
        };
        return Err(PoisonError::NotImages {
            attack: "CLF's classifier",
            found,
        });
    };
    let (seed, classes) = (training.seed, clean.class_names.len());
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
