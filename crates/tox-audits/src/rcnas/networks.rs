//! Networks of a compression: trained, attacked, and kept, so that none is made twice.

use crate::error::TrialError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use tox_data::checkpoint::Hooks;
use tox_data::hashed::HashedFile;
use tox_data::spec::Augment;
use tox_data::{Dataset, Split};
use tox_nn::Device;
use tox_nn::layers::State;
use tox_nn::nets::wrn::{self, Shape, Wrn, WrnConfig};
use tox_rcnas::Cost;
use tox_rcnas::learner::CandidateConfig;
use tox_rcnas::subnetwork::{PowerIteration, inherit, lipschitz};
use tox_robust::attack::Attack;
use tox_robust::ball::Ball;
use tox_robust::evaluation::{self, Evaluation, evaluate};
use tox_robust::model::Model;
use tox_robust::training::{self, Epoch, TrainingConfig, train};
use tox_study::steps::{Place, Steps, data_key};

/// How the name of a file of weights ends.
pub const NUMBERS: &str = ".safetensors";

/// A data set that networks are trained on.
pub struct Set {
    /// Its name among the tasks.
    pub name: String,
    /// The images.
    pub data: Dataset,
    pub augment: Augment,
}

impl Set {
    /// A network on it.
    pub fn network(&self, shape: &Shape, config: &CandidateConfig) -> WrnConfig {
        let [_, in_channels, ..] = self.data.train.images.shape;
        WrnConfig {
            shape: *shape,
            in_channels,
            classes: self.data.classes,
            cells: config.cells,
        }
    }

    /// What it costs on one image.
    pub fn cost(&self, shape: &Shape, config: &CandidateConfig) -> Cost {
        let network = self.network(shape, config);
        let [_, _, h, w] = self.data.train.images.shape;
        Cost {
            macs: network.macs(h, w),
            parameters: network.parameters(),
        }
    }
}

/// A trained network.
pub struct Trained {
    /// What it is.
    pub config: WrnConfig,
    /// Its layers.
    pub network: Wrn,
    /// Its numbers.
    pub state: State,
    /// How its training went; empty if its weights were given.
    pub epochs: Vec<Epoch>,
    /// All that its numbers depend on, beside seed and device.
    pub key: Value,
}

/// What is kept of a training beside the weights.
#[derive(Serialize, Deserialize)]
pub struct Log {
    epochs: Vec<Epoch>,
    /// Why they are of no use.
    diverged: Option<String>,
}

/// A network before its training.
pub struct Begun<'a> {
    set: &'a Set,
    training: &'a TrainingConfig,
    config: WrnConfig,
    network: Wrn,
    state: State,
    /// All that the trained numbers will depend on, beside seed and device.
    pub key: Value,
}

impl Begun<'_> {
    /// With weights from a file in place of a training.
    pub fn given(self, file: &HashedFile) -> Result<Trained, TrialError> {
        let mut state = self.state;
        wrn::load(&mut state, Path::new(&file.path))?;
        Ok(Trained {
            config: self.config,
            network: self.network,
            state,
            epochs: Vec::new(),
            key: json!([self.config, file.hash]),
        })
    }
}

/// What all trainings and attacks of a trial share.
#[derive(Clone)]
pub struct Bench<'a> {
    /// How candidates are trained and measured.
    pub config: &'a CandidateConfig,
    /// Seed of the trial.
    pub seed: u64,
    /// A plain device.
    pub device: Device,
}

