//! The cell spaces as one choice: what a search that runs on either needs to know of both.

use super::darts;
use super::nasbench201;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

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
pub enum CellGenotype {
    /// Of the DARTS space.
    Darts(darts::Genotype),
    /// Of NAS-Bench-201.
    NasBench201(nasbench201::Cell),
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
