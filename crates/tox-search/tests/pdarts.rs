//! P-DARTS' discretisation against cells worked out by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use proptest::prelude::*;
use tox_search::pdarts::discretise::{
    Branches, DiscretiseError, Edge, MAX_SKIPS, NONE, SKIP, skip_dropout,
};
use tox_search::space::darts::{EDGES, Op};

/// The published ops.
const OPS: Branches = Branches(8);

const MAX: usize = 1;
const AVG: usize = 2;
const SEP3: usize = 4;
const SEP5: usize = 5;
const DIL3: usize = 6;
const DIL5: usize = 7;

/// What the first stage begins with.
fn all_ops() -> Vec<Vec<usize>> {
    vec![(0..8).collect(); EDGES]
}

type Table = (Vec<Vec<usize>>, Vec<Vec<f64>>);

fn table(edges: &[[(usize, f64); 3]]) -> Table {
    let ops = edges.iter().map(|e| e.iter().map(|(op, _)| *op).collect());
    let probabilities = edges.iter().map(|e| e.iter().map(|(_, p)| *p).collect());
    (ops.collect(), probabilities.collect())
}

/// A last stage; beside each edge the op that it will have.
fn last_stage() -> Table {
    table(&[
        // node 0
        [(NONE, 0.5), (SKIP, 0.3), (SEP3, 0.2)], // skip 0.3
        [(SKIP, 0.2), (SEP3, 0.5), (DIL5, 0.3)], // sep3 0.5
        // node 1
        [(MAX, 0.4), (SKIP, 0.35), (SEP5, 0.25)], // max 0.4, kept
        [(NONE, 0.6), (SKIP, 0.25), (SEP3, 0.15)], // skip 0.25
        [(NONE, 0.1), (AVG, 0.3), (DIL3, 0.6)],   // dil3 0.6, kept
        // node 2
        [(SKIP, 0.5), (SEP3, 0.3), (SEP5, 0.2)], // skip 0.5, kept
        [(NONE, 0.34), (SKIP, 0.33), (SEP3, 0.33)], // sep3 0.33: the last of equals
        [(MAX, 0.1), (SKIP, 0.6), (SEP3, 0.3)],  // skip 0.6, kept
        [(NONE, 0.9), (SKIP, 0.06), (DIL5, 0.04)], // skip 0.06
        // node 3: three edges have 0.4, the later two are kept
        [(SKIP, 0.4), (SEP3, 0.35), (SEP5, 0.25)], // skip 0.4
        [(NONE, 0.2), (SKIP, 0.4), (SEP5, 0.4)],   // sep5 0.4, kept
        [(NONE, 0.5), (MAX, 0.3), (SEP3, 0.2)],    // max 0.3
        [(SKIP, 0.4), (DIL3, 0.3), (DIL5, 0.3)],   // skip 0.4, kept
        [(NONE, 0.7), (SKIP, 0.2), (SEP3, 0.1)],   // skip 0.2
    ])
}

fn cell(edges: [(usize, usize); 8]) -> Vec<Edge> {
    edges.iter().map(|&(op, from)| Edge { op, from }).collect()
}

/// The cell of [`last_stage`]: ops and where their input is from.
const BY_HAND: [(usize, usize); 8] = [
    (SKIP, 0),
    (SEP3, 1),
    (MAX, 0),
    (DIL3, 2),
    (SKIP, 0),
    (SKIP, 2),
    (SEP5, 1),
    (SKIP, 3),
];

#[test]
fn the_last_stage_gives_the_cell_worked_out_by_hand() {
    let (ops, probabilities) = last_stage();
    let expected = cell(BY_HAND);
    assert_eq!(OPS.derive(&ops, &probabilities).unwrap(), expected);
    for enough in [4, 5, 8] {
        assert_eq!(
            OPS.restrict(&ops, &probabilities, enough).unwrap(),
            expected
        );
    }
}

