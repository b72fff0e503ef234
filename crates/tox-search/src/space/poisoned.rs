//! A cell space with bad ops.

use super::bad::{BadOp, CellOp};
use super::cells::{CellGenotype, CellSpace};
use super::error::SpaceError;
use super::{darts, nasbench201};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Most bad branches of an edge.
pub const MAX_BAD: usize = 1000;

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
