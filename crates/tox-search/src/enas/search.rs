//! The search: child training, controller training and evaluation in turn, then the found
//! genotype trained from scratch.

use super::child::{Architecture, Child, Mode};
use super::config::{EnasConfig, Strategy};
use super::controller::{Controller, Decisions};
pub use super::state::Epoch;
use super::state::{Final, Phase, State, Sums};
use super::train::{EvaluationSet, Faults, Trainer};
use crate::genotype::Genotype;
use crate::space::Space;
use rand::RngExt;
use tox_data::checkpoint::{self, CheckpointError, Hooks};
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_data::{Batch, Dataset, Split, shuffled};
use tox_nn::Device;
use tox_nn::optim::cosine;

/// What a search is run on.
pub struct Inputs<'a> {
    pub data: &'a Dataset,
    /// Training images of what was found, trained anew.
    pub retrain: &'a Dataset,
    pub augment: &'a Augment,
    /// The searched space, poisoned or not.
    pub space: &'a Space,
    pub config: &'a EnasConfig,
    pub seed: u64,
    pub device: Device,
}

/// What a search found and how it went. Errors are in percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Full validation error of the best final candidate, shared weights.
    pub valid_error: f64,
    pub test_error: f64,
    /// Test error after training from scratch, unless `retrain.epochs` is 0.
    pub retrained_test_error: Option<f64>,
    /// What went wrong with gradients in the search.
    pub faults: Faults,
    pub retrain_faults: Faults,
    pub steps: u64,
    pub epochs: Vec<Epoch>,
    pub genotype: Genotype,
    /// `bad_ops[n]`: how many of the final controller's samples have `n` poison layers.
    pub bad_ops: Vec<u64>,
    /// Trainable parameters of the found network.
    pub parameters: u64,
    /// The found network trained from scratch, unless `retrain.epochs` is 0.
    pub network: Option<(Child, Architecture)>,
}

/// Runs or resumes a search. `None` means that it was asked to stop and has saved itself.
pub fn run(inputs: &Inputs<'_>, mut hooks: Hooks<'_>) -> Result<Option<Found>, CheckpointError> {
    let mut search = Search::new(inputs);
    let done = checkpoint::drive(&mut search, &mut hooks)?;
    Ok(done.then(|| search.found()))
}

pub(super) struct Search<'a> {
    pub inputs: &'a Inputs<'a>,
    pub state: State,
    pub trainer: Trainer,
    pub controller: Controller,
    branch_ops: Vec<usize>,
    /// The epoch's shuffled training images and one architecture a step; made when needed.
    plan: Option<(Vec<u32>, Vec<Architecture>)>,
    share: f64,
}

impl<'a> Search<'a> {
    fn new(inputs: &'a Inputs<'a>) -> Self {
        let config = inputs.config;
        let trainer = Self::trainer(inputs, "search");
        let layers = config.child.layers;
        let controller = Controller::new(inputs.space, layers, &config.controller, inputs.seed);
        let state = State {
            phase: Phase::Train(0),
            epoch: 0,
            step: 0,
            sums: Sums::default(),
            epochs: Vec::new(),
            faults: Faults::default(),
            retrain_faults: Faults::default(),
            baseline: None,
            adam_steps: 0,
            touched: Vec::new(),
            last: None,
        };
        let branch_ops = inputs.space.branch_ops();
        Self {
            inputs,
            state,
            trainer,
            controller,
            branch_ops,
            plan: None,
            share: 0.0,
        }
    }

    pub fn trainer(inputs: &Inputs<'_>, network: &'static str) -> Trainer {
        let config = &inputs.config.child;
        let [_, channels, ..] = inputs.data.train.images.shape;
        let classes = inputs.data.classes;
        let child = Child::new(
            inputs.space,
            config,
            channels,
            classes,
            inputs.seed,
            network,
        );
        Trainer::new(child, config, inputs.device.clone())
    }

