//! Architectures of three spaces as rows of integers, for searches that cross and mutate them and
//! for votes gene by gene.
//!
//! | space | genes | gene |
//! |---|---|---|
//! | NAS-Bench-201 | 6 | the branch of an edge, in the order of the arch string |
//! | DARTS | 24 | for each node of the normal cell, then of the reduction cell: the pair of states that it reads, then the branch on the first and on the second |
//! | elastic | 46 | see [`ElasticSpace::encode`] |
//!
//! Pairs of states are counted (0, 1), (0, 2), (1, 2), (0, 3), ...; ops of DARTS from the first after
//! `none`, which no genotype of a search has. Branches are the published ops and then the bad ones. In the
//! cell spaces every row is another network, but for copies of a bad op, of which [`GeneSpace::encode`]
//! gives the first. In the elastic space genes of layers that a block does not have are not read: equal networks may have
//! different rows, of which [`GeneSpace::encode`] gives the one with zeros there.

use crate::cell::SupernetShape;
use crate::count::{self, Counts};
use crate::nsga::Genome;
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::darts::{self, Inputs, NODES};
use crate::space::elastic::{self, Arch, DEPTHS, EXPANSIONS, ElasticSpace, KERNELS};
use crate::space::nasbench201;
use crate::space::{PoisonedSpace, SpaceError};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Genes of a cell of DARTS.
const CELL_GENES: usize = 3 * NODES;
/// Genes of a genotype of DARTS.
const DARTS_GENES: usize = 2 * CELL_GENES;

/// An architecture of any of the spaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "a search has few")]
pub enum Architecture {
    Cell(CellGenotype),
    Elastic(Arch),
}

/// The text in which it is exchanged: a genotype or arch string, or the JSON of a `.subnet` file.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell(genotype) => genotype.fmt(f),
            Self::Elastic(Arch { ks, e, d, r }) => {
                write!(f, r#"{{"ks": {ks:?}, "e": {e:?}, "d": {d:?}, "r": {r}}}"#)
            }
        }
    }
}

impl Architecture {
    /// Edges that hold a bad op, and all edges; `None` of an elastic network, which has no edges.
    pub fn bad_edges(&self) -> Option<[usize; 2]> {
        match self {
            Self::Cell(genotype) => Some([genotype.bad_ops().len(), genotype.edges()]),
            Self::Elastic(_) => None,
        }
    }

    /// What [`Architecture::op_counts`] counts: kinds of cells with the names of their published ops; of an elastic
    /// network depths, kernel sizes and expansions.
    pub fn kinds(&self) -> Vec<(String, Vec<String>)> {
        match self {
            Self::Cell(genotype) => {
                let space = genotype.space();
                let ops = || space.ops().into_iter().map(str::to_owned).collect();
                let kinds = space.kinds().iter();
                kinds.map(|kind| ((*kind).to_owned(), ops())).collect()
            }
            Self::Elastic(_) => ELASTIC
                .map(|(kind, values)| (kind.to_owned(), values.map(|v| v.to_string()).into()))
                .into(),
        }
    }

    /// How many edges of each kind of cell have each published op; of an elastic network, how many blocks have
    /// each depth, and layers each kernel size and expansion.
    pub fn op_counts(&self) -> Vec<Vec<usize>> {
        match self {
            Self::Cell(genotype) => genotype.op_counts(),
            Self::Elastic(arch) => {
                let of = |chosen: &[usize], values: [usize; 3]| {
                    let count = |value| chosen.iter().filter(|v| **v == value).count();
                    values.map(count).to_vec()
                };
                let [(_, depths), (_, kernels), (_, expansions)] = ELASTIC;
                vec![
                    of(&arch.d, depths),
                    of(&arch.ks, kernels),
                    of(&arch.e, expansions),
                ]
            }
        }
    }
}

/// What is chosen in the elastic space.
const ELASTIC: [(&str, [usize; 3]); 3] = [
    ("depth", DEPTHS),
    ("kernel", KERNELS),
    ("expansion", EXPANSIONS),
];

/// A space whose architectures have an integer encoding.
#[derive(Clone, Debug, PartialEq)]
pub enum GeneSpace {
    /// One of the cell spaces, with its bad ops.
    Cell(PoisonedSpace),
    Elastic(ElasticSpace),
}

impl GeneSpace {
    /// Options of every gene: gene `g` is below the `g`-th of them.
    pub fn choices(&self) -> Vec<usize> {
        match self {
            Self::Cell(space) => {
                let ops = space.ops().len();
                match space.space {
                    CellSpace::NasBench201 => vec![ops; nasbench201::EDGES],
                    CellSpace::Darts => {
                        let node = |node: usize| [pairs(node), ops - 1, ops - 1];
                        let cell: Vec<usize> = (0..NODES).flat_map(node).collect();
                        cell.repeat(2)
                    }
                }
            }
            Self::Elastic(space) => space.highest().map(|highest| highest + 1).into(),
        }
    }

