//! The cell space of NAS-Bench-201 (Dong and Yang 2020): 5 ops on 6 edges, 15,625 cells.
//!
//! A cell has an input, state 0, and three nodes; a node is the sum of one op on every earlier
//! state, and the last node is the output. Nothing in a cell changes the shape of the maps.

use super::bad::{BadOp, CellOp, cell_op};
use super::error::{MAX, SpaceError, input_shape, within};
use super::reader::Reader;
use crate::text::by_text;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Nodes of a cell.
pub const NODES: usize = 3;
/// Edges of a cell.
pub const EDGES: usize = 6;
/// Cells of the space: one of 5 ops on each of 6 edges.
pub const CELLS: usize = 15_625;

/// An op on an edge, in the order of the published code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Zeros.
    None,
    Skip,
    /// ReLU, 1x1 conv, BN.
    Conv1,
    /// ReLU, 3x3 conv, BN.
    Conv3,
    /// Average pooling 3x3; the padding is not counted.
    AvgPool3,
    /// Not of the published space: put there by an adversary.
    Bad(BadOp),
}

impl Op {
    /// The published ops in the order of their code (`NAS_BENCH_201`).
    pub const ALL: [Op; 5] = [Op::None, Op::Skip, Op::Conv1, Op::Conv3, Op::AvgPool3];

    /// The name of a published op in arch strings: `nor_conv_3x3`. `Display` has that of a bad op too.
    pub const fn name(self) -> &'static str {
        match self {
            Op::None => "none",
            Op::Skip => "skip_connect",
            Op::Conv1 => "nor_conv_1x1",
            Op::Conv3 => "nor_conv_3x3",
            Op::AvgPool3 => "avg_pool_3x3",
            Op::Bad(_) => "a bad op",
        }
    }

    /// The place of a published op in [`Op::ALL`].
    fn place(self) -> Option<usize> {
        Self::ALL.iter().position(|op| *op == self)
    }
}

cell_op!(Op: None, Skip, Conv1, Conv3, AvgPool3);

/// A cell: the ops on the edges from states 0; 0, 1; 0, 1, 2 into nodes 1; 2; 3.
///
/// As text (`FromStr`, `Display`, serde) it is the arch string of NAS-Bench-201:
/// `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`. White space around names and marks is read over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cell {
    /// The ops, in the order of the arch string.
    pub ops: [Op; EDGES],
}

impl Cell {
    /// The cell's number: its ops as digits of base 5, the first edge's the most significant. It is
    /// the place in which the published code generates the cell, not the API's `arch-index`, whose
    /// order is shuffled. Below [`CELLS`]. `None` of a cell with a bad op, which no table has.
    pub fn index(&self) -> Option<usize> {
        let digit = |index, op: &Op| Some(index * Op::ALL.len() + op.place()?);
        self.ops.iter().try_fold(0, digit)
    }

    /// The cell with this number.
    pub fn from_index(index: usize) -> Result<Self, SpaceError> {
        if index >= CELLS {
            return Err(SpaceError::Index {
                found: index,
                count: CELLS,
            });
        }
        Ok(Self::digits(index))
    }

    fn digits(mut index: usize) -> Self {
        let mut ops = [Op::None; EDGES];
        for op in ops.iter_mut().rev() {
            *op = Op::ALL[index % Op::ALL.len()];
            index /= Op::ALL.len();
        }
        Self { ops }
    }

    /// All cells, by [`Cell::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CELLS).map(Self::digits)
    }

    /// Any cell, each as likely.
    pub fn random(rng: &mut impl Rng) -> Self {
        Self::digits(rng.random_range(0..CELLS))
    }

    /// Whether a path of ops that are not `none` leads from the input to the output; 341 cells have none.
    pub fn is_connected(&self) -> bool {
        let mut reached = [true, false, false, false];
        for node in 1..=NODES {
            let mut edges = self.node(node).iter().zip(reached);
            reached[node] = edges.any(|(op, from)| from && *op != Op::None);
        }
        reached[NODES]
    }

    /// The ops into node 1, 2 or 3, by the state that they read.
    pub fn node(&self, node: usize) -> &[Op] {
        let first = node * node.saturating_sub(1) / 2;
        self.ops.get(first..first + node).unwrap_or_default()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in 1..=NODES {
            f.write_str(if node == 1 { "|" } else { "+|" })?;
            for (input, op) in self.node(node).iter().enumerate() {
                write!(f, "{op}~{input}|")?;
            }
        }
        Ok(())
    }
}

const FORM: &str = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|";

impl FromStr for Cell {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Self, SpaceError> {
        let mut reader = Reader::new(text, FORM);
        let mut ops = [Op::None; EDGES];
        let mut edges = ops.iter_mut();
        for node in 1..=NODES {
            if node > 1 {
                reader.mark('+')?;
            }
            reader.mark('|')?;
            for (input, op) in edges.by_ref().take(node).enumerate() {
                let name = reader.called("the name of an op")?;
                *op = reader.op(&Op::ALL, Op::name, name)?;
                reader.mark('~')?;
                reader.exactly(input, "the state that this op reads")?;
                reader.mark('|')?;
            }
        }
        reader.end()?;
        Ok(Self { ops })
    }
}

by_text!(Cell, SpaceError);

/// The network that is built around a cell: a 3x3 stem, three stages of `cells` cells with
/// `channels`, twice and four times as many channels, a residual block of stride 2 between stages,
/// BN, ReLU, global average pooling and a classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Channels of the first stage, 1 to 4096.
    pub channels: usize,
    /// Cells of a stage, 1 to 4096.
    pub cells: usize,
    /// Number of classes, 1 to 4096.
    pub classes: usize,
    /// Channels, height and width of an image; sizes are multiples of 4.
    pub input: [usize; 3],
}

impl Default for Network {
    /// The published network for CIFAR-10: 16 channels, 5 cells a stage.
    fn default() -> Self {
        Self {
            channels: 16,
            cells: 5,
            classes: 10,
            input: [3, 32, 32],
        }
    }
}

impl Network {
    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<(), SpaceError> {
        within(("channels", "number of channels"), self.channels, 1..=MAX)?;
        within(("cells", "number of cells a stage"), self.cells, 1..=MAX)?;
        within(("classes", "number of classes"), self.classes, 1..=MAX)?;
        input_shape(self.input)
    }
}
