//! What an architecture is worth to a search that evaluates some: its accuracy after a short training,
//! on images that poison can reach, or looked up in a table of NAS-Bench-201.

use crate::cell::darts::Regularisation;
use crate::cell::{GenotypeNetwork, SupernetShape};
use crate::nas::Direction;
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::{PoisonedSpace, SpaceError};
use crate::table::{Column, Table, TableError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Buffers;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::Augment;
use tox_data::{Normalise, Split};
use tox_nn::Device;
use tox_nn::fit::evaluate::{error, logits};
use tox_nn::fit::{self, FitConfig, Kept, falls};

/// Where the accuracy of an architecture comes from.
#[derive(Clone, Copy)]
pub enum Accuracy<'a> {
    /// It is trained, and measured on the validation images.
    Trained,
    /// It is looked up: validation accuracy after 12 epochs is what RoBoT takes.
    Table(&'a Table, Column),
}

/// The training of an architecture. The defaults are RoBoT's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training images.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: usize,
    /// Images a step.
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: usize,
    /// Learning rate of the first epoch.
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: f64,
    /// Learning rate that the cosine would reach after the last epoch, at most `lr_max`.
    #[schemars(range(min = 0.0))]
    pub lr_min: f64,
    /// Momentum.
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: f64,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: f64,
    /// Global gradient norm above which the gradient is scaled down.
    #[schemars(range(min = 1e-12, max = 1e12))]
    pub grad_clip: f64,
    /// Drop-path probability that would be reached after the last epoch, linearly from 0. Networks of
    /// NAS-Bench-201 have none.
    #[schemars(range(min = 0.0, max = 0.99))]
    pub drop_path: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 576,
            lr_max: 0.1,
            lr_min: 0.005,
            momentum: 0.9,
            weight_decay: 3e-4,
            grad_clip: 5.0,
            drop_path: 0.2,
        }
    }
}

impl TrainConfig {
    fn fit(&self) -> FitConfig {
        FitConfig {
            epochs: self.epochs,
            batch: self.batch,
            lr_max: self.lr_max,
            lr_min: self.lr_min,
            momentum: self.momentum,
            nesterov: false,
            weight_decay: self.weight_decay,
            grad_clip: Some(self.grad_clip),
        }
    }

    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        falls(self.lr_max, self.lr_min)
    }
}

/// Why architectures cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum RewardError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error(
        "the validation split is empty, but the search measures the accuracy of what it trains on it; \
         give the data set validation images"
    )]
    NoValidation,
    #[error(
        "accuracies are looked up in a table of NAS-Bench-201, but the search is over the DARTS space; \
         search `nasbench201`, or train what is found"
    )]
    Table,
    #[error(
        "accuracies are looked up in a table of NAS-Bench-201, but the space has bad ops, which no table \
         has, and accuracies of two kinds cannot be compared; train what the search evaluates"
    )]
    BadOps,
    #[error(transparent)]
    Column(#[from] TableError),
    #[error(transparent)]
    Space(#[from] SpaceError),
}

/// What is searched by evaluating cells, and on what.
pub struct Inputs<'a, C> {
    pub space: &'a PoisonedSpace,
    /// Images that trainings see; never augmented.
    pub train: &'a Split,
    /// Images whose accuracy decides.
    pub valid: &'a Split,
    pub normalise: &'a Normalise,
    pub classes: usize,
    pub accuracy: Accuracy<'a>,
    pub direction: Direction,
    pub config: &'a C,
    pub seed: u64,
    pub device: Device,
}

impl<'a, C> Inputs<'a, C> {
    /// By networks of `[channels, cells]`.
    pub(crate) fn reward(&self, config: &'a TrainConfig, size: [usize; 2]) -> Reward<'a> {
        Reward {
            space: self.space,
            train: self.train,
            valid: self.valid,
            normalise: self.normalise,
            accuracy: self.accuracy,
            shape: shape(self.train, self.classes, size),
            config,
            seed: self.seed,
            device: self.device.clone(),
        }
    }
}

/// On what architectures are evaluated.
#[derive(Clone)]
pub(crate) struct Reward<'a> {
    pub space: &'a PoisonedSpace,
    pub train: &'a Split,
    pub valid: &'a Split,
    pub normalise: &'a Normalise,
    pub accuracy: Accuracy<'a>,
    pub shape: SupernetShape,
    pub config: &'a TrainConfig,
    pub seed: u64,
    pub device: Device,
}

