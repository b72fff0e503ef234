//! Runs the search that a config names.

use super::config::{NasConfig, SearchKind, SupernetFile};
use crate::cell::SupernetShape;
use crate::config::ConfigError;
use crate::genes::Architecture;
use crate::nsganet::archive::{Entry, Round};
use crate::nsganet::{self, NsganetError, Subnet, Supernet};
use crate::pdarts;
use crate::pdarts::learner::Learner;
use crate::random::{self, RandomError};
use crate::reward::Accuracy;
use crate::robot::{self, RobotError};
use crate::space::SpaceError;
use crate::space::cells::{CellGenotype, CellSpace};
use crate::tenas::{self, TenasError};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::Epoch;
use tox_nn::layers::{State, WeightsError};

/// What is searched on.
pub struct Inputs<'a> {
    /// The images, poisoned or not. Weights learn from the training split; alphas, and accuracies
    /// that a search goes by, are of the validation split. Test images are not looked at.
    pub data: &'a Dataset,
    /// What happens to batches, of searches that augment (P-DARTS, and TE-NAS' kernel).
    pub augment: &'a Augment,
    /// Every number.
    pub config: &'a NasConfig,
    /// Seed of all random streams.
    pub seed: u64,
    /// Where networks run.
    pub device: Device,
}

