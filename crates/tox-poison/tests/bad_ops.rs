//! Searches over cell spaces with poison sets on every edge, on real digits.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use serde::Serialize;
use serde::de::DeserializeOwned;
mod sets;

use sets::SETS;
use tox_data::Dataset;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_poison::screen::{ScreenConfig, screen_cells, screened_cells};
use tox_poison::space::{BadSet, PoisonSet};
use tox_search::final_training::{self, FinalConfig};
use tox_search::fixed::FixedConfig;
use tox_search::genes::Architecture;
use tox_search::nas::{
    self, Evaluate, NasConfig, NasError, NasSpace, Reads, SEARCHES, Search, Trace,
};
use tox_search::nsganet::{NsganetConfig, NsganetV2};
use tox_search::pdarts::config::{PdartsConfig, Stage};
use tox_search::pdarts::{PDarts, PdartsTrace};
use tox_search::random::{Random, RandomConfig};
use tox_search::robot::RobotConfig;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::{BadOps, PoisonedSpace};
use tox_search::tenas::{TeNas, TenasConfig, TenasTrace};
use tox_testkit::stops::{stopped, undisturbed};

const SPACES: [NasSpace; 2] = [NasSpace::Darts, NasSpace::NasBench201];

fn digits() -> Dataset {
    tox_testkit::data::digits(Some(64), 32, Some(32))
}

/// Changes the numbers of the search, if they are these.
fn edit<T: Serialize + DeserializeOwned>(
    config: &mut NasConfig,
    kind: &str,
    how: impl FnOnce(&mut T),
) {
    if config.search.kind() == kind {
        let mut numbers: T = config.numbers().unwrap();
        how(&mut numbers);
        let numbers = serde_json::to_string(&numbers).unwrap();
        config.tables[kind] = serde_json::from_str(&numbers).unwrap();
    }
}

/// Seconds on digits.
fn config(search: &'static dyn Search, space: NasSpace) -> NasConfig {
    let mut config = NasConfig::of(search, space);
    config.evaluate = Evaluate::None;
    edit(&mut config, "p-darts", |p_darts: &mut PdartsConfig| {
        let of = |cells, ops, skip_dropout| Stage {
            cells,
            ops,
            skip_dropout,
        };
        p_darts.stages = match space {
            NasSpace::Darts => vec![of(2, 8, 0.1), of(2, 5, 0.4), of(3, 3, 0.7)],
            _ => vec![of(1, 5, 0.1), of(1, 4, 0.4), of(1, 3, 0.7)],
        };
        (p_darts.channels, p_darts.batch, p_darts.epochs) = (4, 32, 2);
        (p_darts.frozen_epochs, p_darts.alpha_lr) = (1, 0.05);
    });
    edit(&mut config, "te-nas", |te_nas: &mut TenasConfig| {
        *te_nas = TenasConfig {
            batch: Some(3),
            prune: Some(8),
            repeats: 1,
            region_batches: 1,
            region_crops: 12,
            ..TenasConfig::default()
        };
    });
    edit(&mut config, "robot", |robot: &mut RobotConfig| {
        (robot.pool, robot.batch, robot.channels, robot.cells) = (8, 8, 4, 1);
        (robot.rounds, robot.evaluated) = (3, 3);
        (robot.bayes.candidates, robot.bayes.climbs) = (50, 1);
        (robot.train.epochs, robot.train.batch) = (1, 32);
    });
    edit(&mut config, "nsganetv2", |net: &mut NsganetConfig| {
        (
            net.channels,
            net.cells,
            net.initial,
            net.rounds,
            net.candidates,
        ) = (4, 1, 5, 2, 2);
        (net.supernet.epochs, net.supernet.batch) = (1, 32);
        (net.tune.epochs, net.tune.batch, net.tune.calibration) = (0, 32, 32);
        (net.search.population, net.search.generations) = (8, 3);
        net.predictor.trees = 10;
    });
    edit(&mut config, "fixed", |fixed: &mut FixedConfig| {
        fixed.genotype = Some(match space {
            NasSpace::Darts => tox_testkit::DARTS_V2.to_owned(),
            _ => {
                "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|".to_owned()
            }
        });
    });
    edit(&mut config, "random", |random: &mut RandomConfig| {
        (random.draws, random.channels, random.cells) = (2, 4, 1);
        (random.train.epochs, random.train.batch) = (1, 32);
    });
    config
}

