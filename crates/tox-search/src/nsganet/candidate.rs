//! What a subnet is worth: running statistics measured anew, fine-tuning, accuracy. A step at a time.

use super::found::Inputs;
use super::supernet::{Subnet, Supernet};
use crate::genes::Architecture;
use crate::space::SpaceError;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{Buffers, restore};
use tox_data::rng::stream;
use tox_data::{Normalise, Split, shuffled};
use tox_nn::fit::Trainer;
use tox_nn::fit::evaluate::{error, images, logits};
use tox_nn::layers::{Draws, Mode, Network, Pass, State};
use tox_nn::optim::cosine;
use tox_nn::{Device, init};

/// Replaces the running statistics by those of some images: the means over batches, weighted by their
/// images, of batch means and (biased) variances, as Once-for-All measures them. `indices` are images
/// of `split`; a last batch of one image is left out.
pub fn calibrate<N: Network>(
    network: &N,
    state: &mut State,
    (split, indices): (&Split, &[u32]),
    batch: usize,
    normalise: &Normalise,
    device: &Device,
) {
    let mut sums = vec![0.0f64; state.running.values.len()];
    let mut seen = 0.0;
    let batches = indices.chunks(batch).filter(|chunk| chunk.len() > 1);
    for (step, indices) in batches.enumerate() {
        // Batch norms see nothing that is drawn but the noise of bad ops.
        let draws = Draws {
            seed: 0,
            network: "calibrate",
            step: step as u64,
        };
        let batch = split.batch(indices, normalise, None);
        let pass = Pass::new(state, device, Mode::Train(draws));
        network.logits(&pass, images(&batch, device));
        let share = indices.len() as f64;
        seen += share;
        // Every norm is passed once.
        let mut found = state.running.clone();
        for m in pass.measured() {
            let (means, vars) = found.of_mut(m.norm);
            let (mean, var) = m.values.split_at(means.len());
            means.copy_from_slice(mean);
            vars.copy_from_slice(var);
        }
        let pairs = sums.iter_mut().zip(&found.values);
        pairs.for_each(|(sum, v)| *sum += share * f64::from(*v));
    }
    if seen > 0.0 {
        let values = &mut state.running.values;
        let pairs = values.iter_mut().zip(sums);
        pairs.for_each(|(value, sum)| *value = (sum / seen) as f32);
    }
}

/// What a checkpoint keeps of a candidate beside its buffers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    calibrated: bool,
    epoch: usize,
    step: usize,
    touched: Vec<bool>,
    batches: Vec<u64>,
    nonfinite_steps: u64,
}

/// A candidate that is being evaluated.
pub(super) struct Candidate {
    trainer: Trainer<Subnet>,
    /// Last part of the streams' keys.
    name: String,
    calibrated: bool,
    epoch: usize,
    step: usize,
    /// The epoch's shuffled images; made when needed.
    order: Option<Vec<u32>>,
}

/// Steps of an epoch; a single image left over is left out.
pub(super) fn steps(images: usize, batch: usize) -> usize {
    (images / batch + usize::from(images % batch > 1)).max(1)
}

/// New weights of the classifier by PyTorch's rule.
fn reset_classifier(state: &mut State, seed: u64, network: &str) {
    let entries = state.params.entries().iter();
    let entries = entries.filter(|e| e.name.starts_with("classifier"));
    let entries: Vec<_> = entries.cloned().collect();
    let inputs = entries.iter().map(|e| e.shape[1]).max().unwrap_or(1);
    let bound = (1.0 / inputs as f32).sqrt();
    for entry in entries {
        let mut rng = stream(seed, &format!("init/{network}/{}", entry.name), &[]);
        let values = init::uniform(entry.len(), bound, &mut rng);
        state.params.values[entry.range()].copy_from_slice(&values);
    }
}

impl Candidate {
    /// The `number`-th architecture that is evaluated, with inherited weights.
    pub fn new(
        supernet: &Supernet,
        architecture: &Architecture,
        number: usize,
        inputs: &Inputs<'_>,
    ) -> Result<Self, SpaceError> {
        let tune = &inputs.config.tune;
        let name = format!("nsganet/candidate/{number}");
        let (mut net, mut state, _) = supernet.subnet(architecture)?;
        net.set_dropout(tune.dropout as f32);
        if tune.new_classifier {
            reset_classifier(&mut state, inputs.seed, &name);
        }
        Ok(Self {
            trainer: Trainer::new(net, state, &tune.fit(), inputs.device.clone()),
            name,
            calibrated: false,
            epoch: 0,
            step: 0,
            order: None,
        })
    }

    fn steps(inputs: &Inputs<'_>) -> usize {
        steps(inputs.data.train.len(), inputs.config.tune.batch)
    }

    pub fn done(&self, inputs: &Inputs<'_>) -> bool {
        self.calibrated && self.epoch == inputs.config.tune.epochs
    }

