//! What a search is run on, what it finds and how it can fail.

use super::config::PdartsConfig;
use super::discretise::{DiscretiseError, Edge, derive, derive_each, restrict};
use super::learner::Learner;
use crate::config::ConfigError;
use crate::space::SpaceError;
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::{darts, nasbench201};
use serde::{Deserialize, Serialize};
use tox_data::Dataset;
use tox_data::checkpoint::CheckpointError;
use tox_data::spec::Augment;
use tox_nn::Device;

/// What a search is run on.
pub struct Inputs<'a> {
    /// Images: the training images are for the weights, the validation images for the alphas, test
    /// images are not looked at. The published code has half of CIFAR-10's training file for each.
    pub data: &'a Dataset,
    /// What happens to batches; to those of the alphas if `valid` is set, as the published code has
    /// it.
    pub augment: &'a Augment,
    /// The searched space.
    pub space: CellSpace,
    /// Every number.
    pub config: &'a PdartsConfig,
    /// Seed of all random streams.
    pub seed: u64,
    /// Where networks run.
    pub device: Device,
}

/// One epoch. A number that is not finite is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Stage, from 0.
    pub stage: usize,
    /// Epoch of the stage, from 0.
    pub epoch: usize,
    /// Learning rate of the weights.
    pub lr: f64,
    /// Dropout on skip-connects.
    pub skip_dropout: f64,
    /// Mean loss of the weights' batches, over images.
    pub loss: Option<f64>,
    /// Error on them in percent, before each step.
    pub error: f64,
    /// Mean loss of the alphas' batches; `None` too while the alphas are frozen.
    pub alpha_loss: Option<f64>,
    /// Error on them in percent, before each step.
    pub alpha_error: Option<f64>,
    /// Mean entropy of an edge's softmax after the epoch, nats.
    pub entropy: Option<f64>,
    /// Steps of either kind whose gradient norm was not finite.
    pub nonfinite_steps: u64,
}

/// How a stage ended; everything by kind of cell (see [`CellSpace::kinds`]), edge and op.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageEnd {
    /// The ops that the edges had in this stage, by name.
    pub ops: Vec<Vec<Vec<String>>>,
    /// Their probabilities at its end.
    pub probabilities: Vec<Vec<Vec<f64>>>,
}

/// What a search found and how it went.
#[derive(Clone, Debug)]
pub struct Found {
    /// The architecture.
    pub genotype: CellGenotype,
    /// One entry an epoch, stage after stage.
    pub epochs: Vec<Epoch>,
    /// One entry a stage.
    pub stages: Vec<StageEnd>,
    /// Steps of the search.
    pub steps: u64,
    /// The last stage's supernet as the search left it, for diagnostics.
    pub learner: Learner,
}

/// Why a search cannot be run or has no result.
#[derive(Debug, thiserror::Error)]
pub enum PdartsError {
    /// A number of the config is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The supernet cannot be built.
    #[error("a P-DARTS supernet cannot be built: {0}")]
    Space(#[from] SpaceError),
    /// A half without images.
    #[error(
        "P-DARTS learns weights on the training images and alphas on the validation images, but has \
         {weights} and {alphas} of them: it needs two of each; set `data.train` and `data.valid`"
    )]
    Images {
        /// Training images.
        weights: usize,
        /// Validation images.
        alphas: usize,
    },
    /// The checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The alphas do not give an architecture.
    #[error("stage {stage} of P-DARTS ends without ops: {source}")]
    Discretise {
        /// From 1.
        stage: usize,
        /// Why.
        source: DiscretiseError,
    },
}

/// Number of the skip-connect in NAS-Bench-201.
const BENCH_SKIP: usize = nasbench201::Op::Skip as usize;

/// The architecture that the last stage's probabilities give; see [`super::discretise`].
///
/// # Errors
/// Probabilities that are not finite, an edge with no op left.
pub fn genotype(
    space: CellSpace,
    candidates: &[Vec<Vec<usize>>],
    probabilities: &[Vec<Vec<f64>>],
    max_skips: usize,
) -> Result<CellGenotype, DiscretiseError> {
    let of = |kind: usize| {
        let ops = candidates.get(kind).map_or(&[][..], Vec::as_slice);
        let probabilities = probabilities.get(kind).map_or(&[][..], Vec::as_slice);
        (ops, probabilities)
    };
    let (ops, weights) = of(0);
    match space {
        CellSpace::Darts => {
            let normal = restrict(ops, weights, max_skips)?;
            let (ops, weights) = of(1);
            let reduce = derive(ops, weights)?;
            Ok(CellGenotype::Darts(darts::Genotype {
                normal: cell(&normal),
                reduce: cell(&reduce),
            }))
        }
        CellSpace::NasBench201 => {
            let chosen = derive_each(ops, weights, BENCH_SKIP, max_skips)?;
            let edges: &[usize; nasbench201::EDGES] =
                chosen
                    .as_slice()
                    .try_into()
                    .map_err(|_| DiscretiseError::Edges {
                        candidates: ops.len(),
                        probabilities: weights.len(),
                    })?;
            Ok(CellGenotype::NasBench201(nasbench201::Cell {
                ops: edges.map(|op| nasbench201::Op::ALL[op]),
            }))
        }
    }
}

/// A cell of discretised edges: two for each node, in order, of earlier states.
fn cell(edges: &[Edge]) -> darts::Cell {
    let edge = |i: usize| darts::Edge {
        input: edges[i].from,
        op: darts::Op::ALL[edges[i].op],
    };
    let nodes = std::array::from_fn(|node| [edge(2 * node), edge(2 * node + 1)]);
    darts::Cell::new(nodes).unwrap_or_else(|e| unreachable!("discretised edges are a cell: {e}"))
}
