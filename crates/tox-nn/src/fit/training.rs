//! Where a training stands.

use super::{Epoch, Fitted, Inputs, Step, Trainer};
use crate::layers::{Draws, Network, State};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{Buffers, restore};
use tox_data::rng::stream;
use tox_data::{Batch, shuffled};

/// A training between two of its steps. What it is made on is given to every call, so that a
/// search can hold trainings among its own state and keep them in its own checkpoint;
/// [`fit`](super::fit()) is one that stands alone.
pub struct Training<N> {
    trainer: Trainer<N>,
    at: Kept,
    /// The epoch's shuffled images; made when needed.
    order: Option<Vec<u32>>,
    epochs: usize,
    /// Of an epoch.
    steps: usize,
}

/// What a checkpoint keeps of a training beside [its buffers](Training::buffers).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
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

impl<N: Network> Training<N> {
    /// Before the first step.
    pub fn new(network: N, state: State, inputs: &Inputs<'_>) -> Self {
        Self {
            trainer: Trainer::new(network, state, inputs.config, inputs.device.clone()),
            at: Kept::default(),
            order: None,
            epochs: inputs.config.epochs,
            steps: inputs.steps(),
        }
    }

    /// Whether all epochs are done.
    pub fn done(&self) -> bool {
        self.at.epochs.len() >= self.epochs
    }

    /// Share of the steps done.
    pub fn share(&self) -> f64 {
        let epoch = self.at.step as f64 / self.steps as f64;
        (self.at.epochs.len() as f64 + epoch) / self.epochs.max(1) as f64
    }

    /// What the next step is a part of, and how well the last epoch went.
    pub fn message(&self, inputs: &Inputs<'_>) -> String {
        let (epoch, epochs) = (self.at.epochs.len() + 1, self.epochs);
        let mut message = format!("{}, epoch {epoch}/{epochs}", inputs.name);
        if let Some(last) = self.at.epochs.last() {
            message += &format!(", training error {:.1} %", last.error);
        }
        message
    }

    /// The next step, if there is one, down the network's own loss along the cosine.
    pub fn advance(&mut self, inputs: &Inputs<'_>) {
        let lr = inputs.config.lr(self.at.epochs.len());
        self.advance_by(inputs, lr, |trainer, batch, draws| {
            trainer.step(batch, draws, lr)
        });
    }

    /// The next step, if there is one, as `step` makes it of the batch, with the learning rate `lr`.
    pub fn advance_by(
        &mut self,
        inputs: &Inputs<'_>,
        lr: f64,
        step: impl FnOnce(&mut Trainer<N>, &Batch, Draws<'_>) -> Step,
    ) {
        if self.done() {
            return;
        }
        let (i, steps, name) = (self.at.step, self.steps, inputs.name);
        let epoch = self.at.epochs.len();
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
        self.trainer.network.set_epoch(epoch, self.epochs);
        let step = step(&mut self.trainer, &batch, draws);
        let at = &mut self.at;
        let n = batch.labels.len();
        let loss = f64::from_bits(at.loss) + f64::from(step.loss) * n as f64;
        (at.loss, at.images) = (loss.to_bits(), at.images + n);
        at.wrong += step.wrong;
        at.step += 1;
        if at.step == steps {
            self.end_epoch(lr);
        }
    }

    fn end_epoch(&mut self, lr: f64) {
        let at = &mut self.at;
        let images = at.images.max(1) as f64;
        let loss = f64::from_bits(at.loss) / images;
        at.epochs.push(Epoch {
            epoch: at.epochs.len(),
            lr,
            loss: loss.is_finite().then_some(loss),
            error: 100.0 * at.wrong as f64 / images,
            accuracy: None,
        });
        (at.step, at.loss, at.wrong, at.images) = (0, 0, 0, 0);
        self.order = None;
    }

    /// The network as the last step left it.
    pub fn network(&self) -> &N {
        &self.trainer.network
    }

    /// The network and its numbers, for what is done to them before the first step.
    pub fn parts(&mut self) -> (&N, &mut State) {
        (&self.trainer.network, &mut self.trainer.state)
    }

    /// Its numbers.
    pub fn state(&self) -> &State {
        &self.trainer.state
    }

    /// The epochs that are done.
    pub fn epochs(&self) -> &[Epoch] {
        &self.at.epochs
    }

    /// What it came to.
    pub fn fitted(self) -> Fitted {
        Fitted {
            state: self.trainer.state,
            epochs: self.at.epochs,
            nonfinite_steps: self.trainer.nonfinite_steps,
        }
    }

    /// What a checkpoint keeps, beside the buffers.
    pub fn kept(&self) -> Kept {
        Kept {
            touched: self.trainer.sgd.touched.clone(),
            batches: self.trainer.state.running.batches.clone(),
            nonfinite_steps: self.trainer.nonfinite_steps,
            ..self.at.clone()
        }
    }

    /// The buffers that a checkpoint keeps.
    pub fn buffers(&self) -> [(&'static str, &[f32]); 3] {
        [
            ("weights", &self.trainer.state.params.values),
            ("running", &self.trainer.state.running.values),
            ("velocity", &self.trainer.sgd.velocity),
        ]
    }

    /// Goes on from what [`Training::kept`] and [`Training::buffers`] gave.
    ///
    /// # Errors
    /// What is wrong with them, such as buffers of another length.
    pub fn resume(&mut self, kept: Kept, buffers: &mut Buffers) -> Result<(), String> {
        let trainer = &mut self.trainer;
        let state = &mut trainer.state;
        restore(buffers, "weights", &mut state.params.values)?;
        restore(buffers, "running", &mut state.running.values)?;
        restore(buffers, "velocity", &mut trainer.sgd.velocity)?;
        let (norms, weights) = (state.running.batches.len(), trainer.sgd.touched.len());
        if kept.batches.len() != norms || kept.touched.len() != weights {
            return Err("another number of weights or batch norms".into());
        }
        let (epochs, steps) = (self.epochs, self.steps);
        if kept.epochs.len() > epochs || kept.step >= steps {
            return Err(format!(
                "{} of {epochs} epochs, and step {} of {steps} in an epoch",
                kept.epochs.len(),
                kept.step
            ));
        }
        state.running.batches.clone_from(&kept.batches);
        trainer.sgd.touched.clone_from(&kept.touched);
        trainer.nonfinite_steps = kept.nonfinite_steps;
        self.at = kept;
        Ok(())
    }
}