    /// Steps of an epoch; the last batch may be smaller. A single image left over is left out: its
    /// batch norm on a 1x1 map would see one value a channel.
    pub fn train_steps(&self) -> usize {
        self.steps_of(self.inputs.data)
    }

    fn steps_of(&self, data: &Dataset) -> usize {
        let (n, batch) = (data.train.len(), self.inputs.config.child.batch);
        (n / batch + usize::from(n % batch > 1)).max(1)
    }

    fn batch(&self, split: &Split, indices: &[u32], augment: bool, key: (&str, &[u64])) -> Batch {
        let mut rng = stream(self.inputs.seed, key.0, key.1);
        let augment = augment.then_some((self.inputs.augment, &mut rng));
        split.batch(indices, &self.inputs.data.normalise, augment)
    }

    /// One child step on an architecture of its own.
    pub fn train(&mut self, i: usize) {
        let (inputs, epoch) = (self.inputs, self.state.epoch as u64);
        let config = &inputs.config.child;
        let steps = self.train_steps();
        if i == 0 {
            self.state.sums = Sums {
                nonfinite_before: self.trainer.faults.nonfinite_steps,
                ..Sums::default()
            };
        }
        if i == 0 || self.plan.is_none() {
            let mut rng = stream(inputs.seed, "shuffle/search", &[epoch]);
            let order = shuffled(inputs.data.train.len(), &mut rng);
            let (decisions, _) = self.sample("train", epoch, steps);
            let architectures = decisions
                .iter()
                .map(|d| d.architecture(&self.branch_ops))
                .collect();
            self.plan = Some((order, architectures));
        }
        let Some((order, architectures)) = &self.plan else {
            return;
        };
        let end = ((i + 1) * config.batch).min(order.len());
        let key = ("augment/search", [epoch, i as u64]);
        let batch = self.batch(
            &inputs.data.train,
            &order[i * config.batch..end],
            true,
            (key.0, &key.1),
        );
        let lr = cosine(
            self.state.epoch,
            config.lr_max,
            config.lr_min,
            config.lr_period,
        );
        let mode = Mode::Train {
            seed: inputs.seed,
            network: "search",
            step: self.state.step,
        };
        let step = self.trainer.step(&batch, &architectures[i], mode, lr);
        let sums = &mut self.state.sums;
        sums.loss_bits = (f64::from_bits(sums.loss_bits) + f64::from(step.loss)).to_bits();
        sums.wrong += step.wrong;
        sums.images += batch.labels.len();
        self.state.step += 1;
    }

    /// `n` architectures for `purpose` in an epoch, and the mean probability of a poison branch.
    fn sample(&self, purpose: &str, epoch: u64, n: usize) -> (Vec<Decisions>, f64) {
        let (layers, branches) = (self.inputs.config.child.layers, self.branch_ops.len());
        let purpose = format!("sample/{purpose}");
        let mut streams: Vec<_> = (0..n as u64)
            .map(|i| stream(self.inputs.seed, &purpose, &[epoch, i]))
            .collect();
        if self.inputs.config.strategy == Strategy::Random {
            let random = streams
                .iter_mut()
                .map(|rng| Decisions::random(layers, branches, rng));
            let bad = self
                .inputs
                .space
                .ops
                .iter()
                .filter(|o| o.poison)
                .map(|o| o.count);
            return (
                random.collect(),
                bad.sum::<usize>() as f64 / branches as f64,
            );
        }
        // Few at a time, for the memory of spaces with hundreds of branches.
        let (mut decisions, mut share) = (Vec::new(), 0.0);
        for streams in streams.chunks_mut(256) {
            let sampled = self.controller.sample(streams);
            share += sampled.poison_share.iter().sum::<f64>();
            decisions.extend(sampled.decisions);
        }
        (decisions, share / n.max(1) as f64)
    }