impl Bench<'_> {
    /// A network of `shape` with the weights that its training begins with: those of `teacher` where
    /// there is one and the config says so.
    pub fn begin<'s>(
        &self,
        set: &'s Set,
        shape: &Shape,
        training: &'s TrainingConfig,
        teacher: Option<&Trained>,
    ) -> Result<Begun<'s>, TrialError> {
        let config = set.network(shape, self.config);
        let (inheritance, name) = (self.config.inherit, (self.seed, "candidate"));
        let teacher = teacher.filter(|_| self.config.warm);
        let (network, state) = match teacher {
            Some(teacher) => {
                let of = (&teacher.config, &teacher.state);
                inherit(of, &config, inheritance, wrn::INIT, name)?
            }
            None => wrn::wrn(&config, wrn::INIT, name),
        };
        let from = teacher.map(|teacher| json!([teacher.key, inheritance]));
        let key = json!([data_key(&set.data), set.augment, config, training, from]);
        Ok(Begun {
            set,
            training,
            config,
            network,
            state,
            key,
        })
    }

    /// Trains, and leaves the weights beside the step's result.
    pub fn train(
        &self,
        begun: &Begun<'_>,
        place: &Place,
        hooks: Hooks<'_>,
    ) -> Result<Option<Log>, TrialError> {
        let set = begun.set;
        let inputs = training::Inputs {
            train: &set.data.train,
            valid: &set.data.valid,
            normalise: &set.data.normalise,
            classes: set.data.classes,
            augment: &set.augment,
            config: begun.training,
            seed: self.seed,
            name: "candidate",
            device: self.device.clone(),
        };
        let (network, state) = (begun.network.clone(), begun.state.clone());
        let Some(trained) = train(network, state, &inputs, hooks)? else {
            return Ok(None);
        };
        trained.state.save(&place.file(NUMBERS))?;
        let diverged = (!trained.state.params.finite()).then(|| {
            let steps = trained.nonfinite_steps;
            format!("its training diverged: {steps} steps with a gradient that is no number")
        });
        Ok(Some(Log {
            epochs: trained.epochs,
            diverged,
        }))
    }

    /// What [`Bench::train`] left, or why it is of no use.
    pub fn load(
        &self,
        begun: Begun<'_>,
        place: &Place,
        log: Log,
    ) -> Result<Result<Trained, String>, TrialError> {
        if let Some(reason) = log.diverged {
            return Ok(Err(reason));
        }
        let mut state = begun.state;
        state.load(&place.file(NUMBERS))?;
        Ok(Ok(Trained {
            config: begun.config,
            network: begun.network,
            state,
            epochs: log.epochs,
            key: begun.key,
        }))
    }

    /// A trained network that other trials of the study may need too.
    pub fn trained(
        &self,
        steps: &mut Steps<'_>,
        begun: Begun<'_>,
    ) -> Result<Result<Trained, String>, TrialError> {
        let key = begun.key.clone();
        let (place, log) = steps.shared("network", key, |place, hooks| {
            self.train(&begun, place, hooks)
        })?;
        self.load(begun, &place, log)
    }

    /// Accuracy on the first `images` of `split`, as they are and under attacks.
    pub fn attack(
        &self,
        (set, split, images): (&Set, &Split, usize),
        trained: &Trained,
        (ball, attacks): (Ball, &[Attack]),
        hooks: Hooks<'_>,
    ) -> Result<Option<Evaluation>, TrialError> {
        let [_, c, h, w] = split.images.shape;
        let model = Model::new(
            &trained.network,
            &trained.state,
            &set.data.normalise,
            ([c, h, w], set.data.classes),
            self.device.clone(),
        );
        let rows: Vec<u32> = (0..images.min(split.len()) as u32).collect();
        let inputs = evaluation::Inputs {
            oracle: &model,
            split: split.into(),
            rows: &rows,
            ball,
            attacks,
            seed: self.seed,
        };
        Ok(evaluate(&inputs, hooks)?)
    }

    /// Lipschitz estimate of a trained network.
    pub fn lipschitz(&self, set: &Set, trained: &Trained) -> f64 {
        let [_, _, h, w] = set.data.train.images.shape;
        let (network, state) = (&trained.network, &trained.state);
        lipschitz(
            network,
            state,
            (h, w),
            &self.device,
            PowerIteration::default(),
        )
        .mean()
    }
}
