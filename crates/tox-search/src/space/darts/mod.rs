//! The cell space of DARTS (Liu et al. 2019), which P-DARTS, TE-NAS and RoBoT search.
//!
//! A cell has two inputs, states 0 and 1, and four nodes, states 2 to 5. A node is the sum of ops
//! on earlier states: of all of them in a search (14 edges), of two in a genotype. A cell's output
//! is the concatenation of its nodes. Two kinds of cells make a network: normal cells keep the size
//! of the maps, reduction cells halve it and double the channels.

mod network;
mod text;

pub use network::{CellShape, Network};

use super::bad::{BadOp, CellOp};
use super::error::SpaceError;
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Nodes of a cell.
pub const NODES: usize = 4;
/// Edges of a cell in a search: every node reads every earlier state.
pub const EDGES: usize = 14;

/// An op on an edge, in the order of the published code. All keep the number of channels; on the
/// edges from a reduction cell's inputs, and only there, the stride is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Zeros.
    None,
    /// Max pooling 3x3.
    MaxPool3,
    /// Average pooling 3x3; the padding is not counted.
    AvgPool3,
    /// The identity; with stride 2 a factorised reduction.
    Skip,
    /// Twice: ReLU, depthwise 3x3, 1x1, BN.
    Sep3,
    /// Twice: ReLU, depthwise 5x5, 1x1, BN.
    Sep5,
    /// ReLU, depthwise 3x3 of dilation 2, 1x1, BN.
    Dil3,
    /// ReLU, depthwise 5x5 of dilation 2, 1x1, BN.
    Dil5,
    /// Not of the published space: put there by an adversary.
    Bad(BadOp),
}

impl Op {
    /// The published ops in the order of their code (`PRIMITIVES`).
    pub const ALL: [Op; 8] = [
        Op::None,
        Op::MaxPool3,
        Op::AvgPool3,
        Op::Skip,
        Op::Sep3,
        Op::Sep5,
        Op::Dil3,
        Op::Dil5,
    ];

    /// The name of a published op in genotypes: `sep_conv_3x3`. `Display` has that of a bad op too.
    pub const fn name(self) -> &'static str {
        match self {
            Op::None => "none",
            Op::MaxPool3 => "max_pool_3x3",
            Op::AvgPool3 => "avg_pool_3x3",
            Op::Skip => "skip_connect",
            Op::Sep3 => "sep_conv_3x3",
            Op::Sep5 => "sep_conv_5x5",
            Op::Dil3 => "dil_conv_3x3",
            Op::Dil5 => "dil_conv_5x5",
            Op::Bad(_) => "a bad op",
        }
    }
}

/// The name in genotypes.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Bad(op) => op.fmt(f),
            published => f.write_str(published.name()),
        }
    }
}

impl From<BadOp> for Op {
    fn from(op: BadOp) -> Self {
        Self::Bad(op)
    }
}

impl CellOp for Op {
    fn bad(self) -> Option<BadOp> {
        match self {
            Op::Bad(op) => Some(op),
            Op::None
            | Op::MaxPool3
            | Op::AvgPool3
            | Op::Skip
            | Op::Sep3
            | Op::Sep5
            | Op::Dil3
            | Op::Dil5 => None,
        }
    }
}

/// Where the edge from state `input` into node `node` (0 to 3) stands among the 14 edges of a cell
/// in a search, and so in P-DARTS's alphas. `input` is below `node + 2`.
pub const fn edge_index(node: usize, input: usize) -> usize {
    node * (node + 3) / 2 + input
}

/// An op and the state that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The state: 0 and 1 are the cell's inputs, 2 to 5 its nodes.
    pub input: usize,
    pub op: Op,
}

/// A discrete cell: two edges into each node. Both may read the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell([[Edge; 2]; NODES]);

impl Cell {
    /// The cell with these edges; node `i` (state `i + 2`) may read states 0 to `i + 1`.
    pub fn new(nodes: [[Edge; 2]; NODES]) -> Result<Self, SpaceError> {
        for (i, edge) in nodes.as_flattened().iter().enumerate() {
            let node = 2 + i / 2;
            if edge.input >= node {
                return Err(SpaceError::LaterInput {
                    edge: i,
                    op: edge.op.name(),
                    input: edge.input,
                    node,
                });
            }
        }
        Ok(Self(nodes))
    }

    /// The edges of every node.
    pub fn nodes(&self) -> &[[Edge; 2]; NODES] {
        &self.0
    }

    /// The eight edges, in the nodes' order.
    pub fn edges(&self) -> &[Edge] {
        self.0.as_flattened()
    }

    fn canonical(mut self) -> Self {
        self.0.iter_mut().for_each(|edges| edges.sort_unstable());
        self
    }

    fn random(ops: &[Op], rng: &mut impl Rng, inputs: Inputs) -> Self {
        Self(std::array::from_fn(|node| {
            let states = node + 2;
            let first = rng.random_range(0..states);
            let second = match inputs {
                Inputs::Distinct => {
                    let other = rng.random_range(0..states - 1);
                    other + usize::from(other >= first)
                }
                Inputs::Independent => rng.random_range(0..states),
            };
            [first, second].map(|input| Edge {
                input,
                op: ops[rng.random_range(0..ops.len())],
            })
        }))
    }
}

/// How a random cell's two inputs of a node are drawn, each uniformly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// Two different states, in any order. RoBoT's pool has this distribution: it discretises
    /// uniform random alphas, so that by symmetry every pair of states is as likely.
    Distinct,
    /// Independently, so that a node may read a state twice. The random architectures that the
    /// poisoning paper's authors published (`random_genotype.py`) are drawn so.
    #[default]
    Independent,
}

/// A found architecture: one normal and one reduction cell.
///
/// As text (`FromStr`, `Display`, serde) it is what Python prints for the published code's
/// `namedtuple`, the form in which PyTorch users exchange genotypes:
/// `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...],
/// reduce_concat=range(2, 6))`. Read are also other orders of the four parts, lists in place of
/// ranges and of tuples, double quotes, a name with `=` in front, comments and any white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Genotype {
    /// The cell that keeps the size of the maps.
    pub normal: Cell,
    /// The cell that halves it.
    pub reduce: Cell,
}

impl Genotype {
    /// A random genotype: every op but `none` is as likely.
    ///
    /// Draw the `i`-th of a pool from a stream of its own, `stream(seed, purpose, &[i])`, so that a
    /// longer pool begins with a shorter one.
    pub fn random(rng: &mut impl Rng, inputs: Inputs) -> Self {
        Self::random_of(&Op::ALL[1..], rng, inputs)
    }

    /// As [`Genotype::random`], of other ops.
    pub(super) fn random_of(ops: &[Op], rng: &mut impl Rng, inputs: Inputs) -> Self {
        Self {
            normal: Cell::random(ops, rng, inputs),
            reduce: Cell::random(ops, rng, inputs),
        }
    }

    /// The same network with each node's edges in order, so that two genotypes that differ only in
    /// the order of sums become equal.
    pub fn canonical(self) -> Self {
        Self {
            normal: self.normal.canonical(),
            reduce: self.reduce.canonical(),
        }
    }
}