fn cells(space: NasSpace) -> CellSpace {
    space.cells().unwrap()
}

/// With a stop after every `steps` small steps.
fn search(
    config: &NasConfig,
    data: &Dataset,
    steps: usize,
) -> Result<(Architecture, Trace), NasError> {
    let inputs = nas::Inputs {
        data,
        augment: &Augment::default(),
        config,
        seed: 4,
        device: Device::flex(),
    };
    let found = stopped(steps, |hooks| nas::run(&inputs, hooks)).0?;
    Ok((found.genotype, found.trace))
}

fn reads_back(found: &Architecture) {
    let text = found.to_string();
    let again = match found {
        Architecture::Cell(CellGenotype::Darts(_)) => CellGenotype::Darts(text.parse().unwrap()),
        Architecture::Cell(CellGenotype::NasBench201(_)) => {
            CellGenotype::NasBench201(text.parse().unwrap())
        }
        Architecture::Elastic(_) => panic!("{text}"),
    };
    assert_eq!(Architecture::Cell(again), *found);
}

#[test]
fn sets_stand_q_times_on_every_edge() {
    for set in SETS {
        for space in SPACES.map(cells) {
            assert_eq!(
                set.poison_cells(space, 0).unwrap(),
                PoisonedSpace::clean(space)
            );
            let poisoned = set.poison_cells(space, 3).unwrap();
            let all = BadSet::from(set).cardinality();
            assert_eq!(poisoned.branches(), 3 * all);
            let published = space.ops().len();
            assert_eq!(poisoned.ops().len(), published + 3 * all);
            assert!(set.poison_cells(space, 1001).is_err());
        }
    }
    let p5 = PoisonSet::P5.poison_cells(CellSpace::Darts, 2).unwrap();
    let counts: Vec<(String, usize)> = p5.bad.iter().map(|b| (b.op.to_string(), b.count)).collect();
    let expected = [
        "identity",
        "gaussian(10)",
        "dropout(1)",
        "transposed3",
        "transposed5",
    ];
    let expected = expected.map(str::to_owned).into_iter().zip([2, 4, 2, 2, 2]);
    assert_eq!(counts, expected.collect::<Vec<_>>());
}

/// A search of the poisoned space, whose result is sound.
fn sound(config: &NasConfig, data: &Dataset, steps: usize) -> (Architecture, Trace) {
    let found = search(config, data, steps);
    let found = found.unwrap_or_else(|e| panic!("{config:?}: {e}"));
    reads_back(&found.0);
    let bad = config.bad_edges(&found.0).unwrap();
    assert_eq!(bad.chance, config.cells().unwrap().chance());
    let edges = match config.space {
        NasSpace::Darts => 16,
        _ => 6,
    };
    assert_eq!(bad.edges, edges);
    config.genes().counts(&found.0, shape()).unwrap();
    found
}

