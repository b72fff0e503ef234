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

use super::enas::Op;
use super::error::SpaceError;
use crate::text::by_text;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

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
            Op::Conv { k } | Op::Sep { k } | Op::Transposed { k } | Op::Rectified { k } => {
                (kernel(k), "an odd kernel size, 1 to 63")
            }
            Op::Mixed {
                k,
                keep,
                scale,
                sigma,
            } => (
                kernel(k)
                    && [keep, scale, sigma]
                        .iter()
                        .all(|v| v.is_finite() && v.is_sign_positive()),
                "an odd kernel size, 1 to 63, and finite numbers of at least 0",
            ),
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
    fn key(self) -> [usize; 5] {
        let bits = |v: f32| v.to_bits() as usize;
        match self.0 {
            Op::Conv { k } => [0, k, 0, 0, 0],
            Op::Sep { k } => [1, k, 0, 0, 0],
            Op::AvgPool3 => [2, 0, 0, 0, 0],
            Op::MaxPool3 => [3, 0, 0, 0, 0],
            Op::Identity => [4, 0, 0, 0, 0],
            Op::Gaussian { sigma } => [5, bits(sigma), 0, 0, 0],
            Op::Dropout { p } => [6, bits(p), 0, 0, 0],
            Op::Transposed { k } => [7, k, 0, 0, 0],
            Op::Stretched {
                k,
                padding,
                dilation,
            } => [8, k, padding, dilation, 0],
            Op::Rectified { k } => [9, k, 0, 0, 0],
            Op::Mixed {
                k,
                keep,
                scale,
                sigma,
            } => [10, k, bits(keep), bits(scale), bits(sigma)],
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

by_text!(BadOp, SpaceError);

/// An op of a cell space, published or bad.
pub(crate) trait CellOp: Copy + PartialEq + fmt::Display + From<BadOp> {
    /// The bad op that it is, if it is one.
    fn bad(self) -> Option<BadOp>;
}

/// Makes a [`CellOp`] of an enum of published ops and `Bad`; its text is the name in genotypes.
macro_rules! cell_op {
    ($op:ident: $($published:ident),+) => {
        impl fmt::Display for $op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $op::Bad(op) => op.fmt(f),
                    published => f.write_str(published.name()),
                }
            }
        }

        impl From<BadOp> for $op {
            fn from(op: BadOp) -> Self {
                Self::Bad(op)
            }
        }

        impl CellOp for $op {
            fn bad(self) -> Option<BadOp> {
                match self {
                    $op::Bad(op) => Some(op),
                    $($op::$published)|+ => None,
                }
            }
        }
    };
}
pub(crate) use cell_op;
