//! What a subnet is worth: running statistics measured anew, fine-tuning, accuracy. A step at a time.

use super::inputs::Inputs;
use super::supernet::{Subnet, Supernet};
use crate::genes::Architecture;
use crate::space::SpaceError;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Buffers;
use tox_data::rng::stream;
use tox_data::{Normalise, Split, shuffled};
use tox_nn::fit::evaluate::{error, images, logits};
use tox_nn::fit::{self, FitConfig, Training};
use tox_nn::layers::{Draws, Mode, Network, Pass, State};
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
    tuned: fit::Kept,
}

/// A candidate that is being evaluated.
pub(super) struct Candidate {
    training: Training<Subnet>,
    tune: FitConfig,
    /// Last part of the streams' keys.
    name: String,
    calibrated: bool,
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

/// What a candidate is fine-tuned on.
fn tuned_on<'a>(name: &'a str, config: &'a FitConfig, inputs: &'a Inputs<'_>) -> fit::Inputs<'a> {
    fit::Inputs {
        train: &inputs.data.train,
        normalise: &inputs.data.normalise,
        augment: inputs.augment,
        config,
        seed: inputs.seed,
        name,
        device: inputs.device.clone(),
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
        let (name, tune) = (format!("nsganet/candidate/{number}"), &inputs.config.tune);
        let (mut net, mut state, _) = supernet.subnet(architecture)?;
        net.set_dropout(tune.dropout as f32);
        if tune.new_classifier {
            reset_classifier(&mut state, inputs.seed, &name);
        }
        let tune = tune.fit();
        Ok(Self {
            training: Training::new(net, state, &tuned_on(&name, &tune, inputs)),
            tune,
            name,
            calibrated: false,
        })
    }

    pub fn done(&self) -> bool {
        self.calibrated && self.training.done()
    }

    /// Share of the steps done.
    pub fn share(&self) -> f64 {
        self.training.share()
    }

    fn calibrate(&mut self, inputs: &Inputs<'_>) {
        let (data, tune) = (inputs.data, &inputs.config.tune);
        let purpose = format!("calibrate/{}", self.name);
        let mut rng = stream(inputs.seed, &purpose, &[]);
        let mut indices = shuffled(data.train.len(), &mut rng);
        indices.truncate(tune.calibration);
        let (network, state) = self.training.parts();
        let (on, device) = ((&data.train, &indices[..]), &inputs.device);
        calibrate(network, state, on, tune.batch, &data.normalise, device);
        self.calibrated = true;
    }

    /// The network as it is before fine-tuning.
    pub fn calibrated(mut self, inputs: &Inputs<'_>) -> (Subnet, State) {
        self.calibrate(inputs);
        let (network, state) = self.training.parts();
        (network.clone(), state.clone())
    }

    /// Measures the running statistics, or takes the next training step.
    pub fn advance(&mut self, inputs: &Inputs<'_>) {
        match self.calibrated {
            true => (self.training).advance(&tuned_on(&self.name, &self.tune, inputs)),
            false => self.calibrate(inputs),
        }
    }

    /// Accuracy on the validation images, in percent, by the running statistics. 0 if an answer is not
    /// a finite number: the training has diverged, which the published code's failed evaluations are
    /// worth too.
    pub fn accuracy(&self, inputs: &Inputs<'_>) -> f64 {
        let (network, state) = (self.training.network(), self.training.state());
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
            tuned: self.training.kept(),
        }
    }

    pub fn buffers(&self) -> [(&'static str, &[f32]); 3] {
        self.training.buffers()
    }

    pub fn resume(&mut self, kept: Kept, buffers: &mut Buffers) -> Result<(), String> {
        self.calibrated = kept.calibrated;
        self.training.resume(kept.tuned, buffers)
    }
}
