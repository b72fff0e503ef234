//! Plain supervised training of one network: SGD with a cosine schedule over shuffled, augmented
//! batches. A machine of small steps, so that it can stop and go on anywhere.

mod config;
pub mod evaluate;
mod trainer;

pub use config::{FitConfig, FitConfigError};
pub use trainer::{Step, Trainer, labels};

use crate::Device;
use crate::layers::{Draws, Network, State};
use crate::optim::cosine;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine};
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_data::{Normalise, Split, shuffled};

/// What a network is trained on.
pub struct Inputs<'a> {
    /// Training images.
    pub train: &'a Split,
    /// Their normalisation.
    pub normalise: &'a Normalise,
    /// What happens to batches.
    pub augment: &'a Augment,
    /// Every number.
    pub config: &'a FitConfig,
    /// Seed of all random streams.
    pub seed: u64,
    /// Last part of the streams' keys: `shuffle/NAME`, `augment/NAME`, `dropout/NAME`.
    pub name: &'a str,
    /// Where the network runs.
    pub device: Device,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// From 0.
    pub epoch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Mean loss over the epoch's images; `None` if it is not finite.
    pub loss: Option<f64>,
    /// Training error in percent, measured before each step on its batch.
    pub error: f64,
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
        trainer: Trainer::new(network, state, inputs.config, inputs.device.clone()),
        header: Header {
            key: hooks.key.to_owned(),
            ..Header::default()
        },
        order: None,
    };
    if !checkpoint::drive(&mut fit, &mut hooks)? {
        return Ok(None);
    }
    Ok(Some(Fitted {
        state: fit.trainer.state,
        epochs: fit.header.epochs,
        nonfinite_steps: fit.trainer.nonfinite_steps,
    }))
}

/// Where a training stands, beside its buffers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Header {
    /// See [`Hooks::key`].
    key: String,
    /// Next step of the epoch that comes after `epochs`.
    step: usize,
    /// Bits of the f64 sum of the epoch's losses times images: JSON knows no NaN.
    loss: u64,
    wrong: usize,
    images: usize,
    epochs: Vec<Epoch>,
    touched: Vec<bool>,
    batches: Vec<u64>,
    nonfinite_steps: u64,
}

struct Fit<'a, N> {
    inputs: &'a Inputs<'a>,
    trainer: Trainer<N>,
    header: Header,
    /// The epoch's shuffled images; made when needed.
    order: Option<Vec<u32>>,
}

impl<N> Fit<'_, N> {
    /// Steps of an epoch; the last batch may be smaller. A single image left over is left out: its
    /// batch norm on a 1x1 map would see one value a channel.
    fn steps(&self) -> usize {
        let (n, batch) = (self.inputs.train.len(), self.inputs.config.batch);
        (n / batch + usize::from(n % batch > 1)).max(1)
    }

    fn lr(&self) -> f64 {
        let c = self.inputs.config;
        cosine(self.header.epochs.len(), c.lr_max, c.lr_min, c.epochs)
    }

    fn end_epoch(&mut self) {
        let h = &self.header;
        let images = h.images.max(1) as f64;
        let loss = f64::from_bits(h.loss) / images;
        let epoch = Epoch {
            epoch: h.epochs.len(),
            lr: self.lr(),
            loss: loss.is_finite().then_some(loss),
            error: 100.0 * h.wrong as f64 / images,
        };
        let h = &mut self.header;
        h.epochs.push(epoch);
        (h.step, h.loss, h.wrong, h.images) = (0, 0, 0, 0);
        self.order = None;
    }
}

impl<N: Network> Machine for Fit<'_, N> {
    type Header = Header;

    fn done(&self) -> bool {
        self.header.epochs.len() >= self.inputs.config.epochs
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let (inputs, i) = (self.inputs, self.header.step);
        let (epoch, steps) = (self.header.epochs.len(), self.steps());
        let name = inputs.name;
        let order = self.order.get_or_insert_with(|| {
            let mut rng = stream(inputs.seed, &format!("shuffle/{name}"), &[epoch as u64]);
            shuffled(inputs.train.len(), &mut rng)
        });
        let size = inputs.config.batch;
        let indices = &order[i * size..((i + 1) * size).min(order.len())];
        let key = [epoch as u64, i as u64];
        let mut rng = stream(inputs.seed, &format!("augment/{name}"), &key);
        let augment = Some((inputs.augment, &mut rng));
        let batch = inputs.train.batch(indices, inputs.normalise, augment);
        let draws = Draws {
            seed: inputs.seed,
            network: name,
            step: (epoch * steps + i) as u64,
        };
        let step = self.trainer.step(&batch, draws, self.lr());
        let h = &mut self.header;
        let n = batch.labels.len();
        let loss = f64::from_bits(h.loss) + f64::from(step.loss) * n as f64;
        (h.loss, h.images) = (loss.to_bits(), h.images + n);
        h.wrong += step.wrong;
        h.step += 1;
        let done = (epoch as f64 + h.step as f64 / steps as f64) / inputs.config.epochs as f64;
        let mut message = format!("{name}, epoch {}/{}", epoch + 1, inputs.config.epochs);
        if let Some(last) = h.epochs.last() {
            message += &format!(", training error {:.1} %", last.error);
        }
        if h.step == steps {
            self.end_epoch();
        }
        progress(done, &message);
    }

    fn save(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let trainer = &self.trainer;
        self.header.touched = trainer.sgd.touched.clone();
        self.header.batches = trainer.state.running.batches.clone();
        self.header.nonfinite_steps = trainer.nonfinite_steps;
        let buffers: [(&str, &[f32]); 3] = [
            ("weights", &trainer.state.params.values),
            ("running", &trainer.state.running.values),
            ("velocity", &trainer.sgd.velocity),
        ];
        checkpoint::write(path, &self.header, &buffers)
    }

    fn resume(&mut self, header: Header, mut buffers: Buffers) -> Result<(), String> {
        if header.key != self.header.key {
            return Err(format!(
                "it belongs to {}, not to {}",
                header.key, self.header.key
            ));
        }
        let trainer = &mut self.trainer;
        let state = &mut trainer.state;
        checkpoint::restore(&mut buffers, "weights", &mut state.params.values)?;
        checkpoint::restore(&mut buffers, "running", &mut state.running.values)?;
        checkpoint::restore(&mut buffers, "velocity", &mut trainer.sgd.velocity)?;
        let (norms, weights) = (state.running.batches.len(), trainer.sgd.touched.len());
        if header.batches.len() != norms || header.touched.len() != weights {
            return Err("another number of weights or batch norms".into());
        }
        state.running.batches.clone_from(&header.batches);
        trainer.sgd.touched.clone_from(&header.touched);
        trainer.nonfinite_steps = header.nonfinite_steps;
        if header.step >= self.steps() {
            return Err(format!(
                "step {} of {} in an epoch",
                header.step,
                self.steps()
            ));
        }
        self.header = header;
        Ok(())
    }
}