    /// A random validation batch.
    fn reward_batch(&self, purpose: &str, key: &[u64], size: usize) -> Batch {
        let valid = &self.inputs.data.valid;
        let mut rng = stream(self.inputs.seed, purpose, key);
        let mut all: Vec<u32> = (0..valid.len() as u32).collect();
        let size = size.min(all.len());
        for i in 0..size {
            let j = rng.random_range(i..all.len());
            all.swap(i, j);
        }
        let augment = (self.inputs.augment.valid).then_some((self.inputs.augment, &mut rng));
        valid.batch(&all[..size], &self.inputs.data.normalise, augment)
    }

    fn accuracy(&self, batch: &Batch, architecture: &Architecture) -> f64 {
        let n = batch.labels.len().max(1) as f64;
        1.0 - self.trainer.wrong(batch, architecture) as f64 / n
    }

    /// One controller update.
    pub fn control(&mut self, i: usize) {
        let config = &self.inputs.config.controller;
        let (epoch, update) = (self.state.epoch as u64, i as u64);
        let purpose = format!("control/{i}");
        let (decisions, _) = self.sample(&purpose, epoch, config.aggregate);
        // Every sample has a batch of its own, so they share no prefix.
        let accuracies = self.trainer.each(decisions.len(), |s| {
            let batch = self.reward_batch("reward", &[epoch, update, s as u64], config.batch);
            self.accuracy(&batch, &decisions[s].architecture(&self.branch_ops))
        });
        let update = self.controller.update(&decisions, &accuracies);
        self.state.sums.accuracy += update.accuracy;
        self.state.sums.entropy += update.entropy;
        self.state.sums.updates += 1;
    }

    /// The best of `n` fresh candidates on one validation batch, the first of equals.
    fn best(&mut self, purpose: &str, n: usize) -> Architecture {
        let epoch = self.state.epoch as u64;
        let (decisions, share) = self.sample(purpose, epoch, n);
        self.share = share;
        let size = self.inputs.config.child.batch;
        let batch = self.reward_batch(&format!("candidates/{purpose}"), &[epoch], size);
        let architecture = |i: usize| decisions[i].architecture(&self.branch_ops);
        let wrong = |i| self.trainer.wrong(&batch, &architecture(i));
        let wrong = self.trainer.each(decisions.len(), wrong);
        let best = (0..decisions.len()).min_by_key(|&i| wrong[i]);
        best.map_or(Architecture { layers: Vec::new() }, architecture)
    }

    fn valid_error(&self, purpose: &str, architecture: &Architecture) -> f64 {
        let augment = self.inputs.augment;
        let rng = stream(
            self.inputs.seed,
            &format!("augment/{purpose}"),
            &[self.state.epoch as u64],
        );
        let set = EvaluationSet {
            split: &self.inputs.data.valid,
            normalise: &self.inputs.data.normalise,
            augment: augment.valid.then_some((augment, &rng)),
        };
        self.trainer
            .error(&set, self.inputs.config.child.batch, true, architecture)
    }

    fn test_error(&self, architecture: &Architecture) -> f64 {
        let (split, normalise) = (&self.inputs.data.test, &self.inputs.data.normalise);
        let set = EvaluationSet {
            split,
            normalise,
            augment: None,
        };
        self.trainer
            .error(&set, self.inputs.config.child.batch, false, architecture)
    }

    pub fn end_epoch(&mut self) {
        let config = self.inputs.config;
        let best = self.best("evaluate", config.evaluation.candidates);
        let valid_error = self.valid_error("evaluate", &best);
        let test_error = config
            .evaluation
            .test_every_epoch
            .then(|| self.test_error(&best));
        let sums = &self.state.sums;
        let updates = sums.updates as f64;
        let mean = |sum: f64| (sums.updates > 0).then(|| sum / updates);
        let loss = f64::from_bits(sums.loss_bits) / self.train_steps() as f64;
        let child = &config.child;
        self.state.epochs.push(Epoch {
            epoch: self.state.epoch as u32,
            lr: cosine(
                self.state.epoch,
                child.lr_max,
                child.lr_min,
                child.lr_period,
            ),
            train_loss: loss.is_finite().then_some(loss),
            train_error: 100.0 * sums.wrong as f64 / sums.images.max(1) as f64,
            valid_error,
            test_error,
            reward: mean(sums.accuracy),
            baseline: self.controller.baseline,
            entropy: mean(sums.entropy),
            poison_share: self.share,
            nonfinite_steps: self.trainer.faults.nonfinite_steps - sums.nonfinite_before,
        });
        self.state.epoch += 1;
        self.plan = None;
        self.state.phase = Phase::Train(0);
        if self.state.epoch >= child.epochs {
            self.end_search();
        }
    }