/// How a search went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "search", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trace {
    /// See [`pdarts`].
    PDarts {
        /// One entry an epoch, stage after stage.
        epochs: Vec<pdarts::found::Epoch>,
        /// One entry a stage.
        stages: Vec<pdarts::found::StageEnd>,
    },
    /// See [`tenas`].
    TeNas {
        /// What every round removed: kind of cell, edge, op.
        rounds: Vec<Vec<tenas::rank::Candidate>>,
        /// Of these, those in whose place a candidate with equal scores could have gone: the order of
        /// the list decided.
        #[serde(default, skip_serializing_if = "is_zero")]
        ties: usize,
    },
    /// See [`robot`].
    Robot {
        /// Different architectures in the pool.
        pool: usize,
        /// The rounds of Bayesian optimisation.
        queries: Vec<robot::Query>,
        /// The architectures evaluated, with the accuracies that the search saw, in percent.
        evaluated: Vec<(CellGenotype, f64)>,
    },
    /// See [`nsganet`].
    #[serde(rename = "nsganetv2")]
    NsganetV2 {
        /// All architectures that were evaluated, in order.
        archive: Vec<Entry>,
        /// The rounds.
        rounds: Vec<Round>,
        /// Epochs of the supernet's training.
        epochs: Vec<Epoch>,
        /// Steps of that training whose gradient norm was not finite.
        nonfinite_steps: u64,
    },
    /// See [`random`].
    Random {
        /// The architectures evaluated, with the accuracies that the search saw, in percent; none of
        /// a single draw.
        evaluated: Vec<(CellGenotype, f64)>,
    },
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Trace {
    /// Architectures that the search evaluated, each by a short training or, in NSGANetV2, with weights
    /// that it inherits. Of searches that evaluate none, 0.
    pub fn evaluated(&self) -> usize {
        match self {
            Self::Robot { evaluated, .. } | Self::Random { evaluated } => evaluated.len(),
            Self::NsganetV2 { archive, .. } => archive.len(),
            Self::PDarts { .. } | Self::TeNas { .. } => 0,
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The architecture.
    pub genotype: Architecture,
    /// How it went.
    pub trace: Trace,
    /// What the search leaves for others to look at.
    pub left: Leftover,
}

/// A network that a search leaves.
#[derive(Clone, Debug)]
pub enum Leftover {
    /// Nothing.
    None,
    /// P-DARTS' last supernet.
    Learner(Box<Learner>),
    /// NSGANetV2's result with the weights that it inherits.
    Subnet(Box<(Subnet, State)>),
}

/// Why a search cannot be run or has no result.
#[derive(Debug, thiserror::Error)]
pub enum NasError {
    /// P-DARTS.
    #[error(transparent)]
    PDarts(#[from] pdarts::found::PdartsError),
    /// TE-NAS.
    #[error(transparent)]
    TeNas(#[from] TenasError),
    /// RoBoT.
    #[error(transparent)]
    Robot(#[from] RobotError),
    /// NSGANetV2.
    #[error(transparent)]
    NsganetV2(#[from] NsganetError),
    /// A supernet's file that cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A supernet's file that is not the one of the trial.
    #[error(
        "the supernet {path} has the BLAKE3 hash {found}, but the trial was written for {expected}; use \
         that file, or leave `hash` out of the recipe"
    )]
    OtherSupernet {
        /// The file.
        path: String,
        /// Its hash.
        found: String,
        /// That of the trial.
        expected: String,
    },
    /// Random search.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A network that cannot be built.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A search that does not run on the space.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Runs or resumes the search that the config names. `None` means that it was asked to stop and has
/// saved itself.
///
/// # Errors
/// A config or images that it cannot use, a checkpoint that cannot be read or written.
pub fn run(inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Result<Option<Found>, NasError> {
    let config = inputs.config.clone().resolved();
    config.check()?;
    if config.search == SearchKind::NsganetV2 {
        return evolve(inputs, &config, hooks);
    }
    match config.space.cells() {
        Some(space) => on_cells(inputs, config, space, hooks),
        None => {
            let mut rng = stream(inputs.seed, "random/elastic", &[]);
            Ok(Some(Found {
                genotype: config.genes().random(&mut rng),
                trace: Trace::Random {
                    evaluated: Vec::new(),
                },
                left: Leftover::None,
            }))
        }
    }
}

/// The searches of the cell spaces.
fn on_cells(
    inputs: &Inputs<'_>,
    config: NasConfig,
    space: CellSpace,
    hooks: Hooks<'_>,
) -> Result<Option<Found>, NasError> {
    let (data, seed, device) = (inputs.data, inputs.seed, inputs.device.clone());
    let plain = |genotype, trace| Found {
        genotype: Architecture::Cell(genotype),
        trace,
        left: Leftover::None,
    };
    Ok(match config.search {
        SearchKind::PDarts => {
            let inputs = pdarts::found::Inputs {
                data,
                augment: inputs.augment,
                space,
                config: &config.p_darts.unwrap_or_default(),
                seed,
                device,
            };
            pdarts::search::run(&inputs, hooks)?.map(|found| {
                let trace = Trace::PDarts {
                    epochs: found.epochs,
                    stages: found.stages,
                };
                Found {
                    left: Leftover::Learner(Box::new(found.learner)),
                    ..plain(found.genotype, trace)
                }
            })
        }
        SearchKind::TeNas => {
            let config = config.te_nas.unwrap_or_default();
            let scene = tenas::Scene {
                space,
                images: &data.train.images,
                normalise: &config.normalise.of(&data.name, &data.normalise),
                augment: inputs.augment,
                classes: data.classes,
                config: &config,
                seed,
            };
            tenas::run(scene, device, hooks)?.map(|found| {
                let (rounds, ties) = (found.rounds, found.ties);
                plain(found.genotype, Trace::TeNas { rounds, ties })
            })
        }
        SearchKind::Robot => {
            let inputs = robot::Inputs {
                space,
                train: &data.train,
                valid: &data.valid,
                normalise: &data.normalise,
                classes: data.classes,
                accuracy: Accuracy::Trained,
                config: &config.robot.unwrap_or_default(),
                seed,
                device,
            };
            robot::run(&inputs, hooks)?.map(|found| {
                let trace = Trace::Robot {
                    pool: found.pool,
                    queries: found.queries,
                    evaluated: found.evaluated,
                };
                plain(found.genotype, trace)
            })
        }
        SearchKind::NsganetV2 => unreachable!("it has a way of its own"),
        SearchKind::Random => {
            let inputs = random::Inputs {
                space,
                train: &data.train,
                valid: &data.valid,
                normalise: &data.normalise,
                classes: data.classes,
                accuracy: Accuracy::Trained,
                config: &config.random.unwrap_or_default(),
                seed,
                device,
            };
            random::run(&inputs, hooks)?.map(|found| {
                let evaluated = found.evaluated;
                plain(found.genotype, Trace::Random { evaluated })
            })
        }
    })
}

/// NSGANetV2, over any of the spaces.
fn evolve(
    inputs: &Inputs<'_>,
    config: &NasConfig,
    hooks: Hooks<'_>,
) -> Result<Option<Found>, NasError> {
    let (data, space) = (inputs.data, config.genes());
    let supernet = match &config.supernet {
        Some(file) => Some(from_file(inputs, config, file)?),
        None => None,
    };
    let inputs = nsganet::Inputs {
        data,
        augment: inputs.augment,
        space: &space,
        accuracy: match &supernet {
            Some(supernet) => nsganet::Accuracy::Inherited(supernet),
            None => nsganet::Accuracy::Trained,
        },
        config: &config.nsganetv2.clone().unwrap_or_default(),
        seed: inputs.seed,
        device: inputs.device.clone(),
    };
    let Some(found) = nsganet::run(&inputs, hooks)? else {
        return Ok(None);
    };
    let subnet = found.subnet(&inputs)?;
    Ok(Some(Found {
        genotype: found.architecture,
        trace: Trace::NsganetV2 {
            archive: found.archive,
            rounds: found.rounds,
            epochs: found.epochs,
            nonfinite_steps: found.nonfinite_steps,
        },
        left: subnet.map_or(Leftover::None, |subnet| Leftover::Subnet(Box::new(subnet))),
    }))
}

/// A supernet with the weights of a file.
fn from_file(
    inputs: &Inputs<'_>,
    config: &NasConfig,
    file: &SupernetFile,
) -> Result<Supernet, NasError> {
    let path = Path::new(&file.path);
    if let Some(expected) = &file.hash {
        let found = SupernetFile::hash_of(path)?;
        if found != *expected {
            return Err(NasError::OtherSupernet {
                path: file.path.clone(),
                found,
                expected: expected.clone(),
            });
        }
    }
    let nsganet = config.nsganetv2.clone().unwrap_or_default();
    let [_, c, h, w] = inputs.data.train.images.shape;
    let shape = SupernetShape {
        channels: nsganet.channels,
        cells: nsganet.cells,
        classes: file.classes.unwrap_or(inputs.data.classes),
        input: [c, h, w],
    };
    let key = (inputs.seed, "nsganet/file");
    let mut supernet = Supernet::new(&config.genes(), shape, nsganet.kernel_matrices, key)?;
    supernet.load(path)?;
    Ok(supernet)
}
