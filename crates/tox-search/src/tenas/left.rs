//! The ops that pruning has left.

use super::rank::Candidate;
use crate::space::PoisonedSpace;
use crate::space::cells::CellSpace;
use crate::space::darts::{self, Op};
use crate::space::nasbench201;
use serde::{Deserialize, Serialize};

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

/// Names of the ops of an edge in the published order, of which the first is `none`, then those of the
/// bad branches.
pub fn ops(space: impl Into<PoisonedSpace>) -> Vec<String> {
    let space = space.into();
    match space.space {
        CellSpace::Darts => space.with(&DARTS).iter().map(Op::to_string).collect(),
        CellSpace::NasBench201 => {
            let ops = space.with(&nasbench201::Op::ALL);
            ops.iter().map(ToString::to_string).collect()
        }
    }
}

/// The ops left: for every kind of cell and edge, places in [`ops`], ascending. An edge
/// without any adds nothing to its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Left(pub Vec<Vec<Vec<usize>>>);

impl Left {
    /// All ops but `none`, which the published search prunes at its start.
    pub fn fresh(space: impl Into<PoisonedSpace>) -> Self {
        let space = space.into();
        let all: Vec<usize> = (1..ops(&space).len()).collect();
        let (edges, kinds) = (space.space.edges(), space.space.kinds());
        Self(vec![vec![all; edges]; kinds.len()])
    }

    /// Whether it is of this space, as a search may hold it.
    pub(super) fn is_of(&self, space: &PoisonedSpace) -> bool {
        let count = ops(space).len();
        let ascending = |edge: &Vec<usize>| {
            edge.is_sorted_by(|a, b| a < b) && edge.iter().all(|op| (1..count).contains(op))
        };
        let cell = |cell: &Vec<Vec<usize>>| {
            cell.len() == space.space.edges() && cell.iter().all(ascending)
        };
        self.0.len() == space.space.kinds().len() && self.0.iter().all(cell)
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
    pub(super) fn weights(&self, space: &PoisonedSpace) -> Vec<Vec<Vec<Option<f32>>>> {
        let count = ops(space).len();
        let edge = |ops: &Vec<usize>| {
            let weight = 1.0 / ops.len() as f32;
            let weight = |op: usize| ops.contains(&op).then_some(weight);
            (0..count).map(weight).collect()
        };
        let cells = self.0.iter();
        cells.map(|cell| cell.iter().map(edge).collect()).collect()
    }
}
