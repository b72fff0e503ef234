//! Draws architectures, and trains them if they are several.

use super::config::{RandomConfig, RandomError};
use crate::reward::{self, Begun, Reward, RewardError, ShortTraining};
use crate::space::PoisonedSpace;
use crate::space::cells::CellGenotype;
use crate::space::darts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};
use tox_data::rng::stream;
use tox_nn::fit::Kept;

/// What is searched, and on what.
pub type Inputs<'a> = reward::Inputs<'a, RandomConfig>;

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub genotype: CellGenotype,
    /// Its accuracy in percent; `None` of a single draw.
    pub accuracy: Option<f64>,
    /// The architectures in the order drawn, with their accuracies; empty of a single draw.
    pub evaluated: Vec<(CellGenotype, f64)>,
}

/// Draws for every architecture that is wanted, after which a poisoned space gives no more.
const TRIES: u64 = 100;

/// The first `count` different architectures of a seed; so many begin with the fewer. They may be fewer
/// where copies of bad ops are nearly all that is drawn.
pub fn draw(
    space: impl Into<PoisonedSpace>,
    count: usize,
    inputs: darts::Inputs,
    seed: u64,
) -> Vec<CellGenotype> {
    let space = space.into();
    let tries = match space.is_clean() {
        true => u64::MAX,
        false => TRIES * count as u64,
    };
    let mut seen = BTreeSet::new();
    let all = (0..tries).map(|i| space.random(&mut stream(seed, "random", &[i]), inputs));
    all.filter(|architecture| seen.insert(*architecture))
        .take(count)
        .collect()
}

/// Searches, or goes on from a checkpoint. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// When a number is out of range, data, table or networks will not do, or the checkpoint fails.
pub fn run(inputs: &Inputs<'_>, mut hooks: Hooks<'_>) -> Result<Option<Found>, RandomError> {
    let config = inputs.config;
    config.check(inputs.space.space)?;
    inputs.space.check().map_err(RewardError::from)?;
    let drawn = draw(inputs.space, config.draws, config.inputs, inputs.seed);
    if let [genotype] = drawn[..] {
        return Ok(Some(Found {
            genotype,
            accuracy: None,
            evaluated: Vec::new(),
        }));
    }
    let size = [config.channels, config.cells];
    let reward = inputs.reward(&config.train, size);
    reward.check()?;
    let mut search = Search {
        reward,
        drawn,
        training: None,
        failed: None,
        at: At {
            accuracies: Vec::new(),
            training: None,
        },
    };
    let done = checkpoint::drive(&mut search, &mut hooks)?;
    match search.failed.take() {
        Some(failed) => Err(failed.into()),
        None => Ok(done.then(|| search.found())),
    }
}

/// Where a search stands, beside the buffers of the training.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    accuracies: Vec<f64>,
    training: Option<Kept>,
}

struct Search<'a> {
    reward: Reward<'a>,
    drawn: Vec<CellGenotype>,
    training: Option<ShortTraining>,
    /// What ended the search early.
    failed: Option<RewardError>,
    at: At,
}

/// Of the training of an architecture, for its random streams.
fn name(place: usize) -> String {
    format!("random/train/{place}")
}

impl Search<'_> {
    /// The next small step.
    fn step(&mut self) -> Result<(), RewardError> {
        let place = self.at.accuracies.len();
        let accuracy = match &mut self.training {
            Some(training) => training.advance(&self.reward),
            None => match self.reward.begin(&self.drawn[place], name(place))? {
                Begun::Known(accuracy) => Some(accuracy),
                Begun::Training(training) => {
                    self.training = Some(*training);
                    None
                }
            },
        };
        if let Some(accuracy) = accuracy {
            self.at.accuracies.push(accuracy);
            self.training = None;
        }
        Ok(())
    }

    fn found(self) -> Found {
        let evaluated: Vec<_> = self.drawn.into_iter().zip(self.at.accuracies).collect();
        let first = evaluated[0];
        let (genotype, accuracy) =
            evaluated.iter().fold(
                first,
                |best, next| if next.1 > best.1 { *next } else { best },
            );
        Found {
            genotype,
            accuracy: Some(accuracy),
            evaluated,
        }
    }
}

impl Machine for Search<'_> {
    type Header = At;

    fn done(&self) -> bool {
        self.failed.is_some() || self.at.accuracies.len() == self.drawn.len()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        if let Err(failed) = self.step() {
            self.failed = Some(failed);
            return;
        }
        let (done, all) = (self.at.accuracies.len(), self.drawn.len());
        let now = self.training.as_ref().map_or(0.0, |t| t.share());
        let message = format!("random search, {done}/{all} architectures evaluated");
        progress((done as f64 + now) / all as f64, &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        let training = self.training.as_ref();
        self.at.training = training.map(ShortTraining::kept);
        let buffers = training.map(ShortTraining::buffers);
        slot.write(&self.at, buffers.as_ref().map_or(&[], |b| &b[..]))
    }

    fn resume(&mut self, mut at: At, mut buffers: Buffers) -> Result<(), String> {
        let (place, all) = (at.accuracies.len(), self.drawn.len());
        if place >= all {
            return Err(format!("{place} of {all} architectures evaluated"));
        }
        if let Some(kept) = at.training.take() {
            let training = ShortTraining::new(&self.reward, &self.drawn[place], name(place));
            let mut training = training.map_err(|e| e.to_string())?;
            training.resume(kept, &mut buffers)?;
            self.training = Some(training);
        }
        self.at = at;
        Ok(())
    }
}