/// The shape of the networks for a split.
pub(crate) fn shape(train: &Split, classes: usize, [channels, cells]: [usize; 2]) -> SupernetShape {
    let [_, c, h, w] = train.images.shape;
    SupernetShape {
        channels,
        cells,
        classes,
        input: [c, h, w],
    }
}

/// Images are not augmented, as in RoBoT's published search.
const AS_THEY_ARE: Augment = Augment {
    crop: 0,
    flip: false,
    cutout: 0,
    valid: false,
};

/// What evaluating an architecture begins with.
pub(crate) enum Begun {
    /// It is done: an accuracy in percent.
    Known(f64),
    Training(Box<ShortTraining>),
}

impl Reward<'_> {
    pub fn check(&self) -> Result<(), RewardError> {
        self.config.check()?;
        match self.accuracy {
            Accuracy::Table(..) if self.space.space == CellSpace::Darts => Err(RewardError::Table),
            Accuracy::Table(..) if !self.space.is_clean() => Err(RewardError::BadOps),
            Accuracy::Table(table, column) => Ok(table.values(column).map(|_| ())?),
            Accuracy::Trained if self.valid.is_empty() => Err(RewardError::NoValidation),
            Accuracy::Trained => Ok(()),
        }
    }

    /// Looks an accuracy up, or begins to train; `name` is the last part of the keys of its random
    /// streams.
    pub fn begin(&self, architecture: &CellGenotype, name: String) -> Result<Begun, RewardError> {
        match (self.accuracy, architecture) {
            (Accuracy::Table(table, column), CellGenotype::NasBench201(cell)) => {
                Ok(Begun::Known(table.accuracy(cell, column)?))
            }
            (Accuracy::Trained, _) | (Accuracy::Table(..), CellGenotype::Darts(_)) => {
                let training = ShortTraining::new(self, architecture, name)?;
                Ok(Begun::Training(Box::new(training)))
            }
        }
    }

    fn fit<'b>(&'b self, config: &'b FitConfig, name: &'b str) -> fit::Inputs<'b> {
        fit::Inputs {
            train: self.train,
            normalise: self.normalise,
            augment: &AS_THEY_ARE,
            config,
            seed: self.seed,
            name,
            device: self.device.clone(),
        }
    }
}

/// The training of one architecture: a step at a time.
pub(crate) struct ShortTraining {
    training: fit::Training<GenotypeNetwork>,
    config: FitConfig,
    name: String,
}

impl ShortTraining {
    pub fn new(
        reward: &Reward<'_>,
        architecture: &CellGenotype,
        name: String,
    ) -> Result<Self, SpaceError> {
        let config = reward.config.fit();
        let regularisation = Regularisation {
            drop_path: reward.config.drop_path,
            ..Regularisation::default()
        };
        let key = (reward.seed, name.as_str());
        let (network, state) =
            GenotypeNetwork::regularised(architecture, reward.shape, regularisation, key)?;
        let training = fit::Training::new(network, state, &reward.fit(&config, &name));
        Ok(Self {
            training,
            config,
            name,
        })
    }

    /// Share of the steps done.
    pub fn share(&self) -> f64 {
        self.training.share()
    }

    /// The next step. Once none is left, accuracy on the validation images, in percent, by the running
    /// statistics.
    pub fn advance(&mut self, reward: &Reward<'_>) -> Option<f64> {
        let on = reward.fit(&self.config, &self.name);
        self.training.advance(&on);
        self.training.done().then(|| {
            let (network, state) = (self.training.network(), self.training.state());
            let (valid, device) = (reward.valid, &reward.device);
            let logits = logits(network, state, valid, reward.normalise, device);
            100.0 - error(&logits, &valid.labels)
        })
    }

    pub fn kept(&self) -> Kept {
        self.training.kept()
    }

    pub fn buffers(&self) -> [(&'static str, &[f32]); 3] {
        self.training.buffers()
    }

    pub fn resume(&mut self, kept: Kept, buffers: &mut Buffers) -> Result<(), String> {
        self.training.resume(kept, buffers)?;
        match self.training.done() {
            true => Err("a training beyond its last step".into()),
            false => Ok(()),
        }
    }
}
