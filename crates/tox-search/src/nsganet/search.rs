//! The search: train the supernet, evaluate the first architectures, then rounds. A machine of small
//! steps, so that it can stop and go on anywhere.

use super::archive::{self, Entry, Proposal, Round};
use super::candidate::{self, Candidate, Kept, steps};
use super::found::{Accuracy, Found, Inputs, NsganetError};
use super::supernet::Supernet;
use crate::cell::SupernetShape;
use crate::genes::{Architecture, GeneSpace};
use crate::nsga::Genome;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, restore};
use tox_data::rng::stream;
use tox_data::shuffled;
use tox_nn::fit::Epoch;
use tox_nn::layers::Draws;
use tox_nn::optim::{Sgd, clip_scale, cosine};

/// Runs or resumes a search. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// A config, images or a supernet that cannot be used, no predictor that can be fitted, a checkpoint
/// that cannot be read or written.
pub fn run(inputs: &Inputs<'_>, mut hooks: Hooks<'_>) -> Result<Option<Found>, NsganetError> {
    inputs.config.check()?;
    let mut search = Search::new(inputs, hooks.key)?;
    let done = checkpoint::drive(&mut search, &mut hooks)?;
    match search.failed.take() {
        Some(failed) => Err(failed),
        None if done => search.found().map(Some),
        None => Ok(None),
    }
}

/// The training of the supernet so far, beside its buffers. The sum of losses as bits, because JSON knows
/// no NaN.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Training {
    step: usize,
    loss: u64,
    wrong: usize,
    images: usize,
    epochs: Vec<Epoch>,
    touched: Vec<bool>,
    nonfinite_steps: u64,
}

/// Where a search stands, beside its buffers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    /// See [`Hooks::key`].
    key: String,
    training: Training,
    archive: Vec<Entry>,
    /// Genes of what is to be evaluated, the next one first.
    pending: Vec<Genome>,
    /// The round that is being evaluated.
    proposal: Option<Proposal>,
    rounds: Vec<Round>,
    /// The first of `pending`, if it is being evaluated.
    candidate: Option<Kept>,
}

/// A supernet and, if it is trained here, its optimiser.
struct Shared {
    supernet: Supernet,
    sgd: Option<Sgd>,
    /// The epoch's shuffled images; made when needed.
    order: Option<Vec<u32>>,
}

struct Search<'a> {
    inputs: &'a Inputs<'a>,
    shape: SupernetShape,
    /// None if accuracies are known.
    shared: Option<Shared>,
    candidate: Option<Candidate>,
    /// What ended the search early.
    failed: Option<NsganetError>,
    at: At,
}

impl<'a> Search<'a> {
    fn new(inputs: &'a Inputs<'a>, key: &str) -> Result<Self, NsganetError> {
        let (data, config) = (inputs.data, inputs.config);
        let [_, c, h, w] = data.train.images.shape;
        let shape = SupernetShape {
            channels: config.channels,
            cells: config.cells,
            classes: data.classes,
            input: [c, h, w],
        };
        if !matches!(inputs.accuracy, Accuracy::Known(_)) {
            for (name, images, least) in [("train", &data.train, 2), ("valid", &data.valid, 1)] {
                if images.len() < least {
                    return Err(NsganetError::Images(name));
                }
            }
        }
        let new = || {
            let key = (inputs.seed, "nsganet/supernet");
            Supernet::new(inputs.space, shape, config.kernel_matrices, key)
        };
        let shared = match inputs.accuracy {
            Accuracy::Known(_) => None,
            Accuracy::Trained => {
                let (supernet, net) = (new()?, &config.supernet);
                let (momentum, decay) = (net.momentum as f32, net.weight_decay as f32);
                let mut sgd = Sgd::new(&supernet.state().params, momentum, decay, false);
                sgd.nesterov = false;
                Some((supernet, Some(sgd)))
            }
            Accuracy::Inherited(given) => {
                let found = (given.space(), given.shape().input[0]);
                if found != (inputs.space, c) {
                    let text = |(space, channels): (&GeneSpace, usize)| {
                        format!("{space:?} and images of {channels} channels")
                    };
                    return Err(NsganetError::Supernet {
                        found: text(found),
                        expected: text((inputs.space, c)),
                    });
                }
                let key = (inputs.seed, "nsganet/supernet");
                Some((given.with_classes(data.classes, key)?, None))
            }
        };
        let pending = archive::initial(inputs.space, config.initial, inputs.seed)?;
        let search = Self {
            inputs,
            // That of an inherited supernet is its own.
            shape: shared.as_ref().map_or(shape, |(net, _)| net.shape()),
            shared: shared.map(|(supernet, sgd)| Shared {
                supernet,
                sgd,
                order: None,
            }),
            candidate: None,
            failed: None,
            at: At {
                key: key.to_owned(),
                pending,
                ..At::default()
            },
        };
        // What cannot be built is to be known before anything is trained.
        for genes in search.at.pending.iter().take(2) {
            let architecture = inputs.space.decode(genes)?;
            search.macs(&architecture)?;
            if let Some(shared) = &search.shared {
                shared.supernet.subnet(&architecture)?;
            }
        }
        Ok(search)
    }

