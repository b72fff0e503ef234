//! RoBoT's pool against the published draw, and whole searches on real digits.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

#[macro_use]
#[path = "support/inputs.rs"]
mod inputs;

use serde_json::Value;
use std::collections::BTreeSet;
use tox_data::Dataset;
use tox_nn::Device;
use tox_search::nas::Direction;
use tox_search::robot::pool::{draw, genotype};
use tox_search::robot::{Accuracy, Found, Inputs, RobotConfig, RobotError, run};
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::darts::{Genotype, Op};
use tox_search::space::nasbench201::{CELLS, Cell};
use tox_search::table::{Column, DataSet, Measure, Table};
use tox_testkit::stops::stopped;

#[test]
fn numbers_become_genotypes_as_published() {
    let file = include_str!("fixtures/nas/robot_pool.json");
    let file: Value = serde_json::from_str(file).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let weights = serde_json::from_value(case["weights"].clone()).unwrap();
        let expected: Genotype = case["genotype"].as_str().unwrap().parse().unwrap();
        assert_eq!(genotype(&weights), expected);
    }
}

#[test]
fn pools_hold_different_architectures_and_all_ops_only_if_asked() {
    let has_dil5 = |pool: &[CellGenotype]| {
        pool.iter().any(|a| match a {
            CellGenotype::Darts(g) => {
                let edges = g.normal.edges().iter().chain(g.reduce.edges());
                edges.into_iter().any(|edge| edge.op == Op::Dil5)
            }
            CellGenotype::NasBench201(_) => false,
        })
    };
    let pool = draw(CellSpace::Darts, 300, false, 1);
    assert_eq!(pool.iter().collect::<BTreeSet<_>>().len(), pool.len());
    assert!(pool.len() > 290 && !has_dil5(&pool));
    assert_eq!(draw(CellSpace::Darts, 200, false, 1), pool[..200]);
    assert_ne!(draw(CellSpace::Darts, 200, false, 2), pool[..200]);
    assert!(has_dil5(&draw(CellSpace::Darts, 50, true, 1)));
    let cells = draw(CellSpace::NasBench201, 500, false, 1);
    assert_eq!(cells.iter().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(
        draw(CellSpace::NasBench201, CELLS + 5, false, 1).len(),
        CELLS
    );
}

fn digits() -> Dataset {
    tox_testkit::data::digits(Some(96), 32, Some(32))
}

fn config() -> RobotConfig {
    let mut config = RobotConfig {
        pool: 7,
        batch: 8,
        channels: 4,
        cells: 1,
        rounds: 4,
        evaluated: 4,
        ..RobotConfig::default()
    };
    (config.bayes.candidates, config.bayes.climbs) = (50, 1);
    (config.train.epochs, config.train.batch) = (2, 40);
    config
}

/// With a stop after every `steps` small steps.
fn search(
    (space, accuracy): (CellSpace, Accuracy<'_>),
    config: &RobotConfig,
    data: &Dataset,
    steps: usize,
) -> (Result<Found, RobotError>, usize) {
    let space = space.into();
    let inputs = inputs!(&space, data, accuracy, config, 3);
    stopped(steps, |hooks| run(&inputs, hooks))
}

#[test]
fn a_search_trains_its_best_and_does_not_care_for_stops_or_threads() {
    let (data, config) = (digits(), config());
    for space in [CellSpace::Darts, CellSpace::NasBench201] {
        let on = (space, Accuracy::Trained);
        let (found, stops) = search(on, &config, &data, usize::MAX);
        let found = found.unwrap();
        assert_eq!(stops, 0);
        assert_eq!((found.queries.len(), found.evaluated.len()), (4, 4));
        let best = found.evaluated.iter().map(|(_, a)| *a).fold(0.0, f64::max);
        assert_eq!(found.accuracy, Some(best));
        assert!(found.evaluated.contains(&(found.genotype, best)));
        for query in &found.queries {
            assert!(found.evaluated.iter().any(|(_, a)| *a == query.accuracy));
            assert!(query.weights.iter().all(|w| (-1.0..=1.0).contains(w)));
        }
        for steps in [2, 5] {
            let (again, stops) = search(on, &config, &data, steps);
            assert!(stops > 2, "{stops}");
            assert_eq!(
                again.unwrap(),
                found,
                "{space:?}, a stop every {steps} steps"
            );
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let threads = || search(on, &config, &data, usize::MAX).0.unwrap();
        assert_eq!(pool.unwrap().install(threads), found);
    }
}

#[test]
fn accuracies_of_nas_bench_201_can_be_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let row = |cell: Cell| format!("{cell},90,{}\n", cell.index().unwrap() as f64 / 1000.0);
    let rows: String = Cell::all().map(row).collect();
    std::fs::write(
        &path,
        format!("arch,cifar10_test_200ep,cifar10_val_12ep\n{rows}"),
    )
    .unwrap();
    let table = Table::read(&path).unwrap();
    let column = Column {
        data: DataSet::Cifar10,
        measure: Measure::Valid12,
    };
    let (data, config) = (digits(), config());
    let accuracy = Accuracy::Table(&table, column);
    let (found, _) = search(
        (CellSpace::NasBench201, accuracy),
        &config,
        &data,
        usize::MAX,
    );
    let found = found.unwrap();
    let index = |a: &CellGenotype| match a {
        CellGenotype::NasBench201(cell) => cell.index().unwrap(),
        CellGenotype::Darts(_) => panic!("{a}"),
    };
    for (architecture, accuracy) in &found.evaluated {
        assert_eq!(*accuracy, index(architecture) as f64 / 1000.0);
    }
    let best = found.evaluated.iter().map(|(a, _)| index(a)).max();
    assert_eq!(Some(index(&found.genotype)), best);
    // A table for the other space, or without the column.
    let wrong = |space, measure| {
        let accuracy = Accuracy::Table(&table, Column { measure, ..column });
        let (found, _) = search((space, accuracy), &config, &data, usize::MAX);
        found.unwrap_err().to_string()
    };
    let message = wrong(CellSpace::Darts, Measure::Valid12);
    assert!(message.contains("search `nasbench201`"), "{message}");
    let message = wrong(CellSpace::NasBench201, Measure::Test12);
    assert!(message.contains("cifar10_test_12ep"), "{message}");
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let data = digits();
    let refused = |change: fn(&mut RobotConfig)| {
        let mut config = config();
        change(&mut config);
        let (found, _) = search(
            (CellSpace::Darts, Accuracy::Trained),
            &config,
            &data,
            usize::MAX,
        );
        found.unwrap_err().to_string()
    };
    assert!(refused(|c| c.pool = 0).contains("`pool` = 0"));
    assert!(refused(|c| c.batch = 97).contains("97 different images"));
    assert!(refused(|c| c.grasp_step = f32::NAN).contains("grasp_step"));
    assert!(refused(|c| c.train.epochs = 0).contains("`train.epochs` = 0"));
    assert!(refused(|c| c.bayes.initial = 0).contains("initial"));
}

/// Accuracies are looked up: what ends a search is the best of what it evaluated, what ends an anti-search the worst, and
/// the anti-search asks for other weights.
#[test]
fn an_anti_search_ends_with_the_least_accurate() {
    let data = digits();
    let mut config = config();
    (config.pool, config.rounds, config.evaluated) = (40, 8, 8);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let mut text = "arch,cifar10_val_12ep\n".to_owned();
    for cell in Cell::all() {
        let index = cell.index().unwrap();
        text += &format!("{cell},{}\n", 20.0 + (index * 7919 % CELLS) as f64 / 1000.0);
    }
    std::fs::write(&path, text).unwrap();
    let table = Table::read(&path).unwrap();
    let column = Column {
        data: DataSet::Cifar10,
        measure: Measure::Valid12,
    };
    let space = CellSpace::NasBench201.into();
    let found = |direction| {
        let inputs = Inputs {
            direction,
            ..inputs!(&space, data, Accuracy::Table(&table, column), &config, 3)
        };
        stopped(usize::MAX, |hooks| run(&inputs, hooks)).0.unwrap()
    };
    let accuracies = |found: &Found| -> Vec<f64> { found.evaluated.iter().map(|e| e.1).collect() };
    let search = found(Direction::Search);
    let most = accuracies(&search).into_iter().fold(0.0, f64::max);
    assert_eq!(search.accuracy, Some(most));
    let anti = found(Direction::AntiSearch);
    let least = accuracies(&anti).into_iter().fold(100.0, f64::min);
    assert_eq!(anti.accuracy, Some(least));
    // Both begin alike, and what the first says to one is the opposite to the other.
    assert_eq!(search.queries[0], anti.queries[0]);
    assert_ne!(search.queries, anti.queries);
    assert!(anti.evaluated.iter().all(|(_, a)| *a >= 20.0));
}