#[test]
fn skips_are_struck_one_by_one_and_the_cell_derived_again() {
    let (ops, probabilities) = last_stage();
    let restricted = |most| OPS.restrict(&ops, &probabilities, most).unwrap();
    // node 0 loses its skip (0.3), so three are left
    let mut three = BY_HAND;
    three[0] = (SEP3, 0);
    let three = cell(three);
    assert_eq!(restricted(3), three);
    // node 3's skip from 3 (0.4) is struck; the edge falls to 0.3, and the skip from 0 (0.4), which
    // was not in the cell, comes in for it; it is struck too, but its sep3 (0.35) stays
    let mut two = three.clone();
    (two[6], two[7]) = (Edge { op: SEP3, from: 0 }, Edge { op: SEP5, from: 1 });
    assert_eq!(restricted(2), two);
    assert_eq!(restricted(MAX_SKIPS), two);
    // node 2's skip from 0 (0.5): its edge falls to 0.3, behind sep3 from 1 (0.33)
    let mut one = two.clone();
    (one[4], one[5]) = (Edge { op: SEP3, from: 1 }, Edge { op: SKIP, from: 2 });
    assert_eq!(restricted(1), one);
    // the last one (0.6): sep3 from 0 and from 2 have 0.3 both, the later one stays
    let mut none = one.clone();
    none[5] = Edge { op: SEP3, from: 2 };
    assert_eq!(restricted(0), none);
}

#[test]
fn stages_drop_the_least_likely_ops() {
    let mut ops = all_ops();
    // none is one like the others: dropped where it is unlikely, kept where it is not
    let mut probabilities = vec![vec![0.02, 0.1, 0.2, 0.05, 0.3, 0.08, 0.15, 0.1]; 14];
    probabilities[3] = vec![0.4, 0.1, 0.05, 0.05, 0.1, 0.2, 0.05, 0.05];
    ops = OPS.prune(&ops, &probabilities, 3).unwrap();
    assert_eq!(ops[0], [MAX, AVG, SEP3, DIL3, DIL5]);
    // of four ops with 0.05 the first three go
    assert_eq!(ops[3], [NONE, MAX, SEP3, SEP5, DIL5]);
    probabilities = vec![vec![0.2, 0.1, 0.4, 0.25, 0.05]; 14];
    ops = OPS.prune(&ops, &probabilities, 2).unwrap();
    assert_eq!(ops[0], [MAX, SEP3, DIL3]);
    assert_eq!(ops[3], [NONE, SEP3, SEP5]);
    assert_eq!(
        OPS.prune(&ops, &vec![vec![0.5, 0.3, 0.2]; 14], 0).unwrap(),
        ops
    );
}

#[test]
fn names_are_those_of_darts() {
    let named = [NONE, MAX, AVG, SKIP, SEP3, SEP5, DIL3, DIL5].map(|op| Op::ALL[op].name());
    let expected = "none max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 \
                    dil_conv_3x3 dil_conv_5x5";
    assert_eq!(named.join(" "), expected);
}

#[test]
fn skips_are_dropped_out_by_the_schedule() {
    // frozen: 0.4 (25 - e - 1) / 25, then 0.4 exp(-0.2 (e - 10))
    let at = |epoch| skip_dropout(0.4, epoch, 25, 10, 0.2);
    for (epoch, expected) in [
        (0, 0.384),
        (4, 0.32),
        (9, 0.24),
        (10, 0.4),
        (11, 0.4 * 0.818_730_753_077_981_9),
        (15, 0.4 * 0.367_879_441_171_442_33),
        (24, 0.4 * 0.060_810_062_625_217_96),
    ] {
        assert!(
            (at(epoch) - expected).abs() < 1e-15,
            "{epoch}: {}",
            at(epoch)
        );
    }
    assert_eq!(skip_dropout(0.0, 3, 25, 10, 0.2), 0.0);
    // fewer epochs than frozen ones, or none: no NaN
    assert_eq!(skip_dropout(0.4, 5, 3, 10, 0.2), 0.0);
    assert_eq!(skip_dropout(0.4, 0, 0, 10, 0.2), 0.0);
}

