//! Random architectures and random search, on real digits and on a table.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

#[macro_use]
#[path = "support/inputs.rs"]
mod inputs;

use std::collections::BTreeSet;
use tox_data::Dataset;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_search::random::{Found, Inputs, RandomConfig, RandomError, draw, run};
use tox_search::reward::Accuracy;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::darts::{self, Op};
use tox_search::space::nasbench201::{CELLS, Cell};
use tox_search::space::{BadOps, PoisonedSpace};
use tox_search::table::{Column, DataSet, Measure, Table, best_of};
use tox_testkit::stops::stopped;

fn darts_cells(architecture: &CellGenotype) -> [darts::Cell; 2] {
    match architecture {
        CellGenotype::Darts(genotype) => [genotype.normal, genotype.reduce],
        CellGenotype::NasBench201(cell) => panic!("{cell}"),
    }
}

fn index(architecture: &CellGenotype) -> usize {
    match architecture {
        CellGenotype::NasBench201(cell) => cell.index().unwrap(),
        CellGenotype::Darts(genotype) => panic!("{genotype}"),
    }
}

#[test]
fn architectures_are_drawn_as_the_paper_does_or_with_two_different_inputs() {
    let of = |inputs| -> Vec<darts::Cell> {
        let each = (0..500).map(|i| {
            let architecture = CellSpace::Darts.random(&mut stream(1, "test", &[i]), inputs);
            darts_cells(&architecture)
        });
        each.flatten().collect()
    };
    let twice = |cells: &[darts::Cell], node: usize| {
        let twice = cells.iter().filter(|cell| {
            let [a, b] = cell.nodes()[node];
            a.input == b.input
        });
        twice.count() as f64 / cells.len() as f64
    };
    let independent = of(darts::Inputs::Independent);
    let distinct = of(darts::Inputs::Distinct);
    for node in 0..4 {
        // Five standard deviations of a share of 1000 cells.
        let expected = 1.0 / (node + 2) as f64;
        let sd = (expected * (1.0 - expected) / 1000.0).sqrt();
        assert!((twice(&independent, node) - expected).abs() < 5.0 * sd);
        assert_eq!(twice(&distinct, node), 0.0);
    }
    let ops = independent.iter().flat_map(|cell| cell.edges());
    let ops: BTreeSet<Op> = ops.map(|edge| edge.op).collect();
    assert_eq!(ops.into_iter().collect::<Vec<_>>(), Op::ALL[1..]);
    assert_eq!(RandomConfig::default().inputs, darts::Inputs::Independent);
}

#[test]
fn draws_differ_and_fewer_begin_more() {
    for space in [CellSpace::Darts, CellSpace::NasBench201] {
        let draw = |count, seed| draw(space, count, darts::Inputs::Independent, seed);
        let many = draw(300, 1);
        assert_eq!(many.iter().collect::<BTreeSet<_>>().len(), 300);
        assert_eq!(draw(40, 1), many[..40]);
        assert_ne!(draw(40, 2), many[..40]);
    }
    let all = draw(CellSpace::NasBench201, CELLS, darts::Inputs::Independent, 1);
    let indices: BTreeSet<usize> = all.iter().map(index).collect();
    assert_eq!(indices.len(), CELLS);
}

fn digits() -> Dataset {
    tox_testkit::data::digits(Some(96), 32, Some(32))
}

fn config(draws: usize) -> RandomConfig {
    let mut config = RandomConfig {
        draws,
        channels: 4,
        cells: 1,
        ..RandomConfig::default()
    };
    (config.train.epochs, config.train.batch) = (2, 40);
    config
}

