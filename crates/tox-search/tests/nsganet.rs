//! Whole searches of NSGANetV2: with known accuracies, and on real digits with stops and threads.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use std::collections::BTreeSet;
use tox_data::Dataset;
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::evaluate::logits;
use tox_nn::layers::State;
use tox_search::genes::{Architecture, GeneSpace};
use tox_search::nas::Direction;
use tox_search::nsganet::archive::{Entry, choose, front, initial, propose, share, trade_offs};
use tox_search::nsganet::{Accuracy, Choice, Found, Inputs, NsganetConfig, NsganetError, run};
use tox_search::space::PoisonedSpace;
use tox_search::space::cells::CellSpace;
use tox_search::space::elastic::ElasticSpace;
use tox_search::surrogate::Kind;
use tox_testkit::stops::stopped;

const BENCH: GeneSpace = GeneSpace::Cell(PoisonedSpace::clean(CellSpace::NasBench201));
const DARTS: GeneSpace = GeneSpace::Cell(PoisonedSpace::clean(CellSpace::Darts));

fn digits() -> Dataset {
    tox_testkit::data::digits(Some(96), 32, Some(32))
}

fn tiny() -> GeneSpace {
    GeneSpace::Elastic(ElasticSpace {
        width: 0.05,
        resolutions: vec![6, 8],
        small: true,
    })
}

fn config() -> NsganetConfig {
    let mut config = NsganetConfig {
        channels: 4,
        cells: 1,
        initial: 6,
        rounds: 2,
        candidates: 2,
        ..NsganetConfig::default()
    };
    (config.supernet.epochs, config.supernet.batch) = (2, 40);
    (config.tune.epochs, config.tune.batch) = (1, 40);
    (config.search.population, config.search.generations) = (10, 3);
    (config.tune.calibration, config.predictor.trees) = (50, 20);
    config
}

struct Asked<'a> {
    space: &'a GeneSpace,
    accuracy: Accuracy<'a>,
    direction: Direction,
    config: &'a NsganetConfig,
    data: &'a Dataset,
    seed: u64,
}

impl<'a> Asked<'a> {
    fn inputs(&self, augment: &'a Augment) -> Inputs<'a> {
        Inputs {
            data: self.data,
            augment,
            space: self.space,
            accuracy: self.accuracy,
            direction: self.direction,
            config: self.config,
            seed: self.seed,
            device: Device::flex(),
        }
    }
}

fn asked<'a>(space: &'a GeneSpace, config: &'a NsganetConfig, data: &'a Dataset) -> Asked<'a> {
    Asked {
        space,
        accuracy: Accuracy::Trained,
        direction: Direction::Search,
        config,
        data,
        seed: 3,
    }
}

/// With a stop after every `steps` small steps, and how often it stopped.
fn search(asked: &Asked<'_>, steps: usize) -> (Result<Found, NsganetError>, usize) {
    let augment = Augment {
        crop: 1,
        ..Augment::default()
    };
    let inputs = asked.inputs(&augment);
    stopped(steps, |hooks| run(&inputs, hooks))
}

fn same(a: &Found, b: &Found) {
    assert_eq!(a.archive, b.archive);
    assert_eq!(a.rounds, b.rounds);
    assert_eq!((&a.architecture, a.place), (&b.architecture, b.place));
    assert_eq!(a.epochs, b.epochs);
    let bits = |found: &Found| -> Vec<u32> {
        let values = &found.supernet.as_ref().unwrap().state().params.values;
        values.iter().map(|v| v.to_bits()).collect()
    };
    assert!(bits(a) == bits(b), "weights of the supernet");
}

