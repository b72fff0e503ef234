//! Bad ops in the cell spaces: what an adversary puts on every edge beside the published ops.
//!
//! A bad op is an op of ENAS' macro space ([`super::Op`]), which is where the poison sets of
//! search-space poisoning come from (Wu, Saxena, Jain): the same modules, on the channels of the edge.
//!
//! - Copies of a bad op on an edge are branches of their own, as in ENAS: each has its own weight in a
//!   mix, its own place in a pruning and its own share of a random draw. They share one module.
//! - On an edge of stride 2 the last convolution of a bad op has stride 2. An op without one takes
//!   every second row and column. Nothing with weights is added, unlike in a `skip_connect`.
//! - Noise and dropout are on in trainings, and in the scores of untrained networks, which the
//!   published codes take of networks in training mode. In evaluation they are the identity.
//! - An identity is no `skip_connect`: no dropout on skips and no limit of their number holds for it.
//!
//! The text of a bad op is ENAS': `gaussian(10)`, `stretched(3,50,50)`. No published op of a cell
//! space has such a name, so a genotype says which of its ops are bad.

use super::cells::{CellGenotype, CellSpace};
use super::enas::Op;
use super::error::SpaceError;
use super::{darts, nasbench201};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Most bad branches of an edge.
pub const MAX_BAD: usize = 1000;

/// An op of ENAS' macro space on an edge of a cell. As text (`FromStr`, `Display`, serde) it is its
/// name there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BadOp(Op);

impl BadOp {
    /// # Errors
    /// An op that no map can go through, or that changes the size of one.
    pub fn new(op: Op) -> Result<Self, SpaceError> {
        let kernel = |k: usize| k % 2 == 1 && k <= 63;
        let (fits, expected) = match op {
            Op::Conv { k } | Op::Sep { k } | Op::Transposed { k } => {
                (kernel(k), "an odd kernel size, 1 to 63")
            }
            Op::AvgPool3 | Op::MaxPool3 | Op::Identity => (true, ""),
            Op::Gaussian { sigma } => (
                sigma.is_finite() && sigma.is_sign_positive(),
                "a finite sigma of at least 0",
            ),
            Op::Dropout { p } => (p.is_sign_positive() && p <= 1.0, "a probability, 0 to 1"),
            Op::Stretched {
                k,
                padding,
                dilation,
            } => (
                kernel(k) && (1..=1024).contains(&dilation) && padding == dilation * (k / 2),
                "an odd kernel size of 1 to 63, a dilation of 1 to 1024 and as much padding as keeps \
                 the size of a map: dilation times half the kernel, rounded down",
            ),
        };
        match fits {
            true => Ok(Self(op)),
            false => Err(SpaceError::BadOp {
                op: op.to_string(),
                expected,
            }),
        }
    }

    /// The op.
    pub fn op(self) -> Op {
        self.0
    }

    /// What tells one op from another, in an order.
    fn key(self) -> [usize; 4] {
        match self.0 {
            Op::Conv { k } => [0, k, 0, 0],
            Op::Sep { k } => [1, k, 0, 0],
            Op::AvgPool3 => [2, 0, 0, 0],
            Op::MaxPool3 => [3, 0, 0, 0],
            Op::Identity => [4, 0, 0, 0],
            Op::Gaussian { sigma } => [5, sigma.to_bits() as usize, 0, 0],
            Op::Dropout { p } => [6, p.to_bits() as usize, 0, 0],
            Op::Transposed { k } => [7, k, 0, 0],
            Op::Stretched {
                k,
                padding,
                dilation,
            } => [8, k, padding, dilation],
        }
    }
}

impl PartialEq for BadOp {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for BadOp {}

impl Ord for BadOp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for BadOp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for BadOp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for BadOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BadOp {
    type Err = SpaceError;

    fn from_str(text: &str) -> Result<Self, SpaceError> {
        match Op::named(text) {
            Some(op) => Self::new(op),
            None => Err(SpaceError::BadOp {
                op: text.chars().take(40).collect(),
                expected: "a name such as identity, gaussian(10), dropout(1), transposed3, \
                           stretched(3,50,50), conv3, sep5, avgpool3 or maxpool3",
            }),
        }
    }
}

impl TryFrom<String> for BadOp {
    type Error = SpaceError;

