//! The cell spaces as one choice: what a search that runs on either needs to know of both.

use super::SpaceError;
use super::bad::{BadOp, CellOp};
use super::darts;
use super::nasbench201;
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A cell space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CellSpace {
    /// [`darts`]: normal and reduction cells.
    Darts,
    /// [`nasbench201`]: one kind of cell.
    NasBench201,
}

impl CellSpace {
    /// Names of the ops of an edge, in their order.
    pub fn ops(self) -> Vec<&'static str> {
        match self {
            Self::Darts => darts::Op::ALL.map(darts::Op::name).into(),
            Self::NasBench201 => nasbench201::Op::ALL.map(nasbench201::Op::name).into(),
        }
    }

    /// Edges of a cell of a supernet.
    pub fn edges(self) -> usize {
        match self {
            Self::Darts => darts::EDGES,
            Self::NasBench201 => nasbench201::EDGES,
        }
    }

    /// A random architecture: of the DARTS space one whose every op but `none` is as likely, with
    /// `inputs` saying how a node's two edges are drawn; of NAS-Bench-201, whose edges are all there,
    /// any cell.
    ///
    /// Draw the `i`-th of several from a stream of its own, `stream(seed, purpose, &[i])`, so that
    /// more of them begin with the fewer.
    pub fn random(self, rng: &mut impl Rng, inputs: darts::Inputs) -> CellGenotype {
        match self {
            Self::Darts => CellGenotype::Darts(darts::Genotype::random(rng, inputs)),
            Self::NasBench201 => CellGenotype::NasBench201(nasbench201::Cell::random(rng)),
        }
    }

    /// Kinds of cells that are searched.
    pub fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Darts => &["normal", "reduce"],
            Self::NasBench201 => &["cell"],
        }
    }
}

/// An architecture of either space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(
    clippy::large_enum_variant,
    reason = "a search has one, and it is copied"
)]
pub enum CellGenotype {
    Darts(darts::Genotype),
    NasBench201(nasbench201::Cell),
}

impl CellGenotype {
    /// The space that it is of.
    pub fn space(&self) -> CellSpace {
        match self {
            Self::Darts(_) => CellSpace::Darts,
            Self::NasBench201(_) => CellSpace::NasBench201,
        }
    }

    /// How many edges of each kind of cell (see [`CellSpace::kinds`]) have each published op, in the
    /// order of [`CellSpace::ops`]; [`CellGenotype::bad_ops`] are the others.
    pub fn op_counts(&self) -> Vec<Vec<usize>> {
        fn count<T: PartialEq>(all: &[T], ops: impl Iterator<Item = T> + Clone) -> Vec<usize> {
            let number = |op: &T| ops.clone().filter(|found| found == op).count();
            all.iter().map(number).collect()
        }
        match self {
            Self::Darts(genotype) => [genotype.normal, genotype.reduce]
                .map(|cell| count(&darts::Op::ALL, cell.edges().iter().map(|edge| edge.op)))
                .into(),
            Self::NasBench201(cell) => {
                vec![count(&nasbench201::Op::ALL, cell.ops.iter().copied())]
            }
        }
    }

    /// The bad ops of its edges, one an edge that has one.
    pub fn bad_ops(&self) -> Vec<BadOp> {
        match self {
            Self::Darts(genotype) => {
                let edges = [genotype.normal, genotype.reduce];
                let edges = edges.iter().flat_map(darts::Cell::edges);
                edges.filter_map(|edge| edge.op.bad()).collect()
            }
            Self::NasBench201(cell) => cell.ops.iter().filter_map(|op| op.bad()).collect(),
        }
    }

    /// Its edges: 16 of the DARTS space, 6 of NAS-Bench-201.
    pub fn edges(&self) -> usize {
        match self {
            Self::Darts(_) => 2 * 2 * darts::NODES,
            Self::NasBench201(_) => nasbench201::EDGES,
        }
    }
}

/// The text in which it is exchanged.
impl fmt::Display for CellGenotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Darts(genotype) => genotype.fmt(f),
            Self::NasBench201(cell) => cell.fmt(f),
        }
    }
}

/// Of either space: a DARTS genotype has brackets, an arch string of NAS-Bench-201 none.
impl FromStr for CellGenotype {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Self, SpaceError> {
        match text.contains('(') {
            true => text.parse().map(Self::Darts),
            false => text.parse().map(Self::NasBench201),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_are_counted_by_kind_of_cell() {
        let cell = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|\
                    avg_pool_3x3~2|";
        let bench = CellGenotype::NasBench201(cell.parse().unwrap());
        assert_eq!(bench.op_counts(), [[1, 2, 1, 1, 1]]);
        let darts = CellGenotype::Darts(tox_testkit::DARTS_V2.parse().unwrap());
        let expected = [[0, 0, 0, 2, 5, 0, 1, 0], [0, 5, 0, 3, 0, 0, 0, 0]];
        assert_eq!(darts.op_counts(), expected);
        let json = serde_json::to_string(&bench).unwrap();
        assert_eq!(json, format!("{{\"nasbench201\":\"{cell}\"}}"));
        assert_eq!(serde_json::from_str::<CellGenotype>(&json).unwrap(), bench);
    }
}
