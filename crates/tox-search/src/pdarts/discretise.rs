//! From architecture weights to a genotype, as P-DARTS' published code does it.
//!
//! A cell has [`NODES`] nodes. Node `i` has an edge from each of the cell's two inputs and from each
//! earlier node: `i + 2` edges; all edges are numbered node by node, [`EDGES`] in all. An edge holds
//! candidate ops (by their index in [`Op::ALL`](crate::space::darts::Op::ALL), behind which bad ops may stand), fewer from stage to stage: 8, 5, 3. Probabilities are the
//! softmax over an edge's candidates of the cell's architecture weights; there is one for each
//! candidate, in the candidates' order.
//!
//! | step | what that code does |
//! |---|---|
//! | after stages 1 and 2 | [`Branches::prune`]: each edge loses its 3, then 2, least likely ops, `none` being one like the others |
//! | after stage 3 | [`Branches::derive`]: `none` is out; an edge's op is its likeliest; each node keeps its two likeliest edges by that op's probability |
//! | then, normal cell only | [`Branches::restrict`]: while there are more than M skip-connects, the least likely one is struck from its edge and everything is derived again |
//!
//! Equal probabilities: pruning takes the first op, so the last one stays; of equally likely edges
//! the later ones stay.

use crate::space::darts::{EDGES, NODES};

/// Index of `none`.
pub const NONE: usize = 0;

/// Index of `skip_connect`.
pub const SKIP: usize = 3;

/// Skip-connects that a normal cell may keep (M in the paper).
pub const MAX_SKIPS: usize = 2;

/// An edge of a finished cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Number of its branch.
    pub op: usize,
    /// Where it comes from: 0 and 1 are the cell's inputs, `2 + i` is node `i`.
    pub from: usize,
}

/// Why weights could not be made into ops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscretiseError {
    #[error(
        "a cell was given {candidates} lists of ops and {probabilities} of probabilities, expected \
         one of each for each edge (14 in a DARTS cell)"
    )]
    Edges {
        candidates: usize,
        probabilities: usize,
    },
    #[error(
        "edge {edge} has {ops} ops and {probabilities} probabilities, expected one for each op"
    )]
    Pairs {
        edge: usize,
        ops: usize,
        probabilities: usize,
    },
    #[error(
        "the ops of edge {edge} are {ops:?}, expected ascending numbers of branches, each once: below \
         8 in the DARTS space without bad ops"
    )]
    Ops { edge: usize, ops: Vec<usize> },
    #[error(
        "the architecture weights are {found} numbers, expected {expected}, one for each op of each edge"
    )]
    Weights { expected: usize, found: usize },
    #[error(
        "edge {edge} has a probability outside [0, 1] or NaN: its architecture weights are not \
         finite, or no softmax was taken"
    )]
    Probability { edge: usize },
    #[error("{drop} ops were to be dropped from edge {edge}, which has {ops}; leave at least one")]
    Drop {
        edge: usize,
        ops: usize,
        drop: usize,
    },
    #[error(
        "edge {edge} has no op left but none{}; keep more ops in the last stage{}",
        if *.struck { " after its skip_connect was struck" } else { "" },
        if *.struck { ", or allow more skip_connects" } else { "" }
    )]
    NothingLeft { edge: usize, struck: bool },
}

/// The branches of an edge: the published ops, and behind them bad ones if there are any.
#[derive(Clone, Copy, Debug)]
pub struct Branches(pub usize);

impl Branches {
    /// The ops that each edge keeps when its `drop` least likely ones go; for cells of any number of
    /// edges.
    ///
    /// # Errors
    /// When ops or probabilities are not as the module says, or no op would be left.
    pub fn prune(
        self,
        candidates: &[Vec<usize>],
        probabilities: &[Vec<f64>],
        drop: usize,
    ) -> Result<Vec<Vec<usize>>, DiscretiseError> {
        self.pairs(candidates, probabilities)?;
        let edges = candidates.iter().zip(probabilities).enumerate();
        edges
            .map(|(edge, (ops, probabilities))| {
                if drop >= ops.len() {
                    let ops = ops.len();
                    return Err(DiscretiseError::Drop { edge, ops, drop });
                }
                let mut order: Vec<usize> = (0..ops.len()).collect();
                order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
                let mut kept: Vec<usize> = order[drop..].iter().map(|&i| ops[i]).collect();
                kept.sort_unstable();
                Ok(kept)
            })
            .collect()
    }

    /// The cell that the last stage's probabilities give: two edges for each node, in the order of
    /// nodes and, within a node, of where they come from.
    ///
    /// # Errors
    /// When ops or probabilities are not as the module says, or an edge has no op besides `none`.
    pub fn derive(
        self,
        candidates: &[Vec<usize>],
        probabilities: &[Vec<f64>],
    ) -> Result<Vec<Edge>, DiscretiseError> {
        self.check(candidates, probabilities)?;
        let chosen = choose(candidates, probabilities, &[false; EDGES])?;
        Ok(chosen.into_iter().map(|(_, edge)| edge).collect())
    }

