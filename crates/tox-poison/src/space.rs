//! Search-space poisoning: `S + q(P)`, a set `P` of bad ops added to the clean ops `q` times over, in
//! ENAS' macro space or on every edge of a cell space.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use tox_search::space::MAX_BAD;
use tox_search::space::cells::CellSpace;
use tox_search::space::{BadOp, BadOps, Op, PoisonedSpace, Space, SpaceOp};

/// The poison sets of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PoisonSet {
    /// Identity.
    P1,
    /// Gaussian noise, sigma 10.
    P2,
    /// Dropout, p = 1.
    P3,
    /// Transposed convs 3x3 and 5x5.
    P4,
    /// Identity, Gaussian, Dropout, both transposed convs, and Gaussian again.
    P5,
    /// Stretched conv (k 3, padding and dilation 50) and Dropout: one-shot poisoning.
    #[serde(rename = "P3+")]
    P3Plus,
}

impl fmt::Display for PoisonSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
            Self::P3Plus => "P3+",
        })
    }
}

/// Most branches that a poisoned space may have; the paper's largest has 306.
pub const MAX_BRANCHES: usize = 100_000;

/// A multiplicity outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("q = {q} is out of range for {set}: expected 0 to {max}")]
pub struct QError {
    /// The set.
    pub set: PoisonSet,
    /// What was asked for.
    pub q: usize,
    /// The largest that does.
    pub max: usize,
}

impl PoisonSet {
    /// The members with their multiplicities. The second Gaussian of P5 is the same op, so it
    /// counts twice.
    pub fn members(self) -> Vec<(Op, usize)> {
        const GAUSSIAN: Op = Op::Gaussian { sigma: 10.0 };
        const DROPOUT: Op = Op::Dropout { p: 1.0 };
        const T3: Op = Op::Transposed { k: 3 };
        const T5: Op = Op::Transposed { k: 5 };
        match self {
            Self::P1 => vec![(Op::Identity, 1)],
            Self::P2 => vec![(GAUSSIAN, 1)],
            Self::P3 => vec![(DROPOUT, 1)],
            Self::P4 => vec![(T3, 1), (T5, 1)],
            Self::P5 => vec![
                (Op::Identity, 1),
                (GAUSSIAN, 2),
                (DROPOUT, 1),
                (T3, 1),
                (T5, 1),
            ],
            Self::P3Plus => {
                vec![
                    (
                        Op::Stretched {
                            k: 3,
                            padding: 50,
                            dilation: 50,
                        },
                        1,
                    ),
                    (DROPOUT, 1),
                ]
            }
        }
    }

    /// `|P|`, multiplicities counted.
    pub fn cardinality(self) -> usize {
        self.members().iter().map(|(_, n)| n).sum()
    }

    /// The clean space with this set added `q` times; `q = 0` is the clean space itself.
    ///
    /// # Errors
    /// When the space would have more than [`MAX_BRANCHES`] branches.
    pub fn poison(self, clean: &Space, q: usize) -> Result<Space, QError> {
        let max = (MAX_BRANCHES - clean.branches().min(MAX_BRANCHES)) / self.cardinality();
        if q > max {
            return Err(QError { set: self, q, max });
        }
        let mut space = clean.clone();
        if q > 0 {
            let bad = self.members().into_iter();
            space.ops.extend(bad.map(|(op, n)| SpaceOp {
                op,
                count: n * q,
                poison: true,
            }));
        }
        Ok(space)
    }
}

impl PoisonSet {
    /// A cell space with this set on every edge `q` times; `q = 0` is the clean space.
    ///
    /// # Errors
    /// When an edge would have more than [`MAX_BAD`] bad branches.
    pub fn poison_cells(self, space: CellSpace, q: usize) -> Result<PoisonedSpace, QError> {
        let max = MAX_BAD / self.cardinality();
        if q > max {
            return Err(QError { set: self, q, max });
        }
        let bad = self.members().into_iter().filter(|_| q > 0);
        let bad = bad.map(|(op, n)| BadOps {
            op: BadOp::new(op)
                .unwrap_or_else(|e| unreachable!("members keep the size of maps: {e}")),
            count: n * q,
        });
        Ok(PoisonedSpace {
            space,
            bad: bad.collect(),
        })
    }
}

/// A poisoned search space: the set and how often it is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpacePoison {
    /// The set.
    #[serde(alias = "poison")]
    pub set: PoisonSet,
    /// Its multiplicity; 0 leaves the space clean.
    pub q: usize,
}

impl SpacePoison {
    /// Share of poison branches: the odds of a poison op under a uniform controller.
    pub fn budget(&self, clean: &Space) -> f64 {
        let bad = (self.q * self.set.cardinality()) as f64;
        bad / (clean.branches() as f64 + bad)
    }
}
