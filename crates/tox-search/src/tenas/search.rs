//! The search: prune every edge to one op, then every node to two edges.

use super::config::TenasError;
use super::left::{DARTS, Left};
use super::rank::{Candidate, Drops, drop, pruned, removed, ties};
use super::score::{Scene, Scorer};
use crate::space::PoisonedSpace;
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::darts::{Cell, Edge, Genotype, NODES, edge_index};
use crate::space::nasbench201;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{self, Buffers, CheckpointError, Hooks, Machine, Slot};
use tox_nn::Device;

/// What a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub genotype: CellGenotype,
    /// What every round removed, in the order of the ranking.
    pub rounds: Vec<Vec<Candidate>>,
    /// Of these, those in whose place a candidate with equal scores could have gone: the order of the list
    /// decided.
    pub ties: usize,
}

/// Searches, or goes on from a checkpoint. `None` means that it was asked to stop and has saved itself.
///
/// # Errors
/// When a number is out of range, the images will not do, or the checkpoint fails.
pub fn run(
    scene: Scene<'_>,
    device: Device,
    mut hooks: Hooks<'_>,
) -> Result<Option<Found>, TenasError> {
    scene.config.check(scene.space.space, scene.images.shape)?;
    scene.space.check()?;
    let mut search = Search {
        scorer: Scorer::new(scene, device),
        scene,
        at: At {
            left: Left::fresh(scene.space),
            rounds: Vec::new(),
            ties: 0,
            sums: Vec::new(),
            scored: 0,
        },
    };
    let done = checkpoint::drive(&mut search, &mut hooks)?;
    Ok(done.then(|| search.found()))
}

/// Where a search stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct At {
    left: Left,
    rounds: Vec<Vec<Candidate>>,
    #[serde(default)]
    ties: usize,
    /// Bits of the sums over repeats of this round's drops, kernel and regions, of every candidate so
    /// far: JSON knows no infinity.
    sums: Vec<[u64; 2]>,
    /// Repeats of this round's candidates so far.
    scored: usize,
}

struct Search<'a> {
    scorer: Scorer<'a>,
    scene: Scene<'a>,
    at: At,
}

/// Edges into a node that stay in the DARTS space.
const KEPT: usize = 2;

/// What a round may take.
enum Round {
    /// Ops, from every edge that has several.
    Ops(Vec<Candidate>),
    /// Edges, each with its one op, from a node that has more than [`KEPT`].
    Edges(Vec<Candidate>),
}

/// The next round; `None` when nothing is left to take.
fn round(space: &PoisonedSpace, left: &Left) -> Option<Round> {
    let space = space.space;
    let ops = left.candidates();
    if !ops.is_empty() {
        return Some(Round::Ops(ops));
    }
    if space == CellSpace::NasBench201 {
        return None;
    }
    let nodes = (0..space.kinds().len()).flat_map(|cell| (0..NODES).map(move |node| (cell, node)));
    let mut nodes = nodes.map(|(cell, node)| left.node(cell, node));
    nodes.find(|edges| edges.len() > KEPT).map(Round::Edges)
}

impl Search<'_> {
    /// Scores the next repeat of a candidate.
    fn score(&mut self, candidate: &Candidate) {
        let (at, repeats) = (&mut self.at, self.scene.config.repeats);
        let (place, repeat) = (at.scored / repeats, at.scored % repeats);
        let draw = [at.rounds.len(), place, repeat].map(|i| i as u64);
        let without = at.left.without(candidate);
        let both = [&at.left, &without];
        let kernel = self.scorer.kernel(&both, &draw);
        let regions = self.scorer.regions(&both, &draw);
        if repeat == 0 {
            at.sums.push([0.0f64.to_bits(); 2]);
        }
        if let Some(sums) = at.sums.last_mut() {
            for (sum, score) in sums.iter_mut().zip([kernel, regions]) {
                *sum = (f64::from_bits(*sum) + drop(score[0], score[1])).to_bits();
            }
        }
        at.scored += 1;
    }

    /// Ends a round whose candidates are all scored.
    fn take(&mut self, round: &Round) {
        let repeats = self.scene.config.repeats as f64;
        let mean = |bits: u64| f64::from_bits(bits) / repeats;
        let drops = self.at.sums.iter().map(|sums| Drops {
            kernel: mean(sums[0]),
            regions: mean(sums[1]),
        });
        let drops = drops.map(|drops| drops.turned(self.scene.direction));
        let drops: Vec<Drops> = drops.collect();
        let most = self.scene.config.prune(self.scene.space.space);
        let left = &self.at.left;
        let number = |c: &Candidate| most.min(left.0[c.cell][c.edge].len() - 1);
        let (gone, ties) = match round {
            Round::Ops(candidates) => {
                let gone = pruned(candidates, &drops, number);
                let ties = ties(candidates, &drops, &gone, |c| (c.cell, c.edge));
                (gone, ties)
            }
            Round::Edges(candidates) => {
                let gone = removed(candidates, &drops, KEPT);
                let ties = ties(candidates, &drops, &gone, |c| c.cell);
                (gone, ties)
            }
        };
        self.at.ties += ties;
        gone.iter()
            .for_each(|candidate| self.at.left.remove(candidate));
        self.at.rounds.push(gone);
        (self.at.sums, self.at.scored) = (Vec::new(), 0);
    }

    fn found(self) -> Found {
        Found {
            genotype: genotype(self.scene.space, &self.at.left),
            rounds: self.at.rounds,
            ties: self.at.ties,
        }
    }
}