#[test]
fn every_search_runs_on_poisoned_spaces_and_goes_on_from_a_stop() {
    let data = digits();
    for (space, kind) in SPACES
        .into_iter()
        .flat_map(|s| SEARCHES.iter().map(move |k| (s, *k)))
    {
        if (space, kind.kind()) == (NasSpace::Darts, "te-nas") {
            continue;
        }
        let clean = config(kind, space);
        let before = search(&clean, &data, usize::MAX).unwrap();
        let mut config = clean.clone();
        // No poison is the search as it was, and no key of its config.
        config.bad_ops = poison(PoisonSet::P5, space, 0);
        assert_eq!(config, clean);
        assert!(!serde_json::to_string(&config).unwrap().contains("bad"));
        assert_eq!(search(&config, &data, usize::MAX).unwrap(), before);
        config.bad_ops = poison(PoisonSet::P3Plus, space, 2);
        sound(&config, &data, usize::MAX);
        config.bad_ops = poison(PoisonSet::P5, space, 1);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<NasConfig>(&json).unwrap(), config);
        let found = sound(&config, &data, usize::MAX);
        assert!(
            found.1 != before.1 || kind.reads(&config) == Reads::Nothing,
            "{config:?}"
        );
        assert_eq!(sound(&config, &data, 20), found, "{config:?}");
    }
}

/// The costliest search has a test of its own.
#[test]
fn te_nas_prunes_bad_ops_of_darts_cells() {
    let data = digits();
    let mut config = config(&TeNas, NasSpace::Darts);
    edit(&mut config, "te-nas", |te_nas: &mut TenasConfig| {
        (te_nas.batch, te_nas.region_crops) = (Some(2), 4);
    });
    config.bad_ops = poison(PoisonSet::P3Plus, NasSpace::Darts, 1);
    let (_, trace) = sound(&config, &data, usize::MAX);
    let TenasTrace { rounds, .. } = trace.read().unwrap();
    // Of nine ops on each of 28 edges eight go in the first round, then edges of six nodes.
    let gone: Vec<usize> = rounds.iter().map(Vec::len).collect();
    assert_eq!(gone, [8 * 28, 1, 2, 3, 1, 2, 3]);
}

fn poison(set: PoisonSet, space: NasSpace, q: usize) -> Vec<BadOps> {
    set.poison_cells(cells(space), q).unwrap().bad
}

fn shape() -> tox_search::cell::SupernetShape {
    tox_search::cell::SupernetShape {
        channels: 4,
        cells: 1,
        classes: 10,
        input: [1, 8, 8],
    }
}

#[test]
fn overwhelming_copies_are_what_a_random_search_finds() {
    let data = digits();
    for space in SPACES {
        let mut config = config(&Random, space);
        edit(&mut config, "random", |random: &mut RandomConfig| {
            random.draws = 1
        });
        config.bad_ops = poison(PoisonSet::P4, space, 450);
        let (found, _) = search(&config, &data, usize::MAX).unwrap();
        let bad = config.bad_edges(&found).unwrap();
        assert!(bad.chance > 0.99);
        assert!(bad.bad + 1 >= bad.edges, "{bad:?}");
        // More are wanted than there are: those that there are.
        let drawn = tox_search::random::draw(
            PoisonSet::P1.poison_cells(cells(space), 1000).unwrap(),
            40,
            tox_search::space::darts::Inputs::Independent,
            1,
        );
        assert!(drawn.len() > 1);
    }
}

#[test]
fn p_darts_first_stage_has_the_bad_ops_and_later_ones_as_many_ops_as_ever() {
    let data = digits();
    for space in SPACES {
        let mut config = config(&PDarts, space);
        config.bad_ops = poison(PoisonSet::P5, space, 1);
        let (_, trace) = search(&config, &data, usize::MAX).unwrap();
        let PdartsTrace { stages, .. } = trace.read().unwrap();
        let numbers: Vec<usize> = stages.iter().map(|stage| stage.ops[0][0].len()).collect();
        let all = config.cells().unwrap().ops();
        let expected = match space {
            NasSpace::Darts => [8 + 6, 5, 3],
            _ => [5 + 6, 4, 3],
        };
        assert_eq!(numbers, expected);
        assert_eq!(stages[0].ops[0][0], all);
    }
}