    fn macs(&self, architecture: &Architecture) -> Result<f64, NsganetError> {
        let counts = self.inputs.space.counts(architecture, self.shape)?;
        Ok(counts.macs as f64 / 1e6)
    }

    fn trained(&self) -> bool {
        let epochs = self.at.training.epochs.len();
        let trained_here = self.shared.as_ref().is_some_and(|s| s.sgd.is_some());
        !trained_here || epochs >= self.inputs.config.supernet.epochs
    }

    /// The subnets of a training step: the largest, the smallest, and random ones.
    fn sandwich(&self, key: [u64; 2]) -> Vec<Architecture> {
        let (space, sampled) = (self.inputs.space, self.inputs.config.supernet.sampled);
        let mut rng = stream(self.inputs.seed, "nsganet/sandwich", &key);
        let extremes = space.extremes().into_iter().flatten().rev();
        let random = (0..sampled).map(|_| space.random(&mut rng));
        extremes.chain(random).collect()
    }

    /// A step of the supernet's training.
    fn train(&mut self) -> Result<(), NsganetError> {
        let (inputs, net) = (self.inputs, &self.inputs.config.supernet);
        let (data, seed) = (inputs.data, inputs.seed);
        let steps = steps(data.train.len(), net.batch);
        let (epoch, i) = (self.at.training.epochs.len(), self.at.training.step);
        let key = [epoch as u64, i as u64];
        let subnets = self.sandwich(key);
        let Some(shared) = &mut self.shared else {
            return Ok(());
        };
        let order = shared.order.get_or_insert_with(|| {
            let mut rng = stream(seed, "shuffle/nsganet/supernet", &key[..1]);
            shuffled(data.train.len(), &mut rng)
        });
        let indices = &order[i * net.batch..((i + 1) * net.batch).min(order.len())];
        let mut rng = stream(seed, "augment/nsganet/supernet", &key);
        let augment = Some((inputs.augment, &mut rng));
        let batch = data.train.batch(indices, &data.normalise, augment);
        let draws = Draws {
            seed,
            network: "nsganet/supernet",
            step: (epoch * steps + i) as u64,
        };
        // Without a largest subnet there is nobody to learn from.
        let distil = net.distil && matches!(inputs.space, GeneSpace::Elastic(_));
        let supernet = &mut shared.supernet;
        let (gradients, step) =
            supernet.gradients(&subnets, &batch, draws, distil, &inputs.device)?;
        let lr = cosine(epoch, net.lr_max, net.lr_min, net.epochs);
        let scale = clip_scale(step.grad_norm, net.grad_clip as f32);
        if let Some(sgd) = &mut shared.sgd {
            let params = &mut supernet.state_mut().params;
            sgd.step(params, &gradients, lr as f32, scale);
        }
        let (at, n) = (&mut self.at.training, batch.labels.len());
        let loss = f64::from_bits(at.loss) + f64::from(step.loss) * n as f64;
        (at.loss, at.images) = (loss.to_bits(), at.images + n);
        at.wrong += step.wrong;
        at.nonfinite_steps += u64::from(!step.grad_norm.is_finite());
        at.step += 1;
        if at.step == steps {
            let images = at.images.max(1) as f64;
            at.epochs.push(Epoch {
                epoch,
                lr,
                loss: Some(loss / images).filter(|loss| loss.is_finite()),
                error: 100.0 * at.wrong as f64 / images,
            });
            (at.step, at.loss, at.wrong, at.images) = (0, 0, 0, 0);
            shared.order = None;
        }
        Ok(())
    }