/// With a stop after every `steps` small steps.
fn search(
    (space, accuracy): (impl Into<PoisonedSpace>, Accuracy<'_>),
    config: &RandomConfig,
    (data, seed): (&Dataset, u64),
    steps: usize,
) -> (Result<Found, RandomError>, usize) {
    let space = space.into();
    let inputs = inputs!(&space, data, accuracy, config, seed);
    stopped(steps, |hooks| run(&inputs, hooks))
}

#[test]
fn the_control_is_one_draw_and_reads_nothing() {
    let mut data = digits();
    let seen = search(
        (CellSpace::Darts, Accuracy::Trained),
        &config(1),
        (&data, 3),
        usize::MAX,
    );
    let seen = seen.0.unwrap();
    assert_eq!((seen.accuracy, seen.evaluated.len()), (None, 0));
    let drawn = draw(CellSpace::Darts, 5, darts::Inputs::Independent, 3);
    assert_eq!(seen.genotype, drawn[0]);
    data.train.labels.fill(0);
    data.valid.labels.clear();
    data.valid.images.pixels.clear();
    data.valid.images.shape[0] = 0;
    let on = (CellSpace::Darts, Accuracy::Trained);
    let blind = search(on, &config(1), (&data, 3), usize::MAX).0.unwrap();
    assert_eq!(blind, seen);
}

#[test]
fn a_search_trains_all_and_does_not_care_for_stops_or_threads() {
    let data = digits();
    for space in [CellSpace::Darts, CellSpace::NasBench201] {
        let on = (space, Accuracy::Trained);
        let (found, stops) = search(on, &config(3), (&data, 3), usize::MAX);
        let found = found.unwrap();
        assert_eq!(stops, 0);
        let drawn = draw(space, 3, darts::Inputs::Independent, 3);
        let evaluated: Vec<_> = found.evaluated.iter().map(|(a, _)| *a).collect();
        assert_eq!(evaluated, drawn);
        let best = found.evaluated.iter().map(|(_, a)| *a).fold(0.0, f64::max);
        assert_eq!(found.accuracy, Some(best));
        assert!(found.evaluated.contains(&(found.genotype, best)));
        for steps in [2, 3] {
            let (again, stops) = search(on, &config(3), (&data, 3), steps);
            assert!(stops > 2, "{stops}");
            assert_eq!(again.unwrap(), found, "a stop every {steps} steps");
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let again = pool
            .unwrap()
            .install(|| search(on, &config(3), (&data, 3), usize::MAX));
        assert_eq!(again.0.unwrap(), found);
    }
}

/// With a table whose accuracies are the cells' numbers, so that the mean over many searches is known.
#[test]
fn searches_over_a_table_find_what_the_closed_form_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let row = |cell: Cell| format!("{cell},{}\n", cell.index().unwrap() as f64 / 1000.0);
    let rows: String = Cell::all().map(row).collect();
    std::fs::write(&path, format!("arch,cifar10_val_12ep\n{rows}")).unwrap();
    let table = Table::read(&path).unwrap();
    let column = Column {
        data: DataSet::Cifar10,
        measure: Measure::Valid12,
    };
    let data = digits();
    let on = (CellSpace::NasBench201, Accuracy::Table(&table, column));
    let best = |seed| {
        let found = search(on, &config(10), (&data, seed), usize::MAX)
            .0
            .unwrap();
        let accuracy = found.accuracy.unwrap();
        assert_eq!(accuracy, index(&found.genotype) as f64 / 1000.0);
        accuracy
    };
    let searches = 400;
    let mean = (0..searches).map(best).sum::<f64>() / searches as f64;
    let values = table.values(column).unwrap();
    let expected = best_of(values, values, 10, tox_search::table::Draws::Distinct).unwrap();
    let error = expected.sd / (searches as f64).sqrt();
    assert!(
        (mean - expected.mean).abs() < 4.0 * error,
        "{mean} {expected:?}"
    );

    let refused = |on, draws| {
        let (found, _) = search(on, &config(draws), (&data, 0), usize::MAX);
        found.unwrap_err().to_string()
    };
    let message = refused((CellSpace::Darts, Accuracy::Table(&table, column)), 2);
    assert!(message.contains("search `nasbench201`"), "{message}");
    let message = refused(on, CELLS + 1);
    assert!(message.contains("expected 1 to 15625"), "{message}");
    let message = refused((CellSpace::Darts, Accuracy::Trained), 0);
    assert!(message.contains("`draws` = 0"), "{message}");
    let space = PoisonedSpace {
        space: CellSpace::NasBench201,
        bad: vec![BadOps {
            op: "identity".parse().unwrap(),
            count: 1,
        }],
    };
    let on = (space, Accuracy::Table(&table, column));
    let (found, _) = search(on, &config(2), (&data, 0), usize::MAX);
    let message = found.unwrap_err().to_string();
    assert!(message.contains("bad ops, which no table"), "{message}");
    let cell = "|identity~0|+|none~0|none~1|+|none~0|none~1|none~2|";
    let found = table.accuracy(&cell.parse().unwrap(), column);
    let message = found.unwrap_err().to_string();
    assert!(message.contains("train the cell"), "{message}");
    let mut config = config(2);
    config.train.drop_path = 1.0;
    let message = config.check(CellSpace::Darts).unwrap_err().to_string();
    assert!(message.contains("`train.drop_path` = 1"), "{message}");
}
