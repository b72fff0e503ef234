//! Random architectures of the cell spaces, and random search.
//!
//! One architecture, drawn and not looked at, is the data-poisoning study's control: what a search is
//! worth beside it is what the search gains, and what poison can take. The most accurate of several is
//! random search: with as many short trainings as a search has, it costs the same. Where accuracies are
//! looked up, [`crate::table::Table::random_search`] gives what it finds on average, exactly.

use crate::reward::{Accuracy, Begun, Reward, RewardError, ShortTraining, TrainConfig, shape};
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::darts;
use crate::space::nasbench201::CELLS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};
use tox_data::rng::stream;
use tox_data::{Normalise, Split};
use tox_nn::Device;
use tox_nn::fit::Kept;

/// The numbers of a random search. The defaults are the study's control.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomConfig {
    /// Different architectures that are drawn, at least one, and of NAS-Bench-201 at most 15,625. Of
    /// one nothing is measured; of several the most accurate is the result.
    pub draws: usize,
    /// How the two inputs of a node are drawn, in the DARTS space.
    pub inputs: darts::Inputs,
    /// Channels of the networks that are trained.
    pub channels: usize,
    /// Their cells; a stage's in NAS-Bench-201.
    pub cells: usize,
    /// Training of an architecture, whose validation accuracy decides.
    pub train: TrainConfig,
}

impl Default for RandomConfig {
    fn default() -> Self {
        Self {
            draws: 1,
            inputs: darts::Inputs::default(),
            channels: 16,
            cells: 5,
            train: TrainConfig::default(),
        }
    }
}

/// Why a search could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RandomError {
    /// A number out of range.
    #[error("`{key}` = {found} is out of range for a random search: expected 1 to {high}")]
    Range {
        /// Key in the config.
        key: &'static str,
        /// What was found.
        found: usize,
        /// Most that would do.
        high: usize,
    },
    /// Architectures cannot be evaluated.
    #[error(transparent)]
    Reward(#[from] RewardError),
    /// The checkpoint failed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl RandomConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// The first number that is out of its range.
    pub fn check(&self, space: CellSpace) -> Result<(), RandomError> {
        let draws = match space {
            CellSpace::Darts => 100_000,
            CellSpace::NasBench201 => CELLS,
        };
        for (key, found, high) in [
            ("draws", self.draws, draws),
            ("channels", self.channels, 4096),
            ("cells", self.cells, 4096),
        ] {
            if !(1..=high).contains(&found) {
                return Err(RandomError::Range { key, found, high });
            }
        }
        Ok(self.train.check()?)
    }
}

/// What is searched, and on what.
pub struct Inputs<'a> {
    /// The space.
    pub space: CellSpace,
    /// Images that trainings see; never augmented.
    pub train: &'a Split,
    /// Images whose accuracy decides.
    pub valid: &'a Split,
    /// Their normalisation.
    pub normalise: &'a Normalise,
    /// Number of classes.
    pub classes: usize,
    /// Where accuracies come from.
    pub accuracy: Accuracy<'a>,
    /// Every number.
    pub config: &'a RandomConfig,
    /// Seed of all random streams.
    pub seed: u64,
    /// Where networks run.
    pub device: Device,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The result: the first of the most accurate.
    pub genotype: CellGenotype,
    /// Its accuracy in percent; `None` of a single draw.
    pub accuracy: Option<f64>,
    /// The architectures in the order drawn, with their accuracies; empty of a single draw.
    pub evaluated: Vec<(CellGenotype, f64)>,
}

/// The first `count` different architectures of a seed; so many begin with the fewer.
pub fn draw(space: CellSpace, count: usize, inputs: darts::Inputs, seed: u64) -> Vec<CellGenotype> {
    let mut seen = BTreeSet::new();
    let all = (0u64..).map(|i| space.random(&mut stream(seed, "random", &[i]), inputs));
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
    config.check(inputs.space)?;
    let drawn = draw(inputs.space, config.draws, config.inputs, inputs.seed);
    if let [genotype] = drawn[..] {
        return Ok(Some(Found {
            genotype,
            accuracy: None,
            evaluated: Vec::new(),
        }));
    }
    let size = [config.channels, config.cells];
    let reward = Reward {
        space: inputs.space,
        train: inputs.train,
        valid: inputs.valid,
        normalise: inputs.normalise,
        accuracy: inputs.accuracy,
        shape: shape(inputs.train, inputs.classes, size),
        config: &config.train,
        seed: inputs.seed,
        device: inputs.device.clone(),
    };
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
    /// Of the first architectures.
    accuracies: Vec<f64>,
    /// Of the next.
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
        let now = self
            .training
            .as_ref()
            .map_or(0.0, |t| t.share(&self.reward));
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
            training.resume(kept, &mut buffers, &self.reward)?;
            self.training = Some(training);
        }
        self.at = at;
        Ok(())
    }
}