#[test]
fn searches_do_not_care_for_stops_or_threads() {
    let (data, config) = (digits(), config());
    for space in [BENCH, DARTS, tiny()] {
        let asked = asked(&space, &config, &data);
        let (found, stops) = search(&asked, usize::MAX);
        let found = found.unwrap();
        assert_eq!((stops, found.archive.len(), found.rounds.len()), (0, 10, 2));
        assert_eq!(found.epochs.len(), 2);
        let genes: BTreeSet<_> = found.archive.iter().map(|entry| &entry.genes).collect();
        assert_eq!(genes.len(), 10, "nothing is evaluated twice");
        let rounds: Vec<usize> = found.archive.iter().map(|entry| entry.round).collect();
        assert_eq!(rounds, [0, 0, 0, 0, 0, 0, 1, 1, 2, 2]);
        let best = found.archive.iter().map(|e| e.accuracy).fold(0.0, f64::max);
        assert_eq!(found.archive[found.place].accuracy, best);
        assert_eq!(found.archive[found.place].architecture, found.architecture);
        for (entry, architecture) in found
            .archive
            .iter()
            .zip(space.extremes().into_iter().flatten())
        {
            assert_eq!(entry.architecture, architecture);
        }
        // The result can be taken out of the supernet, and answers.
        let augment = Augment::default();
        let (net, state) = found.subnet(&asked.inputs(&augment)).unwrap().unwrap();
        let device = Device::flex();
        let answers = logits(&net, &state, &data.valid, &data.normalise, &device);
        assert!(answers.len() == 320 && answers.iter().all(|v| v.is_finite()));
        let weights = found.supernet.as_ref().unwrap().state();
        for entry in state
            .params
            .entries()
            .iter()
            .filter(|e| e.name.starts_with("stem"))
        {
            let of = |state: &State| {
                let entries = state.params.entries().iter();
                let found = entries.clone().find(|e| e.name == entry.name).unwrap();
                state.params.values[found.range()].to_vec()
            };
            assert_eq!(of(&state), of(weights), "{}", entry.name);
        }
        for steps in [2, 7] {
            let (again, stops) = search(&asked, steps);
            assert!(stops > 4, "{stops}");
            same(&again.unwrap(), &found);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let threads = || search(&asked, usize::MAX).0.unwrap();
        same(&pool.unwrap().install(threads), &found);
    }
}

/// Without fine-tuning a supernet that was trained tells digits apart, one that was not does not.
#[test]
fn inherited_weights_are_worth_something() {
    let data = digits();
    let mut config = config();
    (config.channels, config.cells) = (8, 2);
    (config.initial, config.rounds, config.tune.epochs) = (4, 0, 0);
    (config.supernet.epochs, config.supernet.lr_max) = (50, 0.1);
    let space = DARTS;
    let mut asked = asked(&space, &config, &data);
    let trained = search(&asked, usize::MAX).0.unwrap();
    let mean = |found: &Found| found.archive.iter().map(|e| e.accuracy).sum::<f64>() / 4.0;
    assert!(mean(&trained) > 40.0, "{}", mean(&trained));
    // The same from its weights; and with a new classifier much worse.
    asked.accuracy = Accuracy::Inherited(trained.supernet.as_ref().unwrap());
    let again = search(&asked, usize::MAX).0.unwrap();
    assert_eq!(again.archive, trained.archive);
    assert!(again.epochs.is_empty());
    let mut new = config.clone();
    new.tune.new_classifier = true;
    asked.config = &new;
    let reset = search(&asked, usize::MAX).0.unwrap();
    assert!(mean(&reset) < mean(&trained) - 20.0, "{}", mean(&reset));
    // A classifier of four classes is replaced; tuned for a while, all is as good again.
    let four = trained
        .supernet
        .as_ref()
        .unwrap()
        .with_classes(4, (1, "test"))
        .unwrap();
    asked.accuracy = Accuracy::Inherited(&four);
    let mut tune = config.clone();
    (tune.tune.epochs, tune.tune.lr_max) = (20, 0.05);
    asked.config = &tune;
    let tuned = search(&asked, usize::MAX).0.unwrap();
    assert_eq!(tuned.supernet.as_ref().unwrap().shape().classes, 10);
    assert!(mean(&tuned) > 50.0, "{}", mean(&tuned));
}

/// More of the later ops is better, edge by edge, and two edges have to agree: accuracies by which a
/// search can be judged without training.
fn known(architecture: &Architecture) -> f64 {
    let genes = BENCH.encode(architecture).unwrap();
    let worth = [0.0, 2.0, 5.0, 8.0, 3.0];
    let sum: f64 = genes.iter().map(|g| worth[*g]).sum();
    40.0 + sum + if genes[0] == genes[5] { 5.0 } else { 0.0 }
}

#[test]
fn a_search_finds_more_than_as_many_random_draws() {
    let data = digits();
    let mut config = config();
    (config.initial, config.rounds, config.candidates) = (30, 5, 8);
    (config.search.population, config.search.generations) = (40, 20);
    let mut better = 0;
    for seed in 0..6 {
        let asked = Asked {
            space: &BENCH,
            accuracy: Accuracy::Known(&known),
            direction: Direction::Search,
            config: &config,
            data: &data,
            seed,
        };
        let found = search(&asked, usize::MAX).0.unwrap();
        assert_eq!(found.archive.len(), 70);
        let volumes: Vec<f64> = found.rounds.iter().map(|r| r.hypervolume).collect();
        assert!(
            volumes.is_sorted() && volumes[4] > volumes[0],
            "{volumes:?}"
        );
        if seed == 0 {
            let (again, stops) = search(&asked, 9);
            let again = again.unwrap();
            assert!(stops > 5 && again.archive == found.archive && again.rounds == found.rounds);
        }
        // As many random architectures, judged by the same reference.
        let drawn = initial(&BENCH, 70, 1000 + seed).unwrap().into_iter();
        let mut random = found.archive[..30].to_vec();
        random.extend(drawn.take(40).map(|genes| {
            let architecture = BENCH.decode(&genes).unwrap();
            let shape = found.archive[0].clone();
            entry(genes, architecture, shape)
        }));
        better += usize::from(volumes[4] > share(&random, Direction::Search).unwrap());
    }
    assert!(
        better >= 5,
        "better than random search with {better} of 6 seeds"
    );
}

/// Accuracies are known, 40 to 93: by them alone the best of random draws is high and the worst low. The anti-search
/// ends far below.
#[test]
fn an_anti_search_ends_with_the_least_accurate() {
    let (data, mut config) = (digits(), config());
    (config.initial, config.rounds, config.candidates) = (20, 4, 6);
    (config.search.population, config.search.generations) = (30, 10);
    let found = |direction| {
        let asked = Asked {
            space: &BENCH,
            accuracy: Accuracy::Known(&known),
            direction,
            config: &config,
            data: &data,
            seed: 2,
        };
        let found = search(&asked, usize::MAX).0.unwrap();
        let accuracies = found.archive.iter().map(|entry| entry.accuracy);
        (known(&found.architecture), accuracies.collect::<Vec<f64>>())
    };
    let (best, all) = found(Direction::Search);
    assert_eq!(best, all.iter().copied().fold(0.0, f64::max));
    let (worst, all) = found(Direction::AntiSearch);
    assert_eq!(worst, all.iter().copied().fold(100.0, f64::min));
    // Both begin with the same twenty, and leave them in opposite directions.
    assert!(best > 70.0 && worst < 50.0, "{best} {worst}");
}

/// A random architecture of the same scaffold as the archive's, evaluated after the first.
fn entry(genes: Vec<usize>, architecture: Architecture, like: Entry) -> Entry {
    let shape = tox_search::cell::SupernetShape {
        channels: 4,
        cells: 1,
        classes: 10,
        input: [1, 8, 8],
    };
    let macs = BENCH.counts(&architecture, shape).unwrap().macs as f64 / 1e6;
    Entry {
        accuracy: known(&architecture),
        genes,
        architecture,
        macs,
        round: like.round + 1,
    }
}

/// The fifth is dominated.
const FRONT: [[f64; 2]; 5] = [
    [50.0, 18.0],
    [10.0, 48.0],
    [90.0, 16.0],
    [20.0, 20.0],
    [60.0, 60.0],
];

fn points(points: &[[f64; 2]]) -> Vec<Entry> {
    let random = |i| BENCH.random(&mut stream(1, "test", &[i]));
    let one = |(i, [error, macs]): (usize, &[f64; 2])| {
        let architecture = random(i as u64);
        Entry {
            genes: BENCH.encode(&architecture).unwrap(),
            architecture,
            accuracy: 100.0 - error,
            macs: *macs,
            round: 0,
        }
    };
    points.iter().enumerate().map(one).collect()
}

/// A front with a knee at (20, 20), by hand: scaled it is (0, 1), (0.125, 0.125), (0.5, 0.0625),
/// (1, 0), and all are neighbours. The knee loses 0.875 towards the first for a gain of 0.125, 0.375 for
/// 0.0625 and 0.875 for 0.125 towards the others: at least 6.
#[test]
fn the_choice_is_the_most_accurate_or_the_knee() {
    let archive = points(&FRONT);
    assert_eq!(front(&archive, Direction::Search).unwrap(), [0, 1, 2, 3]);
    assert_eq!(
        choose(&archive, (Choice::Accuracy, Direction::Search)).unwrap(),
        1
    );
    assert_eq!(
        choose(&archive, (Choice::Knee, Direction::Search)).unwrap(),
        3
    );
    let of = trade_offs(&[[10.0, 48.0], [20.0, 20.0], [50.0, 18.0], [90.0, 16.0]]);
    assert!((of[1] - 6.0).abs() < 1e-12, "{of:?}");
    assert!((of[0] - 1.0 / 7.0).abs() < 1e-12, "{of:?}");
    assert_eq!(trade_offs(&[[3.0, 4.0]]), [0.0]);
    // Two points, the reference (101, 101): (101 - 50)(101 - 100) + (101 - 100)(101 - 50) - 1.
    let archive = points(&[[50.0, 100.0], [100.0, 50.0]]);
    assert!((share(&archive, Direction::Search).unwrap() - 101.0 / 10201.0).abs() < 1e-12);
}

#[test]
fn the_first_architectures_are_the_extremes_and_different_random_ones() {
    let space = GeneSpace::Elastic(ElasticSpace::small(0.05));
    let first = initial(&space, 8, 1).unwrap();
    let [smallest, largest] = space.extremes().unwrap();
    assert_eq!(space.decode(&first[0]).unwrap(), smallest);
    assert_eq!(space.decode(&first[1]).unwrap(), largest);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 8);
    assert_eq!(initial(&space, 5, 1).unwrap(), first[..5]);
    assert_ne!(initial(&space, 8, 2).unwrap(), first);
}

