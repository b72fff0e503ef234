//! A training that is tested between epochs, as a machine of small steps.

use super::{Evaluation, Trained};
use crate::count::Counts;
use serde::{Deserialize, Serialize};
use tox_data::Split;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Slot};
use tox_nn::fit::evaluate::{BATCH, images, wrong};
use tox_nn::fit::{Epoch, Inputs, Kept, Training};
use tox_nn::layers::{Mode, Network, Pass};

/// Where it stands, beside the training.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    /// Epochs that were tested, in order, and wrong answers.
    tests: Vec<(usize, usize)>,
    /// Of the test under way: images so far, and wrong answers.
    under_way: (usize, usize),
    training: Kept,
}

pub(super) struct Machine<'a, N> {
    inputs: &'a Inputs<'a>,
    test: &'a Split,
    /// Epochs from one test to the next; 0: only the last.
    every: usize,
    training: Training<N>,
    at: At,
}

impl<'a, N: Network> Machine<'a, N> {
    pub fn new(
        inputs: &'a Inputs<'a>,
        test: &'a Split,
        every: usize,
        training: Training<N>,
    ) -> Self {
        Self {
            inputs,
            test,
            every,
            training,
            at: At::default(),
        }
    }

    /// The epoch that is to be tested before the training goes on.
    fn due(&self) -> Option<usize> {
        let done = self.training.epochs().len();
        let last = done == self.inputs.config.epochs;
        let due = last || (self.every > 0 && done.is_multiple_of(self.every));
        let epoch = done.checked_sub(1)?;
        let tested = self.at.tests.last().is_some_and(|(e, _)| *e == epoch);
        (due && !tested).then_some(epoch)
    }

    /// A batch of the test images, in their order.
    fn test(&mut self, epoch: usize) {
        let (from, mistakes) = self.at.under_way;
        let to = (from + BATCH).min(self.test.len());
        let indices: Vec<u32> = (from as u32..to as u32).collect();
        let batch = self.test.batch(&indices, self.inputs.normalise, None);
        let device = &self.inputs.device;
        let pass = Pass::new(self.training.state(), device, Mode::Evaluate);
        let logits = self
            .training
            .network()
            .logits(&pass, images(&batch, device));
        self.at.under_way = (to, mistakes + wrong(logits, &batch.labels));
        if to == self.test.len() {
            self.at.tests.push((epoch, self.at.under_way.1));
            self.at.under_way = (0, 0);
        }
    }

    pub fn trained(self, counts: Counts) -> Trained {
        let images = self.test.len() as f64;
        let percent = |wrong: usize| 100.0 - 100.0 * wrong as f64 / images;
        let tests = &self.at.tests;
        // `min_by_key` takes the first of equals.
        let best = tests.iter().copied().min_by_key(|(_, wrong)| *wrong);
        let (best_epoch, best) = best.unwrap_or_default();
        let last = tests.last().map_or(0, |(_, wrong)| *wrong);
        let fitted = self.training.fitted();
        let mut left = tests.iter().peekable();
        let epochs = fitted.epochs.into_iter().map(|e| {
            let tested = left.next_if(|(epoch, _)| *epoch == e.epoch);
            Epoch {
                accuracy: tested.map(|(_, wrong)| percent(*wrong)),
                ..e
            }
        });
        Trained {
            evaluation: Evaluation {
                accuracy: percent(last),
                best_accuracy: percent(best),
                best_epoch,
                counts,
                nonfinite_steps: fitted.nonfinite_steps,
                epochs: epochs.collect(),
            },
            state: fitted.state,
        }
    }
}

impl<N: Network> checkpoint::Machine for Machine<'_, N> {
    type Header = At;

    fn done(&self) -> bool {
        self.training.done() && self.due().is_none()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let message = match self.due() {
            Some(epoch) => {
                self.test(epoch);
                format!("{}, testing epoch {}", self.inputs.name, epoch + 1)
            }
            None => {
                let message = self.training.message(self.inputs);
                self.training.advance(self.inputs);
                message
            }
        };
        progress(self.training.share(), &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        self.at.training = self.training.kept();
        slot.write(&self.at, &self.training.buffers())
    }

    fn resume(&mut self, mut at: At, mut buffers: Buffers) -> Result<(), String> {
        let kept = std::mem::take(&mut at.training);
        self.training.resume(kept, &mut buffers)?;
        if at.under_way.0 >= self.test.len() {
            return Err(format!("{} images of a test", at.under_way.0));
        }
        self.at = at;
        Ok(())
    }
}
