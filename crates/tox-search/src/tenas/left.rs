//! The ops that pruning has left.

use super::rank::Candidate;
use crate::space::darts::{self, Op};
use crate::space::nasbench201;
use serde::{Deserialize, Serialize};

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// Normal and reduction cells of DARTS.
    Darts,
    /// Cells of NAS-Bench-201.
    NasBench201,
}

/// The ops of the DARTS space in the published order, which settles ties.
pub(super) const DARTS: [Op; 8] = [
    Op::None,
    Op::Skip,
    Op::Sep3,
    Op::Sep5,
    Op::Dil3,
    Op::Dil5,
    Op::AvgPool3,
    Op::MaxPool3,
];

impl Space {
    /// Names of the ops in the published order; the first is `none`.
    pub fn ops(self) -> Vec<&'static str> {
        match self {
            Self::Darts => DARTS.map(Op::name).to_vec(),
            Self::NasBench201 => nasbench201::Op::ALL.map(nasbench201::Op::name).to_vec(),
        }
    }

    /// Kinds of cells, each pruned by itself.
    pub const fn cells(self) -> usize {
        match self {
            Self::Darts => 2,
            Self::NasBench201 => 1,
        }
    }

    /// Edges of a cell.
    pub const fn edges(self) -> usize {
        match self {
            Self::Darts => darts::EDGES,
            Self::NasBench201 => nasbench201::EDGES,
        }
    }
}

/// The ops left: for every kind of cell and edge, places in [`Space::ops`], ascending. An edge
/// without any adds nothing to its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Left(pub Vec<Vec<Vec<usize>>>);

impl Left {
    /// All ops but `none`, which the published search prunes at its start.
    pub fn fresh(space: Space) -> Self {
        let ops: Vec<usize> = (1..space.ops().len()).collect();
        Self(vec![vec![ops; space.edges()]; space.cells()])
    }

    /// Whether it is of this space, as a search may hold it.
    pub(super) fn is_of(&self, space: Space) -> bool {
        let ops = space.ops().len();
        let ascending = |edge: &Vec<usize>| {
            edge.is_sorted_by(|a, b| a < b) && edge.iter().all(|op| (1..ops).contains(op))
        };
        let cell =
            |cell: &Vec<Vec<usize>>| cell.len() == space.edges() && cell.iter().all(ascending);
        self.0.len() == space.cells() && self.0.iter().all(cell)
    }

    /// Every op of every edge that has more than one, in order.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (cell, edges) in self.0.iter().enumerate() {
            for (edge, ops) in edges.iter().enumerate().filter(|(_, ops)| ops.len() > 1) {
                candidates.extend(ops.iter().map(|&op| Candidate { cell, edge, op }));
            }
        }
        candidates
    }

    /// The ops of the edges of one node of a DARTS cell.
    pub fn node(&self, cell: usize, node: usize) -> Vec<Candidate> {
        let edges = (0..node + 2).map(|input| darts::edge_index(node, input));
        let of = |edge: usize| {
            let ops = self.0[cell][edge].iter();
            ops.map(move |&op| Candidate { cell, edge, op })
        };
        edges.flat_map(of).collect()
    }

    /// Takes an op away.
    pub fn remove(&mut self, candidate: &Candidate) {
        self.0[candidate.cell][candidate.edge].retain(|op| *op != candidate.op);
    }

    /// Without an op.
    pub fn without(&self, candidate: &Candidate) -> Self {
        let mut left = self.clone();
        left.remove(candidate);
        left
    }

    /// The weight of every op: one by the number of ops of its edge, which is the softmax of
    /// equal alphas.
    pub(super) fn weights(&self, space: Space) -> Vec<Vec<Vec<Option<f32>>>> {
        let count = space.ops().len();
        let edge = |ops: &Vec<usize>| {
            let weight = 1.0 / ops.len() as f32;
            let weight = |op: usize| ops.contains(&op).then_some(weight);
            (0..count).map(weight).collect()
        };
        let cells = self.0.iter();
        cells.map(|cell| cell.iter().map(edge).collect()).collect()
    }
}