    fn end_search(&mut self) {
        let config = self.inputs.config;
        let best = self.best("final", config.evaluation.final_candidates);
        let (samples, _) = self.sample("density", 0, config.evaluation.density_samples);
        let mut bad_ops = vec![0; config.child.layers + 1];
        for sample in samples {
            bad_ops[sample
                .architecture(&self.branch_ops)
                .bad_ops(self.inputs.space)] += 1;
        }
        self.state.last = Some(Final {
            valid_error: self.valid_error("final", &best),
            test_error: self.test_error(&best),
            layers: best.layers.into_iter().map(|c| (c.op, c.skips)).collect(),
            bad_ops,
        });
        self.state.faults = self.trainer.faults;
        self.trainer = Self::trainer(self.inputs, "retrain");
        self.state.phase = if config.retrain.epochs == 0 {
            Phase::Done
        } else {
            Phase::Retrain(0, 0)
        };
    }

    fn genotype(&self) -> Architecture {
        let layers = self.state.last.iter().flat_map(|last| &last.layers);
        let choice = |(op, skips): &(usize, Vec<bool>)| super::child::Choice {
            op: *op,
            skips: skips.clone(),
        };
        Architecture {
            layers: layers.map(choice).collect(),
        }
    }

    /// One step of the found genotype's training from scratch.
    pub fn retrain(&mut self, epoch: usize, i: usize) {
        let inputs = self.inputs;
        let (config, epochs) = (&inputs.config.child, inputs.config.retrain.epochs);
        let steps = self.steps_of(inputs.retrain);
        if i == 0 || self.plan.is_none() {
            let mut rng = stream(inputs.seed, "shuffle/retrain", &[epoch as u64]);
            self.plan = Some((shuffled(inputs.retrain.train.len(), &mut rng), Vec::new()));
        }
        let Some((order, _)) = &self.plan else { return };
        let architecture = self.genotype();
        let end = ((i + 1) * config.batch).min(order.len());
        let key = [epoch as u64, i as u64];
        let indices = &order[i * config.batch..end];
        let batch = self.batch(
            &inputs.retrain.train,
            indices,
            true,
            ("augment/retrain", &key),
        );
        let lr = cosine(epoch, config.lr_max, config.lr_min, epochs);
        let step = (epoch * steps + i) as u64;
        let mode = Mode::Train {
            seed: inputs.seed,
            network: "retrain",
            step,
        };
        self.trainer.step(&batch, &architecture, mode, lr);
        self.state.phase = match (i + 1 < steps, epoch + 1 < epochs) {
            (true, _) => Phase::Retrain(epoch, i + 1),
            (false, true) => Phase::Retrain(epoch + 1, 0),
            (false, false) => Phase::Done,
        };
    }

    fn found(self) -> Found {
        let architecture = self.genotype();
        let retrained = self.inputs.config.retrain.epochs > 0;
        let retrained_test_error = retrained.then(|| self.test_error(&architecture));
        let parameters = self.trainer.child.parameters(&architecture);
        let last = self
            .state
            .last
            .unwrap_or_else(|| unreachable!("a done search has ended"));
        Found {
            valid_error: last.valid_error,
            test_error: last.test_error,
            retrained_test_error,
            faults: self.state.faults,
            retrain_faults: self.trainer.faults,
            steps: self.state.step,
            epochs: self.state.epochs,
            genotype: architecture.genotype(self.inputs.space),
            bad_ops: last.bad_ops,
            parameters,
            network: retrained.then_some((self.trainer.child, architecture)),
        }
    }
}