    /// Puts the next architecture into the archive.
    fn archive(&mut self, accuracy: f64) -> Result<(), NsganetError> {
        let genes = self.at.pending.remove(0);
        let architecture = self.inputs.space.decode(&genes)?;
        self.at.archive.push(Entry {
            macs: self.macs(&architecture)?,
            genes,
            architecture,
            accuracy,
            round: self.at.rounds.len() + usize::from(self.at.proposal.is_some()),
        });
        Ok(())
    }

    /// Looks the accuracy of the next architecture up, or takes a step towards it.
    fn evaluate(&mut self, genes: &[usize]) -> Result<(), NsganetError> {
        let inputs = self.inputs;
        if let Some(candidate) = &mut self.candidate {
            candidate.advance(inputs);
            if candidate.done(inputs) {
                let accuracy = candidate.accuracy(inputs);
                self.candidate = None;
                self.archive(accuracy)?;
            }
            return Ok(());
        }
        let architecture = inputs.space.decode(genes)?;
        match (&self.shared, inputs.accuracy) {
            (Some(shared), _) => {
                let number = self.at.archive.len();
                let new = Candidate::new(&shared.supernet, &architecture, number, inputs);
                self.candidate = Some(new?);
            }
            (None, Accuracy::Known(known)) => {
                let found = known(&architecture);
                if !(0.0..=100.0).contains(&found) {
                    let architecture = architecture.to_string();
                    return Err(NsganetError::Accuracy {
                        architecture,
                        found,
                    });
                }
                self.archive(found)?;
            }
            (None, _) => unreachable!("without a supernet accuracies are known"),
        }
        Ok(())
    }

    /// The next small step, and what it was.
    fn step(&mut self) -> Result<String, NsganetError> {
        let config = self.inputs.config;
        if !self.trained() {
            self.train()?;
            let (epoch, all) = (self.at.training.epochs.len(), config.supernet.epochs);
            let mut message = format!("nsganetv2, supernet, {epoch}/{all} epochs done");
            if let Some(last) = self.at.training.epochs.last() {
                message += &format!(", training error {:.1} %", last.error);
            }
            return Ok(message);
        }
        if let Some(genes) = self.at.pending.first().cloned() {
            self.evaluate(&genes)?;
            let evaluated = self.at.archive.len();
            return Ok(format!("nsganetv2, {evaluated} architectures evaluated"));
        }
        let at = &mut self.at;
        let round = at.rounds.len() + 1;
        if let Some(proposal) = at.proposal.take() {
            let closed = proposal.close(&at.archive);
            let closed = closed.map_err(|source| NsganetError::Nsga { round, source })?;
            let message = format!(
                "nsganetv2, round {round}/{}, hypervolume {:.4}",
                config.rounds, closed.hypervolume
            );
            at.rounds.push(closed);
            return Ok(message);
        }
        let macs = |architecture: &Architecture| self.macs(architecture);
        let (space, key) = (self.inputs.space, (self.inputs.seed, round));
        let proposal = archive::propose(space, &self.at.archive, config, &macs, key)?;
        let genes = proposal.candidates.iter().map(|(genes, _)| genes.clone());
        self.at.pending = genes.collect();
        let message = format!("nsganetv2, round {round} uses {}", proposal.winner);
        self.at.proposal = Some(proposal);
        Ok(message)
    }

