//! The architecture that given architecture weights stand for.
#![allow(clippy::unwrap_used)]

use tox_data::Dataset;
use tox_nn::Device;
use tox_search::genes::Architecture;
use tox_search::nas::{self, Evaluate, Inputs, Leftover, NasConfig, NasSpace, SEARCHES};
use tox_search::pdarts::PDarts;
use tox_search::pdarts::config::{PdartsConfig, Stage};
use tox_search::pdarts::discretise::{DiscretiseError, MAX_SKIPS};
use tox_search::pdarts::found::genotype_at;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::nasbench201::EDGES;
use tox_testkit::data::AUGMENT;
use tox_testkit::stops::told;

/// Alphas of edges: each has so many ops, and these of them are not 0.
fn alphas<const N: usize>(ops: usize, edges: [&[(usize, f32)]; N]) -> Vec<f32> {
    let mut all = vec![0.0; N * ops];
    for (i, edge) in edges.into_iter().enumerate() {
        for (op, alpha) in edge {
            all[i * ops + op] = *alpha;
        }
    }
    all
}

/// Ops by their numbers: 0 `none`, 1 skip-connect, 2 and 3 convolutions of 1 and 3, 4 average pooling. Three edges want
/// a skip-connect and two may have one: the least sure of them takes its second.
#[test]
fn a_cell_of_nasbench201_is_read_by_hand() {
    let all = [vec![vec![0, 1, 2, 3, 4]; EDGES]];
    let hand_made = alphas(
        5,
        [
            &[(3, 2.0)],
            &[(1, 1.0), (2, 0.5)],
            &[(1, 3.0)],
            &[(0, 2.0)],
            &[(1, 2.0)],
            &[(4, 1.0)],
        ],
    );
    let read = |candidates: &[Vec<Vec<usize>>; 1], alphas: &[f32]| {
        genotype_at(CellSpace::NasBench201, candidates, alphas, MAX_SKIPS)
    };
    let expected =
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|";
    assert_eq!(read(&all, &hand_made).unwrap().to_string(), expected);
    // Of ops that a last stage has left, each edge others.
    let left = [vec![
        vec![0, 1, 3],
        vec![1, 2, 4],
        vec![2, 3, 4],
        vec![0, 1, 2],
        vec![0, 3, 4],
        vec![1, 2, 3],
    ]];
    let third = alphas(3, [&[(2, 0.1)]; EDGES]);
    let expected = "|nor_conv_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|";
    assert_eq!(read(&left, &third).unwrap().to_string(), expected);
    // What stands for nothing.
    let (expected, found) = (30, 29);
    let missing = read(&all, &hand_made[1..]);
    assert_eq!(missing, Err(DiscretiseError::Weights { expected, found }));
    let mut lost = hand_made;
    lost[11] = f32::NAN;
    let edge = 2;
    assert_eq!(
        read(&all, &lost),
        Err(DiscretiseError::Probability { edge })
    );
}

/// Edges are numbered node by node; each node keeps the two whose op but `none` is likeliest. In the reduction cell
/// `none` takes the first edge of the second node.
#[test]
fn cells_of_darts_are_read_by_hand() {
    let sep: &[(usize, f32)] = &[(4, 1.0)];
    let normal: [&[(usize, f32)]; 14] = [
        sep,
        sep,
        &[(5, 3.0)],
        sep,
        &[(6, 2.0)],
        sep,
        &[(3, 2.0)],
        sep,
        &[(7, 2.0)],
        sep,
        sep,
        &[(1, 2.0)],
        sep,
        &[(2, 2.0)],
    ];
    let mut reduce = normal;
    reduce[2] = &[(5, 3.0), (0, 9.0)];
    let all = vec![vec![(0..8).collect::<Vec<usize>>(); 14]; 2];
    let both = [alphas(8, normal), alphas(8, reduce)].concat();
    let found = genotype_at(CellSpace::Darts, &all, &both, MAX_SKIPS).unwrap();
    let end = "('skip_connect', 1), ('dil_conv_5x5', 3), ('max_pool_3x3', 2), ('avg_pool_3x3', 4)]";
    let expected = format!(
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('dil_conv_3x3', 2), {end}, \
         normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), \
         ('dil_conv_3x3', 2), {end}, reduce_concat=range(2, 6))"
    );
    assert_eq!(found, expected.parse::<CellGenotype>().unwrap());
}

fn config(space: NasSpace) -> NasConfig {
    let of = |cells, ops| Stage {
        cells,
        ops,
        skip_dropout: 0.1,
    };
    let stages = match space {
        NasSpace::Darts => vec![of(2, 8), of(2, 3)],
        NasSpace::NasBench201 | NasSpace::Elastic => vec![of(1, 5), of(1, 3)],
    };
    let own = PdartsConfig {
        stages,
        channels: 4,
        batch: 16,
        epochs: 2,
        frozen_epochs: 1,
        alpha_lr: 0.05,
        ..PdartsConfig::default()
    };
    let mut config = NasConfig::of(&PDarts, space);
    let own = serde_json::to_value(own).unwrap();
    config.tables.insert("p-darts".to_owned(), own);
    config.evaluate = Evaluate::None;
    config
}

/// A search's last alphas give what it found; those of another cell give that one. A
/// search without architecture weights cannot tell.
#[test]
fn a_search_reads_its_own_alphas_as_at_its_end() {
    let data: Dataset = tox_testkit::data::digits(Some(32), 32, Some(2));
    for space in [NasSpace::Darts, NasSpace::NasBench201] {
        let config = config(space);
        let inputs = Inputs {
            data: &data,
            augment: &AUGMENT,
            config: &config,
            seed: 3,
            device: Device::flex(),
        };
        let (found, _) = told(usize::MAX, &mut |_, _| {}, |hooks| nas::run(&inputs, hooks));
        let found = found.unwrap();
        let Leftover::Supernet(learner) = &found.left else {
            panic!("no supernet");
        };
        let values = &learner.alphas.values;
        let read = read_at(&inputs, &found, values);
        assert_eq!(read, Some(found.genotype.clone()));
        // The other way round, all edges choose otherwise.
        let turned: Vec<f32> = values.iter().map(|alpha| -alpha).collect();
        assert_ne!(read_at(&inputs, &found, &turned), read);
        let short = nas::Search::found_at(&PDarts, &inputs, &found.trace, &values[1..]);
        let said = short.unwrap_err().to_string();
        let count = values.len();
        let expected = format!("{} numbers, expected {count}", count - 1);
        assert!(said.contains(&expected), "{said}");
        for search in SEARCHES.iter().filter(|s| s.kind() != "p-darts") {
            let read = search.found_at(&inputs, &found.trace, values);
            assert_eq!(read.unwrap(), None, "{}", search.kind());
        }
    }
}

fn read_at(inputs: &Inputs<'_>, found: &nas::Found, values: &[f32]) -> Option<Architecture> {
    nas::Search::found_at(&PDarts, inputs, &found.trace, values).unwrap()
}