    /// What most of `votes` have, gene by gene, of equals what the first of them has; none without
    /// votes. On a layer of an elastic network only those vote that have it.
    ///
    /// # Errors
    /// A vote that has no row, see [`GeneSpace::encode`].
    pub fn vote(&self, votes: &[Architecture]) -> Result<Option<Architecture>, SpaceError> {
        let rows: Result<Vec<Genome>, _> = votes.iter().map(|vote| self.encode(vote)).collect();
        let rows = rows?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let winner = |gene: usize| {
            let reads = |row: &&Genome| match self {
                Self::Elastic(_) => elastic::reads(row, gene),
                Self::Cell(_) => true,
            };
            let values: Vec<usize> = rows.iter().filter(reads).map(|row| row[gene]).collect();
            let count = |value: usize| values.iter().filter(|v| **v == value).count();
            // The last of equals wins, so the first vote comes last.
            let most = values.iter().rev().max_by_key(|value| count(**value));
            most.copied().unwrap_or_default()
        };
        let genes: Genome = (0..first.len()).map(winner).collect();
        self.decode(&genes).map(Some)
    }

    /// The row of an architecture.
    ///
    /// # Errors
    /// An architecture of another space or with a bad op that the space has not, or a genotype with `none` or with a node that reads a state
    /// twice, which have no row.
    pub fn encode(&self, architecture: &Architecture) -> Result<Genome, SpaceError> {
        match (self, architecture) {
            (Self::Cell(space), Architecture::Cell(CellGenotype::NasBench201(cell)))
                if space.space == CellSpace::NasBench201 =>
            {
                let all = space.with(&nasbench201::Op::ALL);
                let place = |op: &nasbench201::Op| all.iter().position(|other| other == op);
                let genes: Option<Genome> = cell.ops.iter().map(place).collect();
                genes.ok_or_else(|| self.foreign(architecture))
            }
            (
                Self::Cell(space),
                Architecture::Cell(CellGenotype::Darts(darts::Genotype { normal, reduce })),
            ) if space.space == CellSpace::Darts => {
                let all = space.with(&darts::Op::ALL);
                let mut genes = Genome::with_capacity(DARTS_GENES);
                for (part, cell) in [("normal", normal), ("reduce", reduce)] {
                    for (node, edges) in cell.nodes().iter().enumerate() {
                        if edges.iter().any(|edge| !all.contains(&edge.op)) {
                            return Err(self.foreign(architecture));
                        }
                        genes.extend(encode_node(edges, &all).map_err(|found| {
                            SpaceError::Part {
                                part,
                                source: Box::new(refusal(node, found)),
                            }
                        })?);
                    }
                }
                Ok(genes)
            }
            (Self::Elastic(space), Architecture::Elastic(arch)) => Ok(space.encode(arch)?.into()),
            _ => Err(self.foreign(architecture)),
        }
    }

