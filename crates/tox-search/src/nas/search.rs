//! Runs the search that a config names.

use super::config::{NasConfig, SearchKind};
use crate::pdarts;
use crate::pdarts::learner::Learner;
use crate::robot::{self, Accuracy, RobotError};
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::nasbench201::{self, CELLS};
use crate::tenas::{self, TenasError};
use rand::Rng;
use serde::{Deserialize, Serialize};
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_nn::Device;

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
    /// Nothing went.
    Random {},
}

impl Trace {
    /// Architectures that were trained from scratch, or looked up in place of it: what a random
    /// search of equal cost could train.
    pub fn trained(&self) -> usize {
        match self {
            Self::Robot { evaluated, .. } => evaluated.len(),
            Self::PDarts { .. } | Self::TeNas { .. } | Self::Random {} => 0,
        }
    }
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The architecture.
    pub genotype: CellGenotype,
    /// How it went.
    pub trace: Trace,
    /// P-DARTS' last supernet as the search left it.
    pub learner: Option<Box<Learner>>,
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
}

/// Runs or resumes the search that the config names. `None` means that it was asked to stop and has
/// saved itself.
///
/// # Errors
/// A config or images that it cannot use, a checkpoint that cannot be read or written.
pub fn run(inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Result<Option<Found>, NasError> {
    let config = inputs.config.clone().resolved();
    let (data, space, seed) = (inputs.data, config.space, inputs.seed);
    let device = inputs.device.clone();
    let without_learner = |genotype, trace| Found {
        genotype,
        trace,
        learner: None,
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
            pdarts::search::run(&inputs, hooks)?.map(|found| Found {
                genotype: found.genotype,
                trace: Trace::PDarts {
                    epochs: found.epochs,
                    stages: found.stages,
                },
                learner: Some(Box::new(found.learner)),
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
                let trace = Trace::TeNas {
                    rounds: found.rounds,
                };
                without_learner(found.genotype, trace)
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
                without_learner(found.genotype, trace)
            })
        }
        SearchKind::Random => Some(without_learner(random(space, seed), Trace::Random {})),
    })
}

/// A random architecture of the space (stream `random/architecture`): of NAS-Bench-201 any of all
/// cells; of the DARTS space one drawn as [`robot::pool`] does, with all ops.
pub fn random(space: CellSpace, seed: u64) -> CellGenotype {
    let mut rng = stream(seed, "random/architecture", &[]);
    match space {
        CellSpace::NasBench201 => {
            let index = rng.random_range(0..CELLS);
            let ops = nasbench201::Op::ALL;
            let power = |edge: usize| index / ops.len().pow(edge as u32) % ops.len();
            let ops = std::array::from_fn(|edge| ops[power(edge)]);
            CellGenotype::NasBench201(nasbench201::Cell { ops })
        }
        CellSpace::Darts => {
            let rows = |_: usize| (0..8).map(|_| rng.random()).collect::<Vec<f64>>();
            let weights: Vec<Vec<f64>> = (0..2 * crate::space::darts::EDGES).map(rows).collect();
            let (normal, reduce) = weights.split_at(crate::space::darts::EDGES);
            let weights = [normal.to_vec(), reduce.to_vec()];
            CellGenotype::Darts(robot::pool::genotype(&weights))
        }
    }
}
