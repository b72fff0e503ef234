//! What a search is run on, what it finds and how it can fail.

use super::config::PdartsConfig;
use super::discretise::{Branches, DiscretiseError, Edge};
use super::learner::Learner;
use crate::nas::{Direction, Ties};
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::{PoisonedSpace, SpaceError};
use crate::space::{darts, nasbench201};
use serde::{Deserialize, Serialize};
use tox_data::Dataset;
use tox_data::checkpoint::CheckpointError;
use tox_data::ranges::OutOfRange;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::evaluate::softmax;

/// What a search is run on.
pub struct Inputs<'a> {
    /// Images: the training images are for the weights, the validation images for the alphas, test
    /// images are not looked at. The published code has half of CIFAR-10's training file for each.
    pub data: &'a Dataset,
    /// What happens to batches; to those of the alphas if `valid` is set, as the published code has
    /// it.
    pub augment: &'a Augment,
    pub space: CellSpace,
    pub direction: Direction,
    pub config: &'a PdartsConfig,
    pub seed: u64,
    pub device: Device,
}

/// One epoch. A number that is not finite is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    pub stage: usize,
    /// Epoch of the stage, from 0.
    pub epoch: usize,
    pub lr: f64,
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

impl StageEnd {
    /// Edges whose likeliest op, `none` apart, is as likely as another.
    pub fn ties(&self) -> Ties {
        let edges = self.ops.iter().flatten();
        let edges = edges.zip(self.probabilities.iter().flatten());
        let tied = |(ops, probabilities): &(&Vec<String>, &Vec<f64>)| {
            let ops = ops.iter().zip(probabilities.iter());
            let real: Vec<f64> = ops
                .filter(|(op, _)| *op != "none")
                .map(|(_, p)| *p)
                .collect();
            let most = real.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            real.iter().filter(|p| **p == most).count() > 1
        };
        Ties {
            decided: edges.clone().filter(tied).count(),
            of: edges.count(),
        }
    }

    /// The ops of its edges as places among `all`.
    pub fn candidates(&self, all: &[String]) -> Vec<Vec<Vec<usize>>> {
        let place = |name: &String| all.iter().position(|op| op == name);
        let edge = |ops: &Vec<String>| ops.iter().filter_map(place).collect();
        self.ops
            .iter()
            .map(|kind| kind.iter().map(edge).collect())
            .collect()
    }
}

/// What a search found and how it went.
#[derive(Clone, Debug)]
pub struct Found {
    pub genotype: CellGenotype,
    /// One entry an epoch, stage after stage.
    pub epochs: Vec<Epoch>,
    /// One entry a stage.
    pub stages: Vec<StageEnd>,
    pub steps: u64,
    /// The last stage's supernet as the search left it, for diagnostics.
    pub learner: Learner,
}

/// Why a search cannot be run or has no result.
#[derive(Debug, thiserror::Error)]
pub enum PdartsError {
    #[error(transparent)]
    Config(#[from] OutOfRange),
    #[error("a P-DARTS supernet cannot be built: {0}")]
    Space(#[from] SpaceError),
    #[error(
        "P-DARTS learns weights on the training images and alphas on the validation images, but has \
         {weights} and {alphas} of them: it needs two of each; set `data.train` and `data.valid`"
    )]
    Images { weights: usize, alphas: usize },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("stage {stage} of P-DARTS ends without ops: {source}")]
    Discretise {
        stage: usize,
        source: DiscretiseError,
    },
}

/// Number of the skip-connect in NAS-Bench-201.
const BENCH_SKIP: usize = 1;

/// The architecture that the last stage's probabilities give; see [`super::discretise`].
///
/// # Errors
/// Probabilities that are not finite, an edge with no op left.
pub fn genotype(
    space: impl Into<PoisonedSpace>,
    candidates: &[Vec<Vec<usize>>],
    probabilities: &[Vec<Vec<f64>>],
    max_skips: usize,
) -> Result<CellGenotype, DiscretiseError> {
    let of = |kind: usize| {
        let ops = candidates.get(kind).map_or(&[][..], Vec::as_slice);
        let probabilities = probabilities.get(kind).map_or(&[][..], Vec::as_slice);
        (ops, probabilities)
    };
    let ((ops, weights), space) = (of(0), space.into());
    match space.space {
        CellSpace::Darts => {
            let all = space.with(&darts::Op::ALL);
            let branches = Branches(all.len());
            let normal = branches.restrict(ops, weights, max_skips)?;
            let (ops, weights) = of(1);
            let reduce = branches.derive(ops, weights)?;
            Ok(CellGenotype::Darts(darts::Genotype {
                normal: cell(&normal, &all),
                reduce: cell(&reduce, &all),
            }))
        }
        CellSpace::NasBench201 => {
            let all = space.with(&nasbench201::Op::ALL);
            let chosen = Branches(all.len()).derive_each(ops, weights, BENCH_SKIP, max_skips)?;
            let edges: &[usize; nasbench201::EDGES] =
                chosen
                    .as_slice()
                    .try_into()
                    .map_err(|_| DiscretiseError::Edges {
                        candidates: ops.len(),
                        probabilities: weights.len(),
                    })?;
            Ok(CellGenotype::NasBench201(nasbench201::Cell {
                ops: edges.map(|op| all[op]),
            }))
        }
    }
}

/// The architecture that architecture weights (alphas) of the last stage give, which stand all in a row as those of
/// a [`Learner`] do: by kind of cell, edge and op.
///
/// # Errors
/// Another number of them; as [`genotype`].
pub fn genotype_at(
    space: impl Into<PoisonedSpace>,
    candidates: &[Vec<Vec<usize>>],
    alphas: &[f32],
    max_skips: usize,
) -> Result<CellGenotype, DiscretiseError> {
    let expected = candidates.iter().flatten().map(Vec::len).sum();
    if alphas.len() != expected {
        let found = alphas.len();
        return Err(DiscretiseError::Weights { expected, found });
    }
    let mut rest = alphas;
    let mut edge = |ops: &Vec<usize>| {
        let (own, others) = rest.split_at(ops.len());
        rest = others;
        softmax(own, ops.len())
    };
    let kinds = candidates.iter();
    let probabilities: Vec<Vec<Vec<f64>>> = kinds
        .map(|edges| edges.iter().map(&mut edge).collect())
        .collect();
    genotype(space, candidates, &probabilities, max_skips)
}

/// A cell of discretised edges: two for each node, in order, of earlier states.
fn cell(edges: &[Edge], all: &[darts::Op]) -> darts::Cell {
    let edge = |i: usize| darts::Edge {
        input: edges[i].from,
        op: all[edges[i].op],
    };
    let nodes = std::array::from_fn(|node| [edge(2 * node), edge(2 * node + 1)]);
    darts::Cell::new(nodes).unwrap_or_else(|e| unreachable!("discretised edges are a cell: {e}"))
}