    /// The share of the work done: half is the supernet's, if it is trained, the rest the candidates'.
    fn share(&self) -> f64 {
        let (inputs, config) = (self.inputs, self.inputs.config);
        let all = (config.initial + config.rounds * config.candidates) as f64;
        let now = self.candidate.as_ref().map_or(0.0, |c| c.share(inputs));
        let evaluated = ((self.at.archive.len() as f64 + now) / all).min(1.0);
        if !matches!(inputs.accuracy, Accuracy::Trained) {
            return evaluated;
        }
        let (at, net) = (&self.at.training, &config.supernet);
        let steps = steps(inputs.data.train.len(), net.batch) as f64;
        let epochs = at.epochs.len() as f64 + at.step as f64 / steps;
        0.5 * epochs / net.epochs as f64 + 0.5 * evaluated
    }

    fn found(self) -> Result<Found, NsganetError> {
        let (at, choice) = (self.at, self.inputs.config.choice);
        let round = at.rounds.len();
        let place = archive::choose(&at.archive, choice);
        let place = place.map_err(|source| NsganetError::Nsga { round, source })?;
        Ok(Found {
            architecture: at.archive[place].architecture.clone(),
            place,
            archive: at.archive,
            rounds: at.rounds,
            epochs: at.training.epochs,
            nonfinite_steps: at.training.nonfinite_steps,
            supernet: self.shared.map(|shared| shared.supernet),
        })
    }
}

impl Machine for Search<'_> {
    type Header = At;

    fn done(&self) -> bool {
        let at = &self.at;
        let idle = at.pending.is_empty() && at.proposal.is_none();
        let searched = idle && at.rounds.len() >= self.inputs.config.rounds;
        self.failed.is_some() || (self.trained() && searched)
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        match self.step() {
            Ok(message) => progress(self.share(), &message),
            Err(failed) => self.failed = Some(failed),
        }
    }

    fn save(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let mut buffers: Vec<(&str, &[f32])> = Vec::new();
        if let Some(Shared {
            supernet,
            sgd: Some(sgd),
            ..
        }) = &self.shared
        {
            self.at.training.touched.clone_from(&sgd.touched);
            buffers.push(("supernet", &supernet.state().params.values));
            buffers.push(("velocity", &sgd.velocity));
        }
        self.at.candidate = self.candidate.as_ref().map(Candidate::kept);
        buffers.extend(self.candidate.iter().flat_map(Candidate::buffers));
        checkpoint::write(path, &self.at, &buffers)
    }

    fn resume(&mut self, mut at: At, mut buffers: Buffers) -> Result<(), String> {
        if at.key != self.at.key {
            return Err(format!("it belongs to {}, not to {}", at.key, self.at.key));
        }
        let (inputs, training) = (self.inputs, &at.training);
        let steps = candidate::steps(inputs.data.train.len(), inputs.config.supernet.batch);
        if training.step >= steps || training.epochs.len() > inputs.config.supernet.epochs {
            let (step, epochs) = (training.step, training.epochs.len());
            return Err(format!("step {step} after {epochs} epochs of a supernet"));
        }
        if let Some(Shared {
            supernet,
            sgd: Some(sgd),
            ..
        }) = &mut self.shared
        {
            let params = &mut supernet.state_mut().params;
            restore(&mut buffers, "supernet", &mut params.values)?;
            restore(&mut buffers, "velocity", &mut sgd.velocity)?;
            if training.touched.len() != sgd.touched.len() {
                return Err("another number of weights".into());
            }
            sgd.touched.clone_from(&training.touched);
        }
        if let Some(kept) = at.candidate.take() {
            let (Some(shared), Some(genes)) = (&self.shared, at.pending.first()) else {
                return Err("a candidate without a supernet or genes".into());
            };
            let architecture = inputs.space.decode(genes).map_err(|e| e.to_string())?;
            let number = at.archive.len();
            let new = Candidate::new(&shared.supernet, &architecture, number, inputs);
            let mut candidate = new.map_err(|e| e.to_string())?;
            candidate.resume(kept, &mut buffers, inputs)?;
            self.candidate = Some(candidate);
        }
        self.at = at;
        Ok(())
    }
}
