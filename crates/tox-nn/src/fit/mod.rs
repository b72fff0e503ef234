//! Plain supervised training of one network: SGD with a cosine schedule over shuffled, augmented
//! batches. A machine of small steps, so that it can stop and go on anywhere. What else is trained by
//! SGD over epochs, such as adversarially, gives [`Training::advance_by`] steps of its own.

mod config;
pub mod evaluate;
mod trainer;
mod training;

pub use config::{FitConfig, falls};
pub use trainer::{Step, Trainer, labels};
pub use training::{Kept, Training};

use crate::Device;
use crate::layers::{Network, State};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};
use tox_data::spec::Augment;
use tox_data::{Normalise, Split};

/// What a network is trained on.
pub struct Inputs<'a> {
    /// Training images.
    pub train: &'a Split,
    pub normalise: &'a Normalise,
    /// What happens to batches.
    pub augment: &'a Augment,
    pub config: &'a FitConfig,
    pub seed: u64,
    /// Last part of the streams' keys: `shuffle/NAME`, `augment/NAME`, `dropout/NAME`.
    pub name: &'a str,
    /// Where the network runs.
    pub device: Device,
}

impl Inputs<'_> {
    /// Steps of an epoch; the last batch may be smaller. A single image left over is left out: its
    /// batch norm on a 1x1 map would see one value a channel.
    pub fn steps(&self) -> usize {
        let (n, batch) = (self.train.len(), self.config.batch);
        (n / batch + usize::from(n % batch > 1)).max(1)
    }
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
    /// Training error in percent, measured before each step on its batch.
    pub error: f64,
    /// Test accuracy after the epoch in percent, if it was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Its numbers.
    pub state: State,
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
pub fn fit<N: Network>(
    network: N,
    state: State,
    inputs: &Inputs<'_>,
    mut hooks: Hooks<'_>,
) -> Result<Option<Fitted>, CheckpointError> {
    let mut fit = Fit {
        inputs,
        training: Training::new(network, state, inputs),
    };
    let done = checkpoint::drive(&mut fit, &mut hooks)?;
    Ok(done.then(|| fit.training.fitted()))
}

/// A training that stands alone.
struct Fit<'a, N> {
    inputs: &'a Inputs<'a>,
    training: Training<N>,
}

impl<N: Network> Machine for Fit<'_, N> {
    type Header = Kept;

    fn done(&self) -> bool {
        self.training.done()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let message = self.training.message(self.inputs);
        self.training.advance(self.inputs);
        progress(self.training.share(), &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        slot.write(&self.training.kept(), &self.training.buffers())
    }

    fn resume(&mut self, kept: Kept, mut buffers: Buffers) -> Result<(), String> {
        self.training.resume(kept, &mut buffers)
    }
}
