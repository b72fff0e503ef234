//! Where a training stands.

use super::adversary::noisy;
use super::average::average;
use super::config::Keep;
use super::objective::Objective;
use super::{Epoch, Inputs, Trained, Validated};
use crate::attacks::{Evasion, Pgd, predicted};
use crate::model::Model;
use crate::oracle::{Oracle, Points};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{Buffers, CheckpointError, Machine, Slot, restore};
use tox_nn::fit;
use tox_nn::fit::evaluate::BATCH;
use tox_nn::layers::{Network, State};

/// A training between two of its steps.
pub struct Training<'a, N> {
    inputs: &'a Inputs<'a>,
    /// Of the steps: batches are made of pixels as they are.
    on: &'a fit::Inputs<'a>,
    fit: fit::Training<N>,
    average: Option<State>,
    best: Option<State>,
    at: Kept,
    /// Images that a validation looks at.
    validated: usize,
}

/// What a checkpoint keeps of a training beside its buffers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    fit: fit::Kept,
    /// Steps so far.
    steps: u64,
    validations: Vec<Count>,
    /// Of the validation that is going on.
    under_way: Count,
    /// Updates of each norm of the best network, if one is kept.
    best: Option<Vec<u64>>,
}

/// What a validation has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    epoch: usize,
    images: usize,
    clean: usize,
    robust: usize,
}

/// Of the images that were counted.
fn percent(number: usize, of: &Count) -> f64 {
    100.0 * number as f64 / of.images as f64
}

impl<'a, N: Network> Training<'a, N> {
    /// Before the first step.
    pub fn new(
        (network, state): (N, State),
        inputs: &'a Inputs<'a>,
        on: &'a fit::Inputs<'a>,
    ) -> Self {
        Self {
            inputs,
            on,
            average: inputs.config.ema.map(|_| state.clone()),
            best: None,
            fit: fit::Training::new(network, state, on),
            at: Kept::default(),
            validated: inputs.config.validation.images.min(inputs.valid.len()),
        }
    }

    /// What the next step is a part of, and how well the last epoch went.
    fn message(&self) -> String {
        match self.due() {
            Some(epoch) => format!("{}, validating epoch {}", self.inputs.name, epoch + 1),
            None => {
                let mut message = self.fit.message(self.on);
                if let Some(last) = self.at.validations.last() {
                    message += &format!(", robust accuracy {:.1} %", percent(last.robust, last));
                }
                message
            }
        }
    }

    /// The epoch that is to be validated before the training goes on.
    fn due(&self) -> Option<usize> {
        let inputs = self.inputs;
        let done = self.fit.epochs().len();
        let epoch = done.checked_sub(1)?;
        let every = inputs.config.validation.every;
        let wanted = done == inputs.config.epochs || (every > 0 && done.is_multiple_of(every));
        let last = self.at.validations.last();
        let unseen = last.is_none_or(|count| count.epoch < epoch);
        (wanted && unseen && self.validated > 0).then_some(epoch)
    }

    fn step(&mut self) {
        let inputs = self.inputs;
        let config = inputs.config;
        let epoch = self.fit.epochs().len();
        let lr = config.schedule.lr(config.lr, epoch, config.epochs);
        let objective = Objective {
            config,
            normalise: inputs.normalise,
            classes: inputs.classes,
            device: inputs.device.clone(),
        };
        self.fit.advance_by(self.on, lr, |trainer, batch, draws| {
            let model = (&trainer.network, &trainer.state);
            let key = (draws.seed, draws.network, draws.step);
            let start = || noisy(&batch.pixels, config.attack.start, key);
            let adversarial = objective.adversarial(model, batch, start);
            objective.step(trainer, (batch, adversarial.as_deref()), draws, lr)
        });
        self.at.steps += 1;
        if let (Some(mean), Some(ema)) = (&mut self.average, config.ema) {
            average(mean, self.fit.state(), ema, self.at.steps);
        }
    }

    /// A batch of the validation images: how many are answered rightly, and still so after an attack.
    fn validate(&mut self, epoch: usize) {
        let (from, all) = (self.at.under_way.images, self.validated);
        let to = (from + BATCH).min(all);
        let rows: Vec<u32> = (from as u32..to as u32).collect();
        let (clean, robust) = self.withstood(&rows);
        let count = &mut self.at.under_way;
        count.epoch = epoch;
        count.images = to;
        count.clean += clean;
        count.robust += robust;
        if to == all {
            let count = std::mem::take(count);
            let before = self.at.validations.iter().map(|c| c.robust).max();
            let better = before.is_none_or(|before| count.robust > before);
            if self.inputs.config.keep == Keep::Best && better {
                self.best = Some(self.state().clone());
            }
            self.at.validations.push(count);
        }
    }