    /// As [`Branches::derive`], with at most `max_skips` skip-connects.
    ///
    /// # Errors
    /// As [`Branches::derive`]; also when an edge whose skip-connect was struck has no other op besides
    /// `none`.
    pub fn restrict(
        self,
        candidates: &[Vec<usize>],
        probabilities: &[Vec<f64>],
        max_skips: usize,
    ) -> Result<Vec<Edge>, DiscretiseError> {
        self.check(candidates, probabilities)?;
        let mut struck = [false; EDGES];
        loop {
            let cell = choose(candidates, probabilities, &struck)?;
            let skips = cell.iter().filter(|(_, edge)| edge.op == SKIP);
            if skips.clone().count() <= max_skips {
                return Ok(cell.into_iter().map(|(_, edge)| edge).collect());
            }
            let skip_probability = |index: usize| {
                let ops = candidates[index].iter().zip(&probabilities[index]);
                ops.filter(|(op, _)| **op == SKIP).map(|(_, p)| *p).sum()
            };
            let weakest = skips
                .map(|(index, _)| (*index, skip_probability(*index)))
                .reduce(|a: (usize, f64), b| if b.1 < a.1 { b } else { a });
            if let Some((index, _)) = weakest {
                struck[index] = true;
            }
        }
    }

    /// One op for each edge, the likeliest, `none` not left out: a cell of a space in which every edge
    /// stays (NAS-Bench-201). While it has more than `max_skips` of the op `skip`, the least likely one
    /// (the first of equals) is struck from its edge.
    ///
    /// # Errors
    /// When ops or probabilities are not as the module says, or an edge has nothing but a struck op.
    pub fn derive_each(
        self,
        candidates: &[Vec<usize>],
        probabilities: &[Vec<f64>],
        skip: usize,
        max_skips: usize,
    ) -> Result<Vec<usize>, DiscretiseError> {
        self.pairs(candidates, probabilities)?;
        let mut struck = vec![false; candidates.len()];
        loop {
            let edges = candidates.iter().zip(probabilities).enumerate();
            let chosen = edges.map(|(edge, (ops, probabilities))| {
                let struck = struck[edge];
                (ops.iter().copied().zip(probabilities.iter().copied()))
                    .filter(|&(op, _)| !(struck && op == skip))
                    .max_by(|a, b| a.1.total_cmp(&b.1))
                    .ok_or(DiscretiseError::NothingLeft { edge, struck })
            });
            let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
            let skips = chosen.iter().enumerate().filter(|(_, (op, _))| *op == skip);
            if skips.clone().count() <= max_skips {
                return Ok(chosen.into_iter().map(|(op, _)| op).collect());
            }
            let weakest = skips.reduce(|a, b| if b.1.1 < a.1.1 { b } else { a });
            if let Some((edge, _)) = weakest {
                struck[edge] = true;
            }
        }
    }

    fn check(
        self,
        candidates: &[Vec<usize>],
        probabilities: &[Vec<f64>],
    ) -> Result<(), DiscretiseError> {
        match candidates.len() {
            EDGES => self.pairs(candidates, probabilities),
            candidates => Err(DiscretiseError::Edges {
                candidates,
                probabilities: probabilities.len(),
            }),
        }
    }

    fn pairs(
        self,
        candidates: &[Vec<usize>],
        probabilities: &[Vec<f64>],
    ) -> Result<(), DiscretiseError> {
        if candidates.len() != probabilities.len() {
            return Err(DiscretiseError::Edges {
                candidates: candidates.len(),
                probabilities: probabilities.len(),
            });
        }
        for (edge, (ops, probabilities)) in candidates.iter().zip(probabilities).enumerate() {
            if ops.len() != probabilities.len() {
                return Err(DiscretiseError::Pairs {
                    edge,
                    ops: ops.len(),
                    probabilities: probabilities.len(),
                });
            }
            if !ops.is_sorted_by(|a, b| a < b) || ops.iter().any(|&op| op >= self.0) {
                return Err(DiscretiseError::Ops {
                    edge,
                    ops: ops.clone(),
                });
            }
            if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
                return Err(DiscretiseError::Probability { edge });
            }
        }
        Ok(())
    }
}

/// Probability with which the output of a skip-connect's path is dropped in an epoch of a stage,
/// from 0: `initial` is 0.1, 0.4 or 0.7 by stage in the poisoning paper's runs, `epochs` 25,
/// architecture weights are frozen for the first `frozen`, 10, and `decay` is 0.2.
/// `initial (epochs - epoch - 1) / epochs` while they are, then
/// `initial exp(-decay (epoch - frozen))`.
pub fn skip_dropout(initial: f64, epoch: usize, epochs: usize, frozen: usize, decay: f64) -> f64 {
    if epoch < frozen {
        initial * epochs.saturating_sub(epoch + 1) as f64 / epochs.max(1) as f64
    } else {
        initial * (-decay * (epoch - frozen) as f64).exp()
    }
}

/// The two edges of each node with their numbers.
fn choose(
    candidates: &[Vec<usize>],
    probabilities: &[Vec<f64>],
    struck: &[bool; EDGES],
) -> Result<Vec<(usize, Edge)>, DiscretiseError> {
    // likeliest op of each edge, the last of equal ones
    let mut likeliest = Vec::with_capacity(EDGES);
    for (edge, (ops, probabilities)) in candidates.iter().zip(probabilities).enumerate() {
        let struck = struck[edge];
        let best = (ops.iter().copied().zip(probabilities.iter().copied()))
            .filter(|&(op, _)| op != NONE && !(struck && op == SKIP))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        likeliest.push(best.ok_or(DiscretiseError::NothingLeft { edge, struck })?);
    }
    let mut cell = Vec::with_capacity(2 * NODES);
    let mut first = 0;
    for node in 0..NODES {
        let mut sources: Vec<usize> = (0..node + 2).collect();
        sources.sort_by(|&a, &b| likeliest[first + a].1.total_cmp(&likeliest[first + b].1));
        let mut kept = sources.split_off(node);
        kept.sort_unstable();
        for from in kept {
            let (op, _) = likeliest[first + from];
            cell.push((first + from, Edge { op, from }));
        }
        first += node + 2;
    }
    Ok(cell)
}
