//! The search: train the supernet, evaluate the first architectures, then rounds. A machine of small
//! steps, so that it can stop and go on anywhere.

use super::archive::{self, Entry, Proposal, Round};
use super::candidate::{Candidate, Kept};
use super::found::Found;
use super::inputs::{Accuracy, Inputs, NsganetError};
use super::supernet::Supernet;
use super::training::{self, Training};
use crate::cell::SupernetShape;
use crate::genes::{Architecture, GeneSpace};
use crate::nsga::Genome;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};

/// Runs or resumes a search. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// A config, images or a supernet that cannot be used, no predictor that can be fitted, a checkpoint
/// that cannot be read or written.
pub fn run(inputs: &Inputs<'_>, mut hooks: Hooks<'_>) -> Result<Option<Found>, NsganetError> {
    inputs.config.check()?;
    if let GeneSpace::Cell(space) = inputs.space {
        space.check()?;
    }
    let mut search = Search::new(inputs)?;
    let done = checkpoint::drive(&mut search, &mut hooks)?;
    match search.failed.take() {
        Some(failed) => Err(failed),
        None if done => search.found().map(Some),
        None => Ok(None),
    }
}

/// Where a search stands, beside its buffers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    training: Option<training::Kept>,
    archive: Vec<Entry>,
    /// Genes of what is to be evaluated, the next one first.
    pending: Vec<Genome>,
    /// The round that is being evaluated.
    proposal: Option<Proposal>,
    rounds: Vec<Round>,
    /// The first of `pending`, if it is being evaluated.
    candidate: Option<Kept>,
}

struct Search<'a> {
    inputs: &'a Inputs<'a>,
    shape: SupernetShape,
    /// None if accuracies are known.
    training: Option<Training>,
    candidate: Option<Candidate>,
    /// What ended the search early.
    failed: Option<NsganetError>,
    at: At,
}

impl<'a> Search<'a> {
    fn new(inputs: &'a Inputs<'a>) -> Result<Self, NsganetError> {
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
        let key_of_weights = (inputs.seed, "nsganet/supernet");
        let training = match inputs.accuracy {
            Accuracy::Known(_) => None,
            Accuracy::Trained => {
                let matrices = config.kernel_matrices;
                let supernet = Supernet::new(inputs.space, shape, matrices, key_of_weights)?;
                Some(Training::new(supernet, inputs))
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
                let supernet = given.with_classes(data.classes, key_of_weights)?;
                Some(Training::elsewhere(supernet))
            }
        };
        let pending = archive::initial(inputs.space, config.initial, inputs.seed)?;
        let search = Self {
            inputs,
            // That of an inherited supernet is its own.
            shape: training.as_ref().map_or(shape, |t| t.supernet.shape()),
            training,
            candidate: None,
            failed: None,
            at: At {
                pending,
                ..At::default()
            },
        };
        // What cannot be built is to be known before anything is trained.
        for genes in search.at.pending.iter().take(2) {
            let architecture = inputs.space.decode(genes)?;
            search.macs(&architecture)?;
            if let Some(training) = &search.training {
                training.supernet.subnet(&architecture)?;
            }
        }
        Ok(search)
    }

    fn macs(&self, architecture: &Architecture) -> Result<f64, NsganetError> {
        let counts = self.inputs.space.counts(architecture, self.shape)?;
        Ok(counts.macs as f64 / 1e6)
    }

    fn trained(&self) -> bool {
        let training = self.training.as_ref();
        training.is_none_or(Training::done)
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
            if candidate.done() {
                let accuracy = candidate.accuracy(inputs);
                self.candidate = None;
                self.archive(accuracy)?;
            }
            return Ok(());
        }
        let architecture = inputs.space.decode(genes)?;
        match (&self.training, inputs.accuracy) {
            (Some(training), _) => {
                let number = self.at.archive.len();
                let new = Candidate::new(&training.supernet, &architecture, number, inputs);
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
        if let Some(training) = &mut self.training
            && !training.done()
        {
            training.advance(self.inputs)?;
            return Ok(training.message());
        }
        if let Some(genes) = self.at.pending.first().cloned() {
            self.evaluate(&genes)?;
            let evaluated = self.at.archive.len();
            return Ok(format!("nsganetv2, {evaluated} architectures evaluated"));
        }
        let at = &mut self.at;
        let round = at.rounds.len() + 1;
        if let Some(proposal) = at.proposal.take() {
            let closed = proposal.close(&at.archive, self.inputs.direction);
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
        let how = (config, self.inputs.direction);
        let proposal = archive::propose(space, &self.at.archive, how, &macs, key)?;
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
        let now = self.candidate.as_ref().map_or(0.0, Candidate::share);
        let evaluated = ((self.at.archive.len() as f64 + now) / all).min(1.0);
        match (&self.training, inputs.accuracy) {
            (Some(training), Accuracy::Trained) => 0.5 * training.share() + 0.5 * evaluated,
            _ => evaluated,
        }
    }

    fn found(self) -> Result<Found, NsganetError> {
        let (at, choice) = (self.at, (self.inputs.config.choice, self.inputs.direction));
        let round = at.rounds.len();
        let place = archive::choose(&at.archive, choice);
        let place = place.map_err(|source| NsganetError::Nsga { round, source })?;
        let (supernet, trained) = match self.training.map(Training::finish) {
            Some((supernet, trained)) => (Some(supernet), trained),
            None => (None, training::Kept::default()),
        };
        Ok(Found {
            architecture: at.archive[place].architecture.clone(),
            place,
            archive: at.archive,
            rounds: at.rounds,
            epochs: trained.epochs,
            nonfinite_steps: trained.nonfinite_steps,
            supernet,
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

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        self.at.training = self.training.as_ref().map(Training::kept);
        let mut buffers: Vec<(&str, &[f32])> = Vec::new();
        buffers.extend(self.training.iter().flat_map(Training::buffers));
        self.at.candidate = self.candidate.as_ref().map(Candidate::kept);
        buffers.extend(self.candidate.iter().flat_map(Candidate::buffers));
        slot.write(&self.at, &buffers)
    }

    fn resume(&mut self, mut at: At, mut buffers: Buffers) -> Result<(), String> {
        let inputs = self.inputs;
        match (&mut self.training, at.training.take()) {
            (Some(training), Some(kept)) => training.resume(kept, &mut buffers)?,
            (None, None) => {}
            _ => return Err("with a supernet where there is none, or without one".into()),
        }
        if let Some(kept) = at.candidate.take() {
            let (Some(training), Some(genes)) = (&self.training, at.pending.first()) else {
                return Err("a candidate without a supernet or genes".into());
            };
            let architecture = inputs.space.decode(genes).map_err(|e| e.to_string())?;
            let number = at.archive.len();
            let new = Candidate::new(&training.supernet, &architecture, number, inputs);
            let mut candidate = new.map_err(|e| e.to_string())?;
            candidate.resume(kept, &mut buffers)?;
            self.candidate = Some(candidate);
        }
        self.at = at;
        Ok(())
    }
}
