//! The search as a machine of small steps, so that it can stop and go on anywhere.

use super::config::Strategy;
use super::search::Search;
use super::state::{Phase, State};
use tox_data::checkpoint::{Buffers, CheckpointError, Machine, Slot, restore};

impl Machine for Search<'_> {
    type Header = State;

    fn done(&self) -> bool {
        matches!(self.state.phase, Phase::Done)
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let retraining = matches!(self.state.phase, Phase::Retrain(..));
        let faults = if retraining {
            &mut self.state.retrain_faults
        } else {
            &mut self.state.faults
        };
        *faults = self.trainer.faults;
        self.state.baseline = self.controller.baseline;
        self.state.adam_steps = self.controller.adam.steps;
        self.state.touched = self.trainer.sgd.touched.clone();
        let buffers: [(&str, &[f32]); 5] = [
            ("child", &self.trainer.child.params.values),
            ("velocity", &self.trainer.sgd.velocity),
            ("controller", &self.controller.params.values),
            ("adam.first", &self.controller.adam.first),
            ("adam.second", &self.controller.adam.second),
        ];
        slot.write(&self.state, &buffers)
    }

    fn resume(&mut self, state: State, mut buffers: Buffers) -> Result<(), String> {
        let retraining = matches!(state.phase, Phase::Retrain(..));
        if retraining {
            self.trainer = Self::trainer(self.inputs, "retrain");
        }
        let mut put = |name, to: &mut Vec<f32>| restore(&mut buffers, name, to);
        put("child", &mut self.trainer.child.params.values)?;
        put("velocity", &mut self.trainer.sgd.velocity)?;
        put("controller", &mut self.controller.params.values)?;
        put("adam.first", &mut self.controller.adam.first)?;
        put("adam.second", &mut self.controller.adam.second)?;
        if state.touched.len() != self.trainer.sgd.touched.len() {
            return Err("another number of weights".into());
        }
        self.trainer.sgd.touched.clone_from(&state.touched);
        self.trainer.faults = if retraining {
            state.retrain_faults
        } else {
            state.faults
        };
        self.controller.baseline = state.baseline;
        self.controller.adam.steps = state.adam_steps;
        self.state = state;
        Ok(())
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        match self.state.phase {
            Phase::Train(i) => {
                let steps = self.train_steps();
                self.train(i);
                let next = if i + 1 < steps {
                    Phase::Train(i + 1)
                } else {
                    Phase::Control(0)
                };
                self.state.phase = next;
                self.tell(progress, i as f64 / steps as f64 * 0.8);
            }
            Phase::Control(i) => {
                let enas = self.inputs.config.strategy == Strategy::Enas;
                if enas && i < self.inputs.config.controller.steps {
                    self.control(i);
                    self.state.phase = Phase::Control(i + 1);
                } else {
                    self.end_epoch();
                }
                self.tell(progress, 0.8);
            }
            Phase::Retrain(epoch, i) => {
                self.retrain(epoch, i);
                self.tell(progress, 0.0);
            }
            Phase::Done => {}
        }
    }
}

impl Search<'_> {
    fn tell(&self, progress: &mut dyn FnMut(f64, &str), part: f64) {
        let c = self.inputs.config;
        // A retraining epoch has no controller and no shared-weight evaluation.
        let (search, retrain) = (c.child.epochs as f64, c.retrain.epochs as f64 * 0.6);
        let done = match self.state.phase {
            Phase::Retrain(epoch, _) => search + epoch as f64 * 0.6,
            Phase::Done => search + retrain,
            Phase::Train(_) | Phase::Control(_) => self.state.epoch as f64 + part,
        };
        let message = match (&self.state.phase, self.state.epochs.last()) {
            (Phase::Retrain(epoch, _), _) => {
                format!("retraining, epoch {}/{}", epoch + 1, c.retrain.epochs)
            }
            (Phase::Train(_) | Phase::Control(_) | Phase::Done, Some(last)) => format!(
                "epoch {}/{}, validation error {:.1} %",
                self.state.epoch + 1,
                c.child.epochs,
                last.valid_error
            ),
            (Phase::Train(_) | Phase::Control(_) | Phase::Done, None) => {
                format!("epoch 1/{}", c.child.epochs)
            }
        };
        progress(done / (search + retrain), &message);
    }
}
