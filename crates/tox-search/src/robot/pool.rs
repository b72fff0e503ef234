//! The pool of random architectures.
//!
//! The published draw of a genotype is 28 rows of seven uniform numbers, one for each edge of both
//! cells, read as DARTS reads the weights of a search: an edge's op is its largest column but the first,
//! which stands for `none`, and a node keeps its two strongest edges. Seven columns leave out
//! `dil_conv_5x5`, the eighth op. The softmax that is taken before leaves the order within a row, but
//! not that of edges: an edge is strong if its largest number stands out from its others.

use crate::space::PoisonedSpace;
use crate::space::cells::{CellGenotype, CellSpace};
use crate::space::darts::{Cell, EDGES, Edge, Genotype, Inputs, NODES, Op, edge_index};
use crate::space::nasbench201::{self, CELLS};
use rand::RngExt;
use rand::seq::index::sample;
use std::collections::BTreeSet;
use tox_data::rng::stream;

/// Different architectures: at most `size` draws, without those that were drawn before. Of
/// NAS-Bench-201 each cell is drawn once; if `size` are as many as there are, they come in their own
/// order.
///
/// A bad branch of a poisoned space is one more column of the DARTS space, and one more op of an edge
/// that any draw takes with equal odds in NAS-Bench-201, of whose cells then none is sure to be drawn.
pub fn draw(
    space: impl Into<PoisonedSpace>,
    size: usize,
    all_ops: bool,
    seed: u64,
) -> Vec<CellGenotype> {
    let space = space.into();
    match space.space {
        CellSpace::NasBench201 if !space.is_clean() => {
            let mut seen = BTreeSet::new();
            let draws = (0..size as u64).map(|i| {
                let mut rng = stream(seed, "robot/pool", &[i]);
                space.random(&mut rng, Inputs::Distinct)
            });
            draws.filter(|cell| seen.insert(*cell)).collect()
        }
        CellSpace::NasBench201 if size >= CELLS => nasbench201::Cell::all()
            .map(CellGenotype::NasBench201)
            .collect(),
        CellSpace::NasBench201 => {
            let all: Vec<_> = nasbench201::Cell::all().collect();
            let chosen = sample(&mut stream(seed, "robot/pool", &[]), CELLS, size);
            chosen
                .into_iter()
                .map(|i| CellGenotype::NasBench201(all[i]))
                .collect()
        }
        CellSpace::Darts => {
            let mut seen = BTreeSet::new();
            let published = if all_ops { 8 } else { 7 };
            let ops = space.with(&Op::ALL[..published]);
            let columns = ops.len();
            let draws = (0..size as u64).map(|i| {
                let mut rng = stream(seed, "robot/pool", &[i]);
                let mut row = |_| (0..columns).map(|_| rng.random()).collect();
                let mut cell = || (0..EDGES).map(&mut row).collect::<Vec<Vec<f64>>>();
                genotype_of(&ops, &[cell(), cell()])
            });
            draws
                .filter(|g| seen.insert(*g))
                .map(CellGenotype::Darts)
                .collect()
        }
    }
}

/// The genotype of weights `[cell][edge][op]`, normal cell first; of at most eight ops, beginning with
/// `none`. Of equal edges and ops the first wins; a node's stronger edge comes first.
pub fn genotype(weights: &[Vec<Vec<f64>>; 2]) -> Genotype {
    genotype_of(&Op::ALL, weights)
}

/// As [`genotype`], of these ops, beginning with `none`.
fn genotype_of(ops: &[Op], weights: &[Vec<Vec<f64>>; 2]) -> Genotype {
    let cell = |rows: &[Vec<f64>]| {
        let best: Vec<(f64, usize)> = rows.iter().map(|row| strongest(row)).collect();
        let node = |node: usize| {
            let mut inputs: Vec<usize> = (0..node + 2).collect();
            let strength = |input: usize| best[edge_index(node, input)].0;
            // Stable: of equals the first stays in front.
            inputs.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)));
            [inputs[0], inputs[1]].map(|input| Edge {
                input,
                op: ops[best[edge_index(node, input)].1],
            })
        };
        let nodes: [[Edge; 2]; NODES] = std::array::from_fn(node);
        Cell::new(nodes).unwrap_or_else(|e| unreachable!("edges come from earlier states: {e}"))
    };
    Genotype {
        normal: cell(&weights[0]),
        reduce: cell(&weights[1]),
    }
}

/// The largest probability of a row but that of its first column, and whose it is.
fn strongest(row: &[f64]) -> (f64, usize) {
    let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|v| (v - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    let mut best = (f64::NEG_INFINITY, 0);
    for (op, power) in powers.iter().enumerate().skip(1) {
        if power / sum > best.0 {
            best = (power / sum, op);
        }
    }
    best
}