/// Candidates that rounds from here on will score: how many does not depend on which go.
fn ahead(space: &PoisonedSpace, left: &Left, prune: usize) -> usize {
    let mut sizes: Vec<usize> = left.0.iter().flatten().map(Vec::len).collect();
    let mut ahead = 0;
    while sizes.iter().any(|ops| *ops > 1) {
        for ops in sizes.iter_mut().filter(|ops| **ops > 1) {
            ahead += *ops;
            *ops -= prune.min(*ops - 1);
        }
    }
    if space.space == CellSpace::Darts {
        for edges in &left.0 {
            let nodes = (0..NODES).map(|node| {
                let edges = &edges[edge_index(node, 0)..][..node + 2];
                edges.iter().filter(|ops| !ops.is_empty()).count()
            });
            ahead += nodes.filter(|edges| *edges > KEPT).sum::<usize>();
        }
    }
    ahead
}

/// What is left when no round can take anything.
fn genotype(space: &PoisonedSpace, left: &Left) -> CellGenotype {
    match space.space {
        CellSpace::NasBench201 => {
            let all = space.with(&nasbench201::Op::ALL);
            let op = |e: usize| left.0[0][e].first().copied().unwrap_or(0);
            let ops = std::array::from_fn(|e| all[op(e)]);
            CellGenotype::NasBench201(nasbench201::Cell { ops })
        }
        CellSpace::Darts => {
            let all = space.with(&DARTS);
            let cell = |cell: usize| {
                let node = |node: usize| {
                    let kept = left.node(cell, node).into_iter();
                    let mut kept = kept.map(|c| Edge {
                        input: c.edge - edge_index(node, 0),
                        op: all[c.op],
                    });
                    std::array::from_fn(|_| {
                        kept.next()
                            .unwrap_or_else(|| unreachable!("two edges a node"))
                    })
                };
                let cell = Cell::new(std::array::from_fn(node));
                cell.unwrap_or_else(|e| unreachable!("edges come from earlier states: {e}"))
            };
            CellGenotype::Darts(Genotype {
                normal: cell(0),
                reduce: cell(1),
            })
        }
    }
}

impl Machine for Search<'_> {
    type Header = At;

    fn done(&self) -> bool {
        round(self.scene.space, &self.at.left).is_none()
    }

    fn advance(&mut self, progress: &mut dyn FnMut(f64, &str)) {
        let (space, config) = (self.scene.space, self.scene.config);
        let Some(now) = round(space, &self.at.left) else {
            return;
        };
        let (Round::Ops(candidates) | Round::Edges(candidates)) = &now;
        let prune = config.prune(space.space);
        if let Some(candidate) = candidates.get(self.at.scored / config.repeats) {
            self.score(candidate);
        }
        let scored = self.at.scored as f64 / config.repeats as f64;
        let all = ahead(space, &Left::fresh(space), prune) as f64;
        let done = 1.0 - (ahead(space, &self.at.left, prune) as f64 - scored) / all;
        let message = format!(
            "tenas, round {}, candidate {}/{}",
            self.at.rounds.len() + 1,
            self.at.scored.div_ceil(config.repeats),
            candidates.len()
        );
        if self.at.scored == candidates.len() * config.repeats {
            self.take(&now);
        }
        progress(done, &message);
    }

    fn save(&mut self, slot: Slot<'_>) -> Result<(), CheckpointError> {
        slot.write(&self.at, &[])
    }

    fn resume(&mut self, at: At, _: Buffers) -> Result<(), String> {
        let repeats = self.scene.config.repeats;
        if !at.left.is_of(self.scene.space) || at.sums.len() != at.scored.div_ceil(repeats) {
            return Err("its ops or scores are of another search".into());
        }
        let candidates = match round(self.scene.space, &at.left) {
            Some(Round::Ops(candidates) | Round::Edges(candidates)) => candidates.len(),
            None => 0,
        };
        if at.scored > candidates * repeats {
            return Err(format!("{} scores of {candidates} candidates", at.scored));
        }
        self.at = at;
        Ok(())
    }
}
