//! The short training of one architecture, whose validation accuracy is the reward: a step at a time.

use super::config::RobotConfig;
use super::search::Inputs;
use crate::cell::{GenotypeNetwork, SupernetShape};
use crate::space::SpaceError;
use crate::space::cells::CellGenotype;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{Buffers, restore};
use tox_data::rng::stream;
use tox_data::{Split, shuffled};
use tox_nn::fit::evaluate::{error, logits};
use tox_nn::fit::{FitConfig, Trainer};
use tox_nn::layers::Draws;
use tox_nn::optim::cosine;

/// What a checkpoint keeps of a training beside its buffers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    epoch: usize,
    step: usize,
    touched: Vec<bool>,
    batches: Vec<u64>,
    nonfinite_steps: u64,
}

pub(super) struct Training {
    trainer: Trainer<GenotypeNetwork>,
    /// Last part of the streams' keys.
    name: String,
    epoch: usize,
    step: usize,
    /// The epoch's shuffled images; made when needed.
    order: Option<Vec<u32>>,
}

/// Steps of an epoch; a single image left over is left out.
fn steps(train: &Split, fit: &FitConfig) -> usize {
    let n = train.len();
    (n / fit.batch + usize::from(n % fit.batch > 1)).max(1)
}

pub(super) fn shape(inputs: &Inputs<'_>) -> SupernetShape {
    let [_, c, h, w] = inputs.train.images.shape;
    SupernetShape {
        channels: inputs.config.channels,
        cells: inputs.config.cells,
        classes: inputs.classes,
        input: [c, h, w],
    }
}

impl Training {
    /// Of the architecture at `place` in the pool.
    pub fn new(
        inputs: &Inputs<'_>,
        architecture: &CellGenotype,
        place: usize,
    ) -> Result<Self, SpaceError> {
        let name = format!("robot/train/{place}");
        let (network, state) =
            GenotypeNetwork::new(architecture, shape(inputs), (inputs.seed, &name))?;
        let fit = inputs.config.train.fit();
        Ok(Self {
            trainer: Trainer::new(network, state, &fit, inputs.device.clone()),
            name,
            epoch: 0,
            step: 0,
            order: None,
        })
    }

    pub fn done(&self, config: &RobotConfig) -> bool {
        self.epoch == config.train.epochs
    }

    /// Share of the steps done.
    pub fn share(&self, inputs: &Inputs<'_>) -> f64 {
        let fit = inputs.config.train.fit();
        let steps = steps(inputs.train, &fit) as f64;
        (self.epoch as f64 + self.step as f64 / steps) / fit.epochs as f64
    }

    /// The next step. Images are not augmented, as in the published search.
    pub fn advance(&mut self, inputs: &Inputs<'_>) {
        let (config, fit) = (&inputs.config.train, inputs.config.train.fit());
        let (epoch, i, steps) = (self.epoch, self.step, steps(inputs.train, &fit));
        let order = self.order.get_or_insert_with(|| {
            let purpose = format!("shuffle/{}", self.name);
            let mut rng = stream(inputs.seed, &purpose, &[epoch as u64]);
            shuffled(inputs.train.len(), &mut rng)
        });
        let indices = &order[i * fit.batch..((i + 1) * fit.batch).min(order.len())];
        let batch = inputs.train.batch(indices, inputs.normalise, None);
        let draws = Draws {
            seed: inputs.seed,
            network: &self.name,
            step: (epoch * steps + i) as u64,
        };
        let grown = config.drop_path * epoch as f64 / fit.epochs as f64;
        self.trainer.network.set_drop_path(grown as f32);
        let lr = cosine(epoch, fit.lr_max, fit.lr_min, fit.epochs);
        self.trainer.step(&batch, draws, lr);
        self.step += 1;
        if self.step == steps {
            (self.epoch, self.step, self.order) = (epoch + 1, 0, None);
        }
    }

    /// Accuracy on the validation images, in percent, by the running statistics.
    pub fn accuracy(&self, inputs: &Inputs<'_>) -> f64 {
        let (network, state) = (&self.trainer.network, &self.trainer.state);
        let (valid, device) = (inputs.valid, &inputs.device);
        let logits = logits(network, state, valid, inputs.normalise, device);
        100.0 - error(&logits, &valid.labels)
    }

    pub fn kept(&self) -> Kept {
        Kept {
            epoch: self.epoch,
            step: self.step,
            touched: self.trainer.sgd.touched.clone(),
            batches: self.trainer.state.running.batches.clone(),
            nonfinite_steps: self.trainer.nonfinite_steps,
        }
    }

    pub fn buffers(&self) -> [(&'static str, &[f32]); 3] {
        [
            ("weights", &self.trainer.state.params.values),
            ("running", &self.trainer.state.running.values),
            ("velocity", &self.trainer.sgd.velocity),
        ]
    }

    pub fn resume(
        &mut self,
        kept: Kept,
        buffers: &mut Buffers,
        inputs: &Inputs<'_>,
    ) -> Result<(), String> {
        let fit = inputs.config.train.fit();
        if kept.epoch >= fit.epochs || kept.step >= steps(inputs.train, &fit) {
            return Err(format!(
                "epoch {} and step {} of a training",
                kept.epoch, kept.step
            ));
        }
        let trainer = &mut self.trainer;
        restore(buffers, "weights", &mut trainer.state.params.values)?;
        restore(buffers, "running", &mut trainer.state.running.values)?;
        restore(buffers, "velocity", &mut trainer.sgd.velocity)?;
        let (norms, weights) = (
            trainer.state.running.batches.len(),
            trainer.sgd.touched.len(),
        );
        if kept.batches.len() != norms || kept.touched.len() != weights {
            return Err("another number of weights or batch norms".into());
        }
        trainer.state.running.batches = kept.batches;
        trainer.sgd.touched = kept.touched;
        trainer.nonfinite_steps = kept.nonfinite_steps;
        (self.epoch, self.step) = (kept.epoch, kept.step);
        Ok(())
    }
}
