//! Integer encodings of the three spaces.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use std::collections::BTreeSet;
use tox_data::rng::stream;
use tox_search::genes::{Architecture, GeneSpace};
use tox_search::space::PoisonedSpace;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::elastic::ElasticSpace;
use tox_search::space::nasbench201::CELLS;

const BENCH: GeneSpace = GeneSpace::Cell(PoisonedSpace::clean(CellSpace::NasBench201));
const DARTS: GeneSpace = GeneSpace::Cell(PoisonedSpace::clean(CellSpace::Darts));

#[test]
fn genes_of_nas_bench_201_are_all_cells() {
    assert_eq!(BENCH.choices(), [5; 6]);
    let mut seen = BTreeSet::new();
    for index in 0..CELLS {
        let genes: Vec<usize> = (0..6).map(|g| index / 5usize.pow(g) % 5).collect();
        let architecture = BENCH.decode(&genes).unwrap();
        assert_eq!(BENCH.encode(&architecture).unwrap(), genes);
        seen.insert(architecture);
    }
    assert_eq!(seen.len(), CELLS);
    let cell = BENCH.decode(&[3, 0, 1, 4, 2, 3]).unwrap().to_string();
    let expected = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|\
                    nor_conv_3x3~2|";
    assert_eq!(cell, expected);
}

/// Pairs of states by hand: (0, 1); (0, 1), (0, 2), (1, 2); then those with 3, those with 4.
#[test]
fn genes_of_darts_are_pairs_and_ops() {
    let node = [[1, 7, 7], [3, 7, 7], [6, 7, 7], [10, 7, 7]].concat();
    assert_eq!(DARTS.choices(), node.repeat(2));
    let normal = [0, 0, 1, 2, 2, 3, 4, 4, 5, 9, 6, 0];
    let reduce = [0, 3, 3, 1, 3, 3, 3, 3, 3, 0, 3, 3];
    let genes = [normal, reduce].concat();
    let architecture = DARTS.decode(&genes).unwrap();
    let expected = "Genotype(normal=[('max_pool_3x3', 0), ('avg_pool_3x3', 1), \
                    ('skip_connect', 1), ('sep_conv_3x3', 2), \
                    ('sep_conv_5x5', 1), ('dil_conv_3x3', 3), \
                    ('dil_conv_5x5', 3), ('max_pool_3x3', 4)], normal_concat=range(2, 6), \
                    reduce=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), \
                    ('sep_conv_3x3', 0), ('sep_conv_3x3', 2), \
                    ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), \
                    ('sep_conv_3x3', 0), ('sep_conv_3x3', 1)], reduce_concat=range(2, 6))";
    assert_eq!(architecture.to_string(), expected);
    assert_eq!(DARTS.encode(&architecture).unwrap(), genes);
    // The order of a node's edges means nothing.
    let swapped = expected.replace(
        "('max_pool_3x3', 0), ('avg_pool_3x3', 1)",
        "('avg_pool_3x3', 1), ('max_pool_3x3', 0)",
    );
    let swapped = Architecture::Cell(CellGenotype::Darts(swapped.parse().unwrap()));
    assert_eq!(DARTS.encode(&swapped).unwrap(), genes);
    let refused = |from: &str, to: &str| {
        let text = expected.replacen(from, to, 1);
        let architecture = Architecture::Cell(CellGenotype::Darts(text.parse().unwrap()));
        DARTS.encode(&architecture).unwrap_err().to_string()
    };
    let message = refused("max_pool_3x3", "none");
    assert!(message.contains("`none`, into node 2"), "{message}");
    let message = refused("('sep_conv_5x5', 1)", "('sep_conv_5x5', 3)");
    assert!(message.contains("state 3 and state 3"), "{message}");
}