    /// Share of the steps done.
    pub fn share(&self, inputs: &Inputs<'_>) -> f64 {
        let steps = Self::steps(inputs) as f64;
        let done = self.epoch as f64 + self.step as f64 / steps;
        done / inputs.config.tune.epochs.max(1) as f64
    }

    fn calibrate(&mut self, inputs: &Inputs<'_>) {
        let (data, tune) = (inputs.data, &inputs.config.tune);
        let purpose = format!("calibrate/{}", self.name);
        let mut rng = stream(inputs.seed, &purpose, &[]);
        let mut indices = shuffled(data.train.len(), &mut rng);
        indices.truncate(tune.calibration);
        let Trainer { network, state, .. } = &mut self.trainer;
        let (on, device) = ((&data.train, &indices[..]), &inputs.device);
        calibrate(network, state, on, tune.batch, &data.normalise, device);
        self.calibrated = true;
    }

    /// The network as it is before fine-tuning.
    pub fn calibrated(mut self, inputs: &Inputs<'_>) -> (Subnet, State) {
        self.calibrate(inputs);
        (self.trainer.network, self.trainer.state)
    }

    /// Measures the running statistics, or takes the next training step.
    pub fn advance(&mut self, inputs: &Inputs<'_>) {
        let (data, tune, seed) = (inputs.data, &inputs.config.tune, inputs.seed);
        let train = &data.train;
        if !self.calibrated {
            return self.calibrate(inputs);
        }
        let (epoch, i, steps) = (self.epoch, self.step, Self::steps(inputs));
        let order = self.order.get_or_insert_with(|| {
            let purpose = format!("shuffle/{}", self.name);
            shuffled(train.len(), &mut stream(seed, &purpose, &[epoch as u64]))
        });
        let indices = &order[i * tune.batch..((i + 1) * tune.batch).min(order.len())];
        let purpose = format!("augment/{}", self.name);
        let mut rng = stream(seed, &purpose, &[epoch as u64, i as u64]);
        let augment = Some((inputs.augment, &mut rng));
        let batch = train.batch(indices, &data.normalise, augment);
        let draws = Draws {
            seed,
            network: &self.name,
            step: (epoch * steps + i) as u64,
        };
        let lr = cosine(epoch, tune.lr_max, tune.lr_min, tune.epochs);
        self.trainer.step(&batch, draws, lr);
        self.step += 1;
        if self.step == steps {
            (self.epoch, self.step, self.order) = (epoch + 1, 0, None);
        }
    }

    /// Accuracy on the validation images, in percent, by the running statistics. 0 if an answer is not
    /// a finite number: the training has diverged, which the published code's failed evaluations are
    /// worth too.
    pub fn accuracy(&self, inputs: &Inputs<'_>) -> f64 {
        let (network, state) = (&self.trainer.network, &self.trainer.state);
        let (valid, normalise) = (&inputs.data.valid, &inputs.data.normalise);
        let logits = logits(network, state, valid, normalise, &inputs.device);
        match logits.iter().all(|v| v.is_finite()) {
            true => 100.0 - error(&logits, &valid.labels),
            false => 0.0,
        }
    }

    pub fn kept(&self) -> Kept {
        Kept {
            calibrated: self.calibrated,
            epoch: self.epoch,
            step: self.step,
            touched: self.trainer.sgd.touched.clone(),
            batches: self.trainer.state.running.batches.clone(),
            nonfinite_steps: self.trainer.nonfinite_steps,
        }
    }

    pub fn buffers(&self) -> [(&'static str, &[f32]); 3] {
        [
            ("candidate/weights", &self.trainer.state.params.values),
            ("candidate/running", &self.trainer.state.running.values),
            ("candidate/velocity", &self.trainer.sgd.velocity),
        ]
    }

    pub fn resume(
        &mut self,
        kept: Kept,
        buffers: &mut Buffers,
        inputs: &Inputs<'_>,
    ) -> Result<(), String> {
        let (epochs, steps) = (inputs.config.tune.epochs, Self::steps(inputs));
        if kept.epoch > epochs || kept.step >= steps {
            return Err(format!(
                "epoch {} and step {} of a candidate",
                kept.epoch, kept.step
            ));
        }
        let trainer = &mut self.trainer;
        let state = &mut trainer.state;
        restore(buffers, "candidate/weights", &mut state.params.values)?;
        restore(buffers, "candidate/running", &mut state.running.values)?;
        restore(buffers, "candidate/velocity", &mut trainer.sgd.velocity)?;
        let (norms, weights) = (state.running.batches.len(), trainer.sgd.touched.len());
        if kept.batches.len() != norms || kept.touched.len() != weights {
            return Err("another number of weights or batch norms".into());
        }
        state.running.batches = kept.batches;
        trainer.sgd.touched = kept.touched;
        trainer.nonfinite_steps = kept.nonfinite_steps;
        (self.calibrated, self.epoch, self.step) = (kept.calibrated, kept.epoch, kept.step);
        Ok(())
    }
}
