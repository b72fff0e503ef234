//! Search-space poisoning: `S + q(P)`, a set `P` of bad ops added to the clean ops `q` times over, in
//! ENAS' macro space or on every edge of a cell space.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer;
use serde::de::value::{Error as NoSet, StrDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use tox_search::space::cells::CellSpace;
use tox_search::space::{
    BadOp, BadOps, MAX_BAD, MAX_BRANCHES, Op, OwnOps, PoisonedSpace, Space, SpaceOp,
};

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

/// A multiplicity outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("q = {q} is out of range for {set}: expected 0 to {max}")]
pub struct QError {
    /// The set.
    pub set: String,
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

    /// As [`BadSet::poison`].
    ///
    /// # Errors
    /// When the space would have more than [`MAX_BRANCHES`] branches.
    pub fn poison(self, clean: &Space, q: usize) -> Result<Space, QError> {
        BadSet::Paper(self).poison(clean, q)
    }

    /// As [`BadSet::poison_cells`].
    ///
    /// # Errors
    /// When an edge would have more than [`MAX_BAD`] bad branches.
    pub fn poison_cells(self, space: CellSpace, q: usize) -> Result<PoisonedSpace, QError> {
        BadSet::Paper(self).poison_cells(space, q)
    }

    /// The set of this name.
    pub fn named(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, NoSet> = name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

/// A set of bad ops: the paper's, or one's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum BadSet {
    Paper(PoisonSet),
    Own(OwnOps),
}

impl From<PoisonSet> for BadSet {
    fn from(set: PoisonSet) -> Self {
        Self::Paper(set)
    }
}

impl<'de> Deserialize<'de> for BadSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let own = OwnOps::deserialize(deserializer)?;
        let paper = match &own {
            OwnOps::File(name) => PoisonSet::named(name),
            OwnOps::Ops(_) => None,
        };
        Ok(paper.map_or(Self::Own(own), Self::Paper))
    }
}

impl JsonSchema for BadSet {
    fn schema_name() -> Cow<'static, str> {
        "BadSet".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let [paper, own] = [
            generator.subschema_for::<PoisonSet>(),
            generator.subschema_for::<OwnOps>(),
        ];
        json_schema!({ "anyOf": [paper, own] })
    }
}

/// The paper's name, or the ops of the set.
impl fmt::Display for BadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paper(set) => set.fmt(f),
            Self::Own(OwnOps::File(name)) => f.write_str(name),
            Self::Own(OwnOps::Ops(_)) => {
                let name = |(op, n): (Op, usize)| match n {
                    1 => op.to_string(),
                    n => format!("{op} {n} times"),
                };
                let names: Vec<String> = self.members().into_iter().map(name).collect();
                match names.len() {
                    0..=3 => f.write_str(&names.join(" + ")),
                    n => write!(f, "{n} ops"),
                }
            }
        }
    }
}

impl BadSet {
    /// The members with their multiplicities, each once.
    pub fn members(&self) -> Vec<(Op, usize)> {
        match self {
            Self::Paper(set) => set.members(),
            Self::Own(own) => {
                let mut all: Vec<(Op, usize)> = Vec::new();
                for op in own.ops() {
                    match all.iter_mut().find(|(known, _)| *known == op.op) {
                        Some((_, n)) => *n += op.count,
                        None => all.push((op.op, op.count)),
                    }
                }
                all
            }
        }
    }

    /// `|P|`, multiplicities counted.
    pub fn cardinality(&self) -> usize {
        self.members().iter().map(|(_, n)| n).sum()
    }

    /// Refuses a multiplicity that makes more than `most` branches.
    fn fits(&self, q: usize, most: usize) -> Result<(), QError> {
        let max = most / self.cardinality().max(1);
        let set = self.to_string();
        (q <= max).then_some(()).ok_or(QError { set, q, max })
    }

    /// The clean space with this set added `q` times; `q = 0` is the clean space itself.
    ///
    /// # Errors
    /// When the space would have more than [`MAX_BRANCHES`] branches.
    pub fn poison(&self, clean: &Space, q: usize) -> Result<Space, QError> {
        self.fits(q, MAX_BRANCHES.saturating_sub(clean.branches()))?;
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

    /// A cell space with this set on every edge `q` times; `q = 0` is the clean space.
    ///
    /// # Errors
    /// When an edge would have more than [`MAX_BAD`] bad branches.
    pub fn poison_cells(&self, space: CellSpace, q: usize) -> Result<PoisonedSpace, QError> {
        self.fits(q, MAX_BAD)?;
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpacePoison {
    /// The set: one of the paper's, or a file of ops in the format of `toxscreen screen`, relative to the
    /// recipe. Its ops, and not its name, are a part of the trial's id.
    #[serde(alias = "poison")]
    pub set: BadSet,
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