#[test]
fn the_screen_drops_the_bad_ops_of_every_set_and_nothing_else() {
    let (data, device) = (digits(), Device::flex());
    let all = tox_testkit::data::digits(None, 100, None);
    let screened = |space: &PoisonedSpace, data: &Dataset| {
        let reports = screen_cells(space, data, &ScreenConfig::default(), 1, &device).unwrap();
        assert_eq!(reports.len(), space.bad.len());
        (screened_cells(space, &reports), reports)
    };
    for space in SPACES.map(cells) {
        for set in SETS {
            let poisoned = set.poison_cells(space, 6).unwrap();
            let (left, reports) = screened(&poisoned, &all);
            assert_eq!(left, PoisonedSpace::clean(space), "{set}");
            let share: f64 = reports.iter().map(|r| r.share).sum();
            let published = space.ops().len() as f64;
            let bad = poisoned.branches() as f64;
            assert!((share - bad / (published + bad)).abs() < 1e-12);
        }
        // What stands beside the published ops and does its work stays, once.
        let mut mixed = PoisonSet::P5.poison_cells(space, 2).unwrap();
        for (op, count) in [("conv5", 3), ("sep3", 1)] {
            let op = op.parse().unwrap();
            mixed.bad.push(BadOps { op, count });
        }
        let (left, reports) = screened(&mixed, &all);
        let kept: Vec<String> = left.bad.iter().map(|bad| bad.op.to_string()).collect();
        assert_eq!(kept, ["conv5", "sep3"]);
        assert_eq!(left.branches(), 2);
        let conv5 = &reports[mixed.bad.len() - 2];
        assert!(conv5.flagged() && !conv5.poisonous());
        assert_eq!(
            screened(&PoisonedSpace::clean(space), &data).0,
            PoisonedSpace::clean(space)
        );
    }
}

#[test]
fn what_no_table_has_is_trained() {
    let data = digits();
    let mut config = config(&Random, NasSpace::NasBench201);
    config.evaluate = Evaluate::NasBench201;
    let text = |op: &str| format!("|{op}~0|+|none~0|{op}~1|+|none~0|none~1|nor_conv_3x3~2|");
    let cell = |op: &str| {
        let cell = text(op).parse().unwrap();
        Architecture::Cell(CellGenotype::NasBench201(cell))
    };
    assert!(!config.may_train());
    config.bad_ops = PoisonSet::P1
        .poison_cells(CellSpace::NasBench201, 1)
        .unwrap()
        .bad;
    // Known before the search, with the numbers of the training.
    assert!(config.may_train());
    config.train = Some(FinalConfig {
        channels: Some(4),
        cells: Some(1),
        epochs: Some(2),
        crop: Some(0),
        ..FinalConfig::default()
    });
    let config = config.with_bad_ops(config.bad_ops.clone());
    assert_eq!(config.train.as_ref().unwrap().epochs, Some(2));
    config.check().unwrap();
    assert_eq!(config.judges(&cell("skip_connect")), Evaluate::NasBench201);
    assert_eq!(config.judges(&cell("identity")), Evaluate::Train);
    let Architecture::Cell(genotype) = cell("identity") else {
        panic!()
    };
    let inputs = final_training::Inputs {
        data: &data,
        config: config.train.as_ref().unwrap(),
        seed: 1,
        device: Device::flex(),
    };
    let trained = undisturbed(|hooks| final_training::run(&genotype, &inputs, hooks)).unwrap();
    assert!((0.0..=100.0).contains(&trained.evaluation.accuracy));
}

#[test]
fn an_elastic_space_refuses_bad_ops_with_the_reason() {
    let mut config = NasConfig::of(&NsganetV2, NasSpace::Elastic);
    config.evaluate = Evaluate::None;
    config.check().unwrap();
    config.bad_ops = poison(PoisonSet::P1, NasSpace::Darts, 1);
    let message = config.check().unwrap_err().to_string();
    assert!(message.contains("no choice of an op"), "{message}");
}