/// NSGA-II that only looks at its start finds nothing new.
#[test]
fn what_nsga_2_does_not_find_is_drawn() {
    let mut config = config();
    (config.search.generations, config.candidates) = (1, 5);
    let archive = points(&FRONT);
    let macs = |architecture: &Architecture| Ok(known(architecture));
    let proposal = propose(
        &BENCH,
        &archive,
        (&config, Direction::Search),
        &macs,
        (1, 1),
    )
    .unwrap();
    assert_eq!((proposal.candidates.len(), proposal.drawn), (5, 5));
    let mut all: BTreeSet<_> = archive.iter().map(|entry| &entry.genes).collect();
    all.extend(proposal.candidates.iter().map(|(genes, _)| genes));
    assert_eq!(all.len(), 10);
    config.search.generations = 20;
    let proposal = propose(
        &BENCH,
        &archive,
        (&config, Direction::Search),
        &macs,
        (1, 1),
    )
    .unwrap();
    assert_eq!((proposal.candidates.len(), proposal.drawn), (5, 0));
}

#[test]
fn diverged_candidates_are_worth_nothing() {
    let (data, space) = (digits(), tiny());
    let mut config = config();
    config.tune.lr_max = 1e6;
    (config.initial, config.rounds, config.supernet.epochs) = (4, 1, 1);
    config.predictors = vec![Kind::Carts];
    let asked = asked(&space, &config, &data);
    let found = search(&asked, usize::MAX).0.unwrap();
    assert_eq!(found.archive.len(), 6);
    let finite = |v: f64| (0.0..=100.0).contains(&v);
    assert!(found.archive.iter().all(|entry| finite(entry.accuracy)));
    assert!(found.archive.iter().any(|entry| entry.accuracy == 0.0));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let data = digits();
    let refused = |space: &GeneSpace, accuracy: Accuracy<'_>, change: fn(&mut NsganetConfig)| {
        let mut config = config();
        change(&mut config);
        let asked = Asked {
            space,
            accuracy,
            direction: Direction::Search,
            config: &config,
            data: &data,
            seed: 3,
        };
        search(&asked, usize::MAX).0.unwrap_err().to_string()
    };
    let trained = Accuracy::Trained;
    for (change, key) in [
        (
            (|c| c.initial = 3) as fn(&mut NsganetConfig),
            "`initial` = 3",
        ),
        (|c| c.predictors.clear(), "`predictors` = 0 of them"),
        (|c| c.tune.lr_max = f64::NAN, "`tune.lr_max` = NaN"),
        (|c| c.supernet.sampled = 0, "`supernet.sampled` = 0"),
        (|c| c.search.crossover = 1.5, "`search.crossover` = 1.5"),
        (|c| c.predictor.trees = 0, "`predictor.trees` = 0"),
    ] {
        let message = refused(&BENCH, trained, change);
        assert!(message.contains(key), "{message}");
    }
    let nowhere = |_: &Architecture| f64::NAN;
    let message = refused(&BENCH, Accuracy::Known(&nowhere), |_| ());
    assert!(message.contains("given as NaN"), "{message}");
    let shape = tox_search::cell::SupernetShape {
        channels: 4,
        cells: 1,
        classes: 10,
        input: [3, 8, 8],
    };
    let other = tox_search::nsganet::Supernet::new(&BENCH, shape, true, (1, "test")).unwrap();
    let message = refused(&BENCH, Accuracy::Inherited(&other), |_| ());
    assert!(message.contains("images of 3 channels"), "{message}");
}