    /// The architecture of a row.
    ///
    /// # Errors
    /// Another number of genes, a gene out of range.
    pub fn decode(&self, genes: &[usize]) -> Result<Architecture, SpaceError> {
        let space = match self {
            Self::Elastic(space) => return space.decode(genes).map(Architecture::Elastic),
            Self::Cell(space) => space,
        };
        let (meanings, layout): (&[&'static str], _) = match space.space {
            CellSpace::NasBench201 => (
                &["an op"],
                "the ops of six edges, in the order of the arch string",
            ),
            CellSpace::Darts => (
                &["a pair of states", "an op but `none`", "an op but `none`"],
                "for each node of both cells the pair of states that it reads, and two ops",
            ),
        };
        let choices = self.choices();
        if genes.len() != choices.len() {
            return Err(SpaceError::Genes {
                found: genes.len(),
                expected: choices.len(),
                layout,
            });
        }
        for (gene, (found, options)) in genes.iter().zip(&choices).enumerate() {
            if found >= options {
                return Err(SpaceError::Gene {
                    gene,
                    meaning: meanings[gene % meanings.len()],
                    found: *found,
                    highest: options - 1,
                });
            }
        }
        Ok(Architecture::Cell(match space.space {
            CellSpace::NasBench201 => {
                let all = space.with(&nasbench201::Op::ALL);
                let ops = std::array::from_fn(|edge| all[genes[edge]]);
                CellGenotype::NasBench201(nasbench201::Cell { ops })
            }
            CellSpace::Darts => {
                let all = space.with(&darts::Op::ALL);
                let (normal, reduce) = genes.split_at(CELL_GENES);
                CellGenotype::Darts(darts::Genotype {
                    normal: decode_cell(normal, &all)?,
                    reduce: decode_cell(reduce, &all)?,
                })
            }
        }))
    }

    /// The row that [`GeneSpace::encode`] gives for the network of a row of a cell space; of the elastic
    /// space the row as it is, since predictors of the published code see genes that are not read.
    ///
    /// # Errors
    /// As [`GeneSpace::decode`].
    pub fn canonical(&self, genes: &[usize]) -> Result<Genome, SpaceError> {
        match self {
            Self::Cell(space) if !space.is_clean() => self.encode(&self.decode(genes)?),
            Self::Cell(_) | Self::Elastic(_) => Ok(genes.to_vec()),
        }
    }

    /// The share of bad edges that is expected by chance, see [`PoisonedSpace::chance`].
    pub fn chance(&self) -> f64 {
        match self {
            Self::Cell(space) => space.chance(),
            Self::Elastic(_) => 0.0,
        }
    }

    /// A random architecture: each cell of a clean cell space is as likely, each branch of a poisoned one; see
    /// [`ElasticSpace::random`] for the elastic one.
    pub fn random(&self, rng: &mut impl Rng) -> Architecture {
        match self {
            Self::Cell(space) => Architecture::Cell(match space.random(rng, Inputs::Distinct) {
                CellGenotype::Darts(genotype) => CellGenotype::Darts(genotype.canonical()),
                cell @ CellGenotype::NasBench201(_) => cell,
            }),
            Self::Elastic(space) => Architecture::Elastic(space.random(rng)),
        }
    }

    /// The smallest and the largest architecture, if the space has them: the cell spaces do not, where
    /// no network contains all others.
    pub fn extremes(&self) -> Option<[Architecture; 2]> {
        match self {
            Self::Cell(_) => None,
            Self::Elastic(space) => Some(space.extremes().map(Architecture::Elastic)),
        }
    }

    /// Parameters and multiply-adds of the network of an architecture: of a cell in a network of
    /// `channels` and `cells` on images of `input`, of an elastic one on RGB images of its own
    /// resolution.
    pub fn counts(
        &self,
        architecture: &Architecture,
        shape: SupernetShape,
    ) -> Result<Counts, SpaceError> {
        let SupernetShape {
            channels,
            cells,
            classes,
            input,
        } = shape;
        match (self, architecture) {
            (Self::Elastic(space), Architecture::Elastic(arch)) => {
                count::elastic(space, arch, classes)
            }
            (Self::Cell(_), Architecture::Cell(CellGenotype::Darts(genotype))) => {
                let network = darts::Network {
                    channels,
                    layers: cells,
                    classes,
                    input,
                    auxiliary: false,
                };
                count::darts(genotype, &network)
            }
            (Self::Cell(_), Architecture::Cell(CellGenotype::NasBench201(cell))) => {
                let network = nasbench201::Network {
                    channels,
                    cells,
                    classes,
                    input,
                };
                count::nasbench201(cell, &network)
            }
            _ => Err(self.foreign(architecture)),
        }
    }

    fn foreign(&self, architecture: &Architecture) -> SpaceError {
        SpaceError::Network {
            what: "architecture",
            found: architecture.to_string(),
            expected: format!("one of {}", self.name()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Cell(space) => match space.space {
                CellSpace::Darts => "the DARTS space",
                CellSpace::NasBench201 => "NAS-Bench-201",
            },
            Self::Elastic(_) => "the elastic space",
        }
    }
}

/// Pairs of different states that a node may read.
fn pairs(node: usize) -> usize {
    (node + 2) * (node + 1) / 2
}

/// Why a node has no genes: an op, or the state that it reads twice.
enum Unencodable {
    None,
    Twice(usize),
}

fn refusal(node: usize, found: Unencodable) -> SpaceError {
    let (what, found) = match found {
        Unencodable::None => ("op", format!("`none`, into node {}", node + 2)),
        Unencodable::Twice(state) => {
            let text = format!("state {state} and state {state} into node {}", node + 2);
            ("pair of edges", text)
        }
    };
    SpaceError::Network {
        what,
        found,
        expected: "two different states and an op but `none` on each, which alone have genes"
            .to_owned(),
    }
}

fn encode_node(edges: &[darts::Edge; 2], all: &[darts::Op]) -> Result<[usize; 3], Unencodable> {
    let mut edges = *edges;
    edges.sort_unstable();
    let [first, second] = edges;
    if first.input == second.input {
        return Err(Unencodable::Twice(first.input));
    }
    let op = |edge: darts::Edge| {
        let place = all.iter().position(|op| *op == edge.op);
        place.unwrap_or(0).checked_sub(1).ok_or(Unencodable::None)
    };
    let pair = second.input * (second.input - 1) / 2 + first.input;
    Ok([pair, op(first)?, op(second)?])
}

/// The cell of genes that are in range.
fn decode_cell(genes: &[usize], all: &[darts::Op]) -> Result<darts::Cell, SpaceError> {
    let node = |node: usize| {
        let [pair, ops @ ..] = [0, 1, 2].map(|i| genes[3 * node + i]);
        // The pairs with one later state come one after the other.
        let second = (1..=node + 1).rev().find(|s| s * (s - 1) / 2 <= pair);
        let second = second.unwrap_or(1);
        let inputs = [pair - second * (second - 1) / 2, second];
        std::array::from_fn(|i| darts::Edge {
            input: inputs[i],
            op: all[1 + ops[i]],
        })
    };
    darts::Cell::new(std::array::from_fn(node))
}
