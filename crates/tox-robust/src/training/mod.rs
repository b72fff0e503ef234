//! Training against an adversary: standard, SAT, TRADES, MART.
//!
//! A step makes adversarial images of its batch first: of the augmented pixels, in the ball around
//! them, against the network in evaluation mode; then the network descends its loss on the
//! normalised clean and adversarial images in training mode. Shuffling, augmentation, optimiser and
//! checkpoints are those of [`tox_nn::fit`]. The changes of [`Augment`] come before all else and so
//! before normalisation: an area that cutout erases is black here, where [`tox_nn::fit`] fills it
//! with the mean. Networks are trained by their logits ([`Network::logits`]), without what they
//! would add to their own loss.
//!
//! After epochs, clean and robust accuracy on validation images are taken; with [`Keep::Best`] the
//! network of the best epoch is the result. What diverges goes its way, as in PyTorch: steps with
//! gradients that are no numbers are counted, and answers that are no numbers are wrong.

pub mod adversary;
mod average;
mod config;
pub mod losses;
mod machine;
mod objective;

pub use config::{Ema, InnerAttack, Keep, Method, TrainingConfig, Validation};
pub use objective::Objective;

use machine::Training;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, CheckpointError, Hooks};
use tox_data::spec::Augment;
use tox_data::{Normalise, Split};
use tox_nn::Device;
use tox_nn::fit;
use tox_nn::layers::{Network, State};

/// What a network is trained on.
pub struct Inputs<'a> {
    /// Training images.
    pub train: &'a Split,
    /// Validation images; may be none, and then the last epoch's network is kept.
    pub valid: &'a Split,
    /// Their normalisation, a part of the network that is attacked.
    pub normalise: &'a Normalise,
    pub classes: usize,
    /// What happens to training batches. Validation images are taken as they are.
    pub augment: &'a Augment,
    /// Every number, [checked](TrainingConfig::check).
    pub config: &'a TrainingConfig,
    pub seed: u64,
    /// Last part of the streams' keys: `shuffle/NAME`, `augment/NAME`, `dropout/NAME`,
    /// `adversary/NAME`. Those of the validation's attack are as for every attack.
    pub name: &'a str,
    /// Where the network runs: a plain device, without autodiff.
    pub device: Device,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Mean loss over the epoch's images; `None` if it is not finite.
    pub loss: Option<f64>,
    /// Training error in percent, measured before each step on its batch, as the adversary left it,
    /// in training mode.
    pub error: f64,
    /// What the validation found, if there was one after this epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated: Option<Validated>,
}

/// Accuracies on the validation images, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validated {
    /// Of the images as they are.
    pub clean: f64,
    /// Of the images after the attack; at most `clean`.
    pub robust: f64,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its numbers: the moving average if there is one, of the epoch that is kept.
    pub state: State,
    /// Which epoch that is, from 0.
    pub epoch: usize,
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
    /// Steps whose gradient norm was not finite; if there are any, it has most likely diverged.
    pub nonfinite_steps: u64,
}

/// Trains `network` from `state`, or goes on from a checkpoint. `None` means that it was asked to
/// stop and has saved itself.
///
/// # Errors
/// When the checkpoint cannot be read or written, or belongs to another training.
pub fn train<N: Network>(
    network: N,
    state: State,
    inputs: &Inputs<'_>,
    mut hooks: Hooks<'_>,
) -> Result<Option<Trained>, CheckpointError> {
    let pixels = Normalise::identity(inputs.train.images.shape[1]);
    let on = fit::Inputs {
        train: inputs.train,
        normalise: &pixels,
        augment: inputs.augment,
        config: &inputs.config.fit(),
        seed: inputs.seed,
        name: inputs.name,
        device: inputs.device.clone(),
    };
    let mut training = Training::new((network, state), inputs, &on);
    let done = checkpoint::drive(&mut training, &mut hooks)?;
    Ok(done.then(|| training.trained()))
}
