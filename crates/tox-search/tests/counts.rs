//! Parameters and multiply-adds against networks built in PyTorch (`benches/peers/nas_counts.py`)
//! and against published numbers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde::Deserialize;
use std::path::Path;
use tox_search::count::{self, Counts};
use tox_search::fixed::FixedConfig;
use tox_search::nas::Numbers;
use tox_search::space::cells::CellGenotype;
use tox_search::space::darts::{self, Genotype};
use tox_search::space::elastic::{Arch, ElasticSpace};
use tox_search::space::nasbench201::{self, Cell};

#[derive(Deserialize)]
struct Fixture {
    darts: Vec<Darts>,
    nasbench201: Vec<Bench>,
    elastic: Vec<Elastic>,
}

#[derive(Deserialize)]
struct Darts {
    genotype: Genotype,
    #[serde(flatten)]
    network: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Bench {
    arch: Cell,
    channels: usize,
    cells: usize,
    classes: usize,
    input: [usize; 3],
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Deserialize)]
struct Elastic {
    ks: Vec<usize>,
    e: Vec<usize>,
    d: [usize; 5],
    r: usize,
    width: f64,
    classes: usize,
    small: bool,
    #[serde(flatten)]
    counts: Counts,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/counts.json")).unwrap()
}

#[test]
fn darts_networks_are_counted_as_pytorch_counts_them() {
    let cases = fixture().darts;
    assert_eq!(cases.len(), 19);
    for case in cases {
        let mut network = case.network;
        let mut number = |key: &str| network.remove(key).unwrap().as_u64().unwrap();
        let expected = Counts {
            params: number("params"),
            macs: number("macs"),
        };
        let network: darts::Network = serde_json::from_value(network.into()).unwrap();
        let found = count::darts(&case.genotype, &network).unwrap();
        assert_eq!(found, expected, "{} {network:?}", case.genotype);
    }
}

/// DARTS V2 as it was published: 3.3 M parameters, 528 M multiply-adds.
#[test]
fn darts_v2_has_3_349_342_parameters() {
    let v2 = &fixture().darts[1].genotype;
    let network = darts::Network {
        auxiliary: false,
        ..darts::Network::default()
    };
    let counts = count::darts(v2, &network).unwrap();
    assert_eq!((counts.params, counts.macs / 1_000_000), (3_349_342, 528));
}

/// The architectures of `recipes/nas/published.toml`: each is read, and its network counted at the published size. Four
/// runs are four architectures, but that RoBoT found one under flipped labels.
#[test]
fn published_architectures_are_read_by_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/nas");
    let folder = folder.as_path();
    let text = std::fs::read_to_string(folder.join("published-genotypes.txt")).unwrap();
    let names = text.lines().filter_map(|line| line.split_once(" = "));
    let names: Vec<&str> = names.map(|(name, _)| name).collect();
    assert_eq!(names.len(), 50);
    let read = |name: &str| {
        let config = FixedConfig {
            genotype: Some(format!("published-genotypes.txt#{name}")),
        };
        config.with_files(folder).unwrap().architecture().unwrap()
    };
    let mut different = std::collections::BTreeSet::new();
    for name in &names {
        let found = read(name);
        let CellGenotype::Darts(genotype) = found else {
            panic!("{name}: {found}")
        };
        let counts = count::darts(&genotype, &darts::Network::default()).unwrap();
        assert!(
            (1_500_000..6_000_000).contains(&counts.params),
            "{name}: {counts:?}"
        );
        different.insert(found);
    }
    let robot: Vec<CellGenotype> = (1..=4)
        .map(|i| read(&format!("robot_rlf_50_{i}")))
        .collect();
    assert!(robot.iter().all(|found| *found == robot[0]));
    // Three of them, and one of the four clean runs of RoBoT.
    assert_eq!(different.len(), names.len() - 4);
}

#[test]
fn nasbench201_networks_are_counted_as_pytorch_counts_them() {
    let cases = fixture().nasbench201;
    assert_eq!(cases.len(), 20);
    for case in cases {
        let network = nasbench201::Network {
            channels: case.channels,
            cells: case.cells,
            classes: case.classes,
            input: case.input,
        };
        let found = count::nasbench201(&case.arch, &network).unwrap();
        assert_eq!(found, case.counts, "{} {network:?}", case.arch);
    }
}

/// The smallest and largest of all cells as the NAS-Bench-201 API has them: 0.073306 and 1.531546 M
/// parameters, 7.78305 and 220.11969 M FLOPs on CIFAR-10; the API counts the classifier's biases.
#[test]
fn the_extremes_over_all_cells_are_the_published_ones() {
    for (classes, params, flops) in [
        (10, (73_306, 1_531_546), (7_783_050, 220_119_690)),
        (100, (79_156, 1_537_396), (7_788_900, 220_125_540)),
    ] {
        let network = nasbench201::Network {
            classes,
            ..nasbench201::Network::default()
        };
        let counts: Vec<Counts> = Cell::all()
            .map(|cell| count::nasbench201(&cell, &network).unwrap())
            .collect();
        let range = |of: fn(&Counts) -> u64| {
            let values = || counts.iter().map(of);
            (values().min().unwrap(), values().max().unwrap())
        };
        assert_eq!(range(|c| c.params), params);
        let (least, most) = range(|c| c.macs);
        assert_eq!((least + classes as u64, most + classes as u64), flops);
    }
}

#[test]
fn elastic_networks_are_counted_as_pytorch_counts_them() {
    let cases = fixture().elastic;
    assert_eq!(cases.len(), 10);
    for case in cases {
        let space = ElasticSpace {
            width: case.width,
            resolutions: vec![case.r],
            small: case.small,
        };
        let arch = Arch {
            ks: case.ks,
            e: case.e,
            d: case.d,
            r: case.r,
        };
        let found = count::elastic(&space, &arch, case.classes).unwrap();
        assert_eq!(found, case.counts, "{arch:?} {space:?}");
    }
}

#[test]
fn networks_that_cannot_be_built_are_refused() {
    let v2 = fixture().darts[1].genotype;
    let darts = |change: fn(&mut darts::Network)| {
        let mut network = darts::Network::default();
        change(&mut network);
        count::darts(&v2, &network).unwrap_err().to_string()
    };
    let bench = |change: fn(&mut nasbench201::Network)| {
        let mut network = nasbench201::Network::default();
        change(&mut network);
        let cell = Cell::from_index(0).unwrap();
        count::nasbench201(&cell, &network).unwrap_err().to_string()
    };
    let space = ElasticSpace::small(1.0);
    let cases = [
        darts(|n| n.channels = 0),
        darts(|n| n.layers = 5000),
        darts(|n| n.classes = 0),
        darts(|n| n.input = [0, 32, 32]),
        darts(|n| n.input = [3, 32, 30]),
        darts(|n| n.input = [3, 28, 28]),
        bench(|n| n.cells = 0),
        bench(|n| n.channels = usize::MAX),
        bench(|n| n.input = [1, 27, 27]),
        count::elastic(&space, &space.extremes()[0], 0)
            .unwrap_err()
            .to_string(),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}