    fn try_from(text: String) -> Result<Self, SpaceError> {
        text.parse()
    }
}

impl From<BadOp> for String {
    fn from(op: BadOp) -> Self {
        op.to_string()
    }
}

/// An op of a cell space, published or bad.
pub(crate) trait CellOp: Copy + PartialEq + fmt::Display + From<BadOp> {
    /// The bad op that it is, if it is one.
    fn bad(self) -> Option<BadOp>;
}

/// A bad op and its number of branches on every edge, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadOps {
    pub op: BadOp,
    /// Its branches.
    pub count: usize,
}

/// A cell space with the bad ops that stand on every edge beside the published ones; none if it is
/// clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoisonedSpace {
    pub space: CellSpace,
    /// The bad ops.
    pub bad: Vec<BadOps>,
}

impl From<CellSpace> for PoisonedSpace {
    fn from(space: CellSpace) -> Self {
        Self::clean(space)
    }
}

impl From<&PoisonedSpace> for PoisonedSpace {
    fn from(space: &PoisonedSpace) -> Self {
        space.clone()
    }
}

impl PoisonedSpace {
    /// Without bad ops.
    pub const fn clean(space: CellSpace) -> Self {
        Self {
            space,
            bad: Vec::new(),
        }
    }

    /// # Errors
    /// A bad op without a branch, or more than [`MAX_BAD`] branches.
    pub fn check(&self) -> Result<(), SpaceError> {
        let all = self.branches();
        let found = self.bad.iter().map(|bad| bad.count).find(|n| *n == 0);
        match found.or((all > MAX_BAD).then_some(all)) {
            None => Ok(()),
            Some(found) => Err(SpaceError::Network {
                what: "number of bad branches of an edge",
                found: found.to_string(),
                expected: format!("1 or more of each bad op, {MAX_BAD} at most; take a smaller q"),
            }),
        }
    }

    /// Bad branches of an edge.
    pub fn branches(&self) -> usize {
        self.bad.iter().map(|bad| bad.count).sum()
    }

    /// Whether it has no bad ops.
    pub fn is_clean(&self) -> bool {
        self.bad.is_empty()
    }

    /// `published` ops, then those of the bad branches.
    pub(crate) fn with<T: CellOp>(&self, published: &[T]) -> Vec<T> {
        let bad = self.bad.iter();
        let bad = bad.flat_map(|bad| std::iter::repeat_n(T::from(bad.op), bad.count));
        published.iter().copied().chain(bad).collect()
    }

    /// The text of every branch of an edge: the published ops in their order, then the bad branches.
    pub fn ops(&self) -> Vec<String> {
        let published = self.space.ops().into_iter().map(str::to_owned);
        let bad = self.bad.iter();
        let bad = bad.flat_map(|bad| std::iter::repeat_n(bad.op.to_string(), bad.count));
        published.chain(bad).collect()
    }

    /// The share of bad edges of a random architecture: that of bad branches among those that
    /// [`PoisonedSpace::random`] draws from, which in the DARTS space are all but `none`.
    pub fn chance(&self) -> f64 {
        let published = match self.space {
            CellSpace::Darts => darts::Op::ALL.len() - 1,
            CellSpace::NasBench201 => nasbench201::Op::ALL.len(),
        };
        let bad = self.branches() as f64;
        bad / (published as f64 + bad)
    }

    /// As [`CellSpace::random`], every branch as likely.
    pub fn random(&self, rng: &mut impl Rng, inputs: darts::Inputs) -> CellGenotype {
        if self.is_clean() {
            return self.space.random(rng, inputs);
        }
        match self.space {
            CellSpace::Darts => {
                let ops = self.with(&darts::Op::ALL);
                CellGenotype::Darts(darts::Genotype::random_of(&ops[1..], rng, inputs))
            }
            CellSpace::NasBench201 => {
                let ops = self.with(&nasbench201::Op::ALL);
                let op = |_| ops[rng.random_range(0..ops.len())];
                let ops = std::array::from_fn(op);
                CellGenotype::NasBench201(nasbench201::Cell { ops })
            }
        }
    }
}