#[test]
fn random_architectures_and_their_json_come_back() {
    let elastic = GeneSpace::Elastic(ElasticSpace::small(1.0));
    for space in [BENCH, DARTS, elastic] {
        let choices = space.choices();
        let mut highest = vec![0; choices.len()];
        for i in 0..500 {
            let architecture = space.random(&mut stream(1, "test", &[i]));
            let genes = space.encode(&architecture).unwrap();
            assert_eq!(space.decode(&genes).unwrap(), architecture);
            for ((high, gene), options) in highest.iter_mut().zip(&genes).zip(&choices) {
                assert!(gene < options);
                *high = (*high).max(*gene);
            }
            let json = serde_json::to_string(&architecture).unwrap();
            let again: Architecture = serde_json::from_str(&json).unwrap();
            assert_eq!(again, architecture);
        }
        let all: Vec<usize> = choices.iter().map(|options| options - 1).collect();
        assert_eq!(highest, all, "every option of every gene is drawn");
    }
}

#[test]
fn an_elastic_network_has_one_row_and_the_text_of_a_subnet_file() {
    let space = GeneSpace::Elastic(ElasticSpace::small(1.0));
    let [smallest, largest] = space.extremes().unwrap();
    assert!(DARTS.extremes().is_none());
    let genes = space.encode(&smallest).unwrap();
    assert_eq!(genes, [0; 46]);
    assert_eq!(space.encode(&largest).unwrap(), [2; 46]);
    // Kernel and expansion of a layer that is not there.
    let mut other = genes.clone();
    (other[4], other[8]) = (2, 1);
    assert_eq!(space.decode(&other).unwrap(), smallest);
    let text: serde_json::Value = serde_json::from_str(&largest.to_string()).unwrap();
    let json = serde_json::to_value(&largest).unwrap();
    assert_eq!(text, json);
    assert_eq!(
        serde_json::from_value::<Architecture>(json).unwrap(),
        largest
    );
}

/// Worked out by hand.
#[test]
fn votes_are_counted_gene_by_gene() {
    let space = GeneSpace::Cell(PoisonedSpace::clean(CellSpace::NasBench201));
    let of = |genes: [usize; 6]| space.decode(&genes).unwrap();
    let votes = [
        of([0, 1, 2, 3, 4, 0]),
        of([1, 1, 3, 3, 0, 2]),
        of([1, 2, 4, 3, 0, 1]),
    ];
    // Of three different ones the first.
    assert_eq!(space.vote(&votes).unwrap(), Some(of([1, 1, 2, 3, 0, 0])));
    assert_eq!(space.vote(&[]).unwrap(), None);
    let elastic = GeneSpace::Elastic(ElasticSpace::small(1.0));
    let [smallest, largest] = elastic.extremes().unwrap();
    let mut middle = elastic.encode(&largest).unwrap();
    // The first block's last layer has kernel 5; the smallest has no such layer and does not vote on it.
    middle[4] = 1;
    let middle = elastic.decode(&middle).unwrap();
    let votes = [smallest, middle.clone(), largest];
    assert_eq!(elastic.vote(&votes).unwrap(), Some(middle));
}

#[test]
fn what_is_not_of_the_space_is_refused() {
    let refused = |space: &GeneSpace, genes: &[usize]| space.decode(genes).unwrap_err().to_string();
    let message = refused(&BENCH, &[0; 5]);
    assert!(message.contains("5 genes, expected 6"), "{message}");
    let message = refused(&BENCH, &[0, 0, 5, 0, 0, 0]);
    assert!(message.contains("gene 2") && message.contains("0 to 4"));
    let mut genes = [0; 24];
    genes[15] = 3;
    let message = refused(&DARTS, &genes);
    assert!(
        message.contains("a pair of states, is 3, expected 0 to 2"),
        "{message}"
    );
    let cell = BENCH.decode(&[0; 6]).unwrap();
    let message = DARTS.encode(&cell).unwrap_err().to_string();
    assert!(
        message.contains("expected one of the DARTS space"),
        "{message}"
    );
}