#[test]
fn bad_tables_are_refused_by_edge() {
    let (ops, probabilities) = last_stage();
    let refused = OPS.derive(&ops[..13], &probabilities).unwrap_err();
    let expected = DiscretiseError::Edges {
        candidates: 13,
        probabilities: 14,
    };
    assert_eq!(refused, expected);
    let mut wrong = probabilities.clone();
    wrong[5].pop();
    let expected = DiscretiseError::Pairs {
        edge: 5,
        ops: 3,
        probabilities: 2,
    };
    assert_eq!(OPS.restrict(&ops, &wrong, 2).unwrap_err(), expected);
    for bad in [f64::NAN, -0.1, 1.5, f64::INFINITY] {
        let mut wrong = probabilities.clone();
        wrong[7][1] = bad;
        let expected = DiscretiseError::Probability { edge: 7 };
        assert_eq!(OPS.derive(&ops, &wrong).unwrap_err(), expected);
        assert_eq!(OPS.prune(&ops, &wrong, 1).unwrap_err(), expected);
    }
    for bad in [vec![3, 1, 4], vec![1, 1, 4], vec![1, 3, 8]] {
        let mut wrong = ops.clone();
        wrong[2] = bad.clone();
        let expected = DiscretiseError::Ops { edge: 2, ops: bad };
        assert_eq!(OPS.derive(&wrong, &probabilities).unwrap_err(), expected);
    }
    let expected = DiscretiseError::Drop {
        edge: 0,
        ops: 3,
        drop: 3,
    };
    assert_eq!(OPS.prune(&ops, &probabilities, 3).unwrap_err(), expected);
    // nothing but none, and nothing but none and a skip that has to go
    let (mut ops, mut probabilities) = last_stage();
    (ops[13], probabilities[13]) = (vec![NONE], vec![1.0]);
    let expected = DiscretiseError::NothingLeft {
        edge: 13,
        struck: false,
    };
    assert_eq!(OPS.derive(&ops, &probabilities).unwrap_err(), expected);
    let (mut ops, mut probabilities) = last_stage();
    (ops[0], probabilities[0]) = (vec![NONE, SKIP], vec![0.9, 0.1]);
    assert!(OPS.derive(&ops, &probabilities).is_ok());
    let error = OPS.restrict(&ops, &probabilities, 2).unwrap_err();
    let expected = DiscretiseError::NothingLeft {
        edge: 0,
        struck: true,
    };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("allow more skip_connects"));
}

proptest! {
    #[test]
    fn cells_are_sound(
        weights in prop::collection::vec(prop::collection::vec(0..9_u32, 8), 14),
        most in 0..5_usize,
    ) {
        // whole weights, so that ties are common
        let share = |weights: &[u32]| -> Vec<f64> {
            let sum: u32 = weights.iter().sum::<u32>() + 1;
            weights.iter().map(|w| f64::from(*w) / f64::from(sum)).collect()
        };
        let all: Vec<Vec<f64>> = weights.iter().map(|w| share(w)).collect();
        let five = OPS.prune(&all_ops(), &all, 3).unwrap();
        let of = |kept: &[Vec<usize>]| -> Vec<Vec<f64>> {
            let edges = kept.iter().zip(&all);
            edges.map(|(ops, all)| ops.iter().map(|op| all[*op]).collect()).collect()
        };
        let three = OPS.prune(&five, &of(&five), 2).unwrap();
        // in steps or at once, the same ops stay
        prop_assert_eq!(&three, &OPS.prune(&all_ops(), &all, 5).unwrap());
        let probabilities = of(&three);
        let free = OPS.derive(&three, &probabilities).unwrap();
        let bound = OPS.restrict(&three, &probabilities, most).unwrap();
        let skips = |cell: &[Edge]| cell.iter().filter(|e| e.op == SKIP).count();
        prop_assert!(skips(&bound) <= most);
        if skips(&free) <= most {
            prop_assert_eq!(&bound, &free);
        }
        for cell in [free, bound] {
            prop_assert_eq!(cell.len(), 8);
            for (node, pair) in cell.chunks(2).enumerate() {
                prop_assert!(pair[0].from < pair[1].from && pair[1].from < node + 2);
                prop_assert!(pair.iter().all(|e| e.op != NONE));
            }
        }
    }
}
