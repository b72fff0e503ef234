//! CLF on a user's rows: labels flipped by the confidence of a classifier that is first trained.

use super::{CHECKPOINT, Desk};
use serde_json::json;
use tox_data::Normalise;
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_poison::data::clf::{self, Classifier, Clf, Training};
use tox_poison::data::{Crafted, PoisonError};

/// What is asked for.
pub struct Ask<'a> {
    pub clean: &'a Features,
    pub classifier: Classifier,
    pub clf: Clf,
    pub budget: f64,
    pub seed: u64,
    /// A device and its name.
    pub device: (Device, &'a str),
}

/// Trains the classifier, from its checkpoint if there is one, and flips: the poison and the classifier's
/// accuracy on the clean rows. `None` if it was stopped.
///
/// # Errors
/// Why there is no poison.
pub fn craft(ask: &Ask<'_>, desk: &impl Desk) -> Result<Option<(Crafted, f64)>, PoisonError> {
    let clean = ask.clean;
    let normalise = match clean.images() {
        Some(split) => Normalise::measured(&split.images),
        None => Normalise {
            mean: Vec::new(),
            std: Vec::new(),
        },
    };
    let (device, name) = &ask.device;
    let training = Training {
        clean,
        normalise: &normalise,
        augment: &Augment::default(),
        classifier: &ask.classifier,
        seed: ask.seed,
        device: device.clone(),
    };
    let key = json!({
        "data": clean.hash(),
        "classifier": ask.classifier,
        "seed": ask.seed,
        "device": name,
    });
    let key = key.to_string();
    let made = desk.part("classifier", (CHECKPOINT, &key), |hooks| {
        clf::confidences(&training, hooks)
    })?;
    let Some(confidences) = made else {
        return Ok(None);
    };
    let crafted = clf::flip(clean, &confidences, ask.clf, ask.budget)?;
    Ok(Some((crafted, confidences.accuracy(&clean.labels))))
}