    fn withstood(&self, rows: &[u32]) -> (usize, usize) {
        let inputs = self.inputs;
        let batch = inputs.valid.batch(rows, self.on.normalise, None);
        let [_, shape @ ..] = batch.shape;
        let (on, device) = ((shape, inputs.classes), inputs.device.clone());
        let model = Model::new(
            self.fit.network(),
            self.state(),
            inputs.normalise,
            on,
            device,
        );
        let (size, logits) = (model.size(), model.logits(&batch.pixels));
        let answers: Vec<_> = logits.chunks(inputs.classes).map(predicted).collect();
        let (mut pixels, mut labels, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (i, row) in rows.iter().enumerate() {
            if answers[i] != Some(batch.labels[i].into()) {
                continue;
            }
            pixels.extend_from_slice(&batch.pixels[i * size..][..size]);
            labels.push(batch.labels[i]);
            left.push(*row);
        }
        let points = Points {
            pixels: &pixels,
            labels: &labels,
            rows: &left,
        };
        let pgd = Pgd {
            step: Some(inputs.config.validation.step_size),
            ..Pgd::new(inputs.config.validation.steps)
        };
        let ball = inputs.config.attack.ball;
        let found = pgd.run(&model, points, ball, inputs.seed);
        let withstood = found.fooled.iter().filter(|fooled| !**fooled).count();
        (labels.len(), withstood)
    }

    /// The network's numbers: the average of those of all steps if there is one.
    fn state(&self) -> &State {
        self.average.as_ref().unwrap_or(self.fit.state())
    }

    /// The epochs that are done, with their validations.
    fn epochs(&self) -> Vec<Epoch> {
        let mut left = self.at.validations.iter().peekable();
        let epochs = self.fit.epochs().iter().map(|e| {
            let validated = left.next_if(|count| count.epoch == e.epoch);
            Epoch {
                epoch: e.epoch,
                lr: e.lr,
                loss: e.loss,
                error: e.error,
                validated: validated.map(|of| Validated {
                    clean: percent(of.clean, of),
                    robust: percent(of.robust, of),
                }),
            }
        });
        epochs.collect()
    }

    /// What it came to.
    pub fn trained(self) -> Trained {
        let epochs = self.epochs();
        let last = epochs.len().saturating_sub(1);
        let counts = self.at.validations.iter();
        let best = counts.max_by_key(|c| (c.robust, std::cmp::Reverse(c.epoch)));
        let (state, epoch) = match (self.best, best) {
            (Some(state), Some(count)) => (state, count.epoch),
            _ => (
                self.average.unwrap_or_else(|| self.fit.state().clone()),
                last,
            ),
        };
        Trained {
            state,
            epoch,
            epochs,
            nonfinite_steps: self.fit.fitted().nonfinite_steps,
        }
    }
}

impl<N: Network> Machine for Training<'_, N> {
    type Header = Kept;

    fn done(&self) -> bool {
        self.fit.done() && self.due().is_none()
    }

    /// The next step, or the next batch of a validation, if there is one.
    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let message = self.message();
        match self.due() {
            Some(epoch) => self.validate(epoch),
            None => self.step(),
        }
        progress(self.fit.share(), &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let kept = Kept {
            fit: self.fit.kept(),
            best: self.best.as_ref().map(|best| best.running.batches.clone()),
            ..self.at.clone()
        };
        let mut buffers = self.fit.buffers().to_vec();
        if let Some(state) = &self.average {
            buffers.push(("average/weights", &state.params.values));
            buffers.push(("average/running", &state.running.values));
        }
        if let Some(state) = &self.best {
            buffers.push(("best/weights", &state.params.values));
            buffers.push(("best/running", &state.running.values));
        }
        slot.write(&kept, &buffers)
    }

    fn resume(&mut self, kept: Kept, mut buffers: Buffers) -> Result<(), String> {
        let buffers = &mut buffers;
        self.fit.resume(kept.fit.clone(), buffers)?;
        let all = self.validated;
        if kept.under_way.images > all {
            return Err(format!(
                "{} of {all} validation images",
                kept.under_way.images
            ));
        }
        // The counters of the average are those of the network.
        if let Some(state) = &mut self.average {
            restore(buffers, "average/weights", &mut state.params.values)?;
            restore(buffers, "average/running", &mut state.running.values)?;
            let batches = &self.fit.state().running.batches;
            state.running.batches.clone_from(batches);
        }
        if let Some(batches) = &kept.best {
            let mut state = self.fit.state().clone();
            restore(buffers, "best/weights", &mut state.params.values)?;
            restore(buffers, "best/running", &mut state.running.values)?;
            if batches.len() != state.running.batches.len() {
                return Err("another number of batch norms".into());
            }
            state.running.batches.clone_from(batches);
            self.best = Some(state);
        }
        self.at = kept;
        Ok(())
    }
}
