//! Whole P-DARTS searches on real images: stopped and resumed, on any number of threads, refused.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use tox_data::Dataset;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_search::nas::Direction;
use tox_search::pdarts::config::{PdartsConfig, Stage};
use tox_search::pdarts::found::{Found, Inputs, PdartsError, genotype};
use tox_search::pdarts::search::run;
use tox_search::space::cells::{CellGenotype, CellSpace};
use tox_search::space::darts;
use tox_testkit::data::AUGMENT;
use tox_testkit::stops::{belongs, told};

/// Digits, 8x8: so many for the weights and for the alphas.
fn digits(weights: usize, alphas: usize) -> Dataset {
    tox_testkit::data::digits(Some(weights), alphas, Some(2))
}

/// Three stages of two epochs, in one of which the alphas learn.
fn config(space: CellSpace) -> PdartsConfig {
    let of = |cells, ops, skip_dropout| Stage {
        cells,
        ops,
        skip_dropout,
    };
    let stages = match space {
        CellSpace::Darts => vec![of(2, 8, 0.1), of(3, 5, 0.4), of(4, 3, 0.7)],
        CellSpace::NasBench201 => vec![of(1, 5, 0.1), of(1, 4, 0.4), of(2, 3, 0.7)],
    };
    PdartsConfig {
        stages,
        channels: 4,
        batch: 16,
        epochs: 2,
        frozen_epochs: 1,
        alpha_lr: 0.05,
        ..PdartsConfig::default()
    }
}

/// Runs with a stop after every `steps` small steps; the search goes on from its file each time.
fn interrupted(
    space: CellSpace,
    config: &PdartsConfig,
    (data, seed): (&Dataset, u64),
    steps: usize,
) -> (Result<Found, PdartsError>, usize) {
    let inputs = Inputs {
        data,
        augment: &AUGMENT,
        space,
        config,
        direction: Direction::Search,
        seed,
        device: Device::flex(),
    };
    let mut share = 0.0;
    let progress = &mut |done: f64, _: &str| {
        assert!((share..=1.0).contains(&done), "{share} {done}");
        share = done;
    };
    told(steps, progress, |hooks| run(&inputs, hooks))
}

fn search(space: CellSpace, config: &PdartsConfig, data: (&Dataset, u64)) -> Found {
    interrupted(space, config, data, usize::MAX).0.unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn assert_same(found: &Found, other: &Found) {
    assert_eq!(found.genotype, other.genotype);
    assert_eq!(found.epochs, other.epochs);
    assert_eq!(found.stages, other.stages);
    assert_eq!(found.steps, other.steps);
    let weights = |found: &Found| bits(&found.learner.state.params.values);
    assert_eq!(weights(found), weights(other));
    let alphas = |found: &Found| bits(&found.learner.alphas.values);
    assert_eq!(alphas(found), alphas(other));
}

const SPACES: [CellSpace; 2] = [CellSpace::Darts, CellSpace::NasBench201];

#[test]
fn a_search_stopped_anywhere_ends_the_same() {
    // The alphas' half has more images than the weights', or fewer, so that it begins anew.
    for (space, weights) in SPACES.into_iter().zip([32, 48]) {
        let (data, config) = (digits(weights, 80 - weights), config(space));
        let (undisturbed, stops) = interrupted(space, &config, (&data, 3), usize::MAX);
        let undisturbed = undisturbed.unwrap();
        assert_eq!(stops, 0);
        let per_epoch = weights as u64 / 16;
        assert_eq!(undisturbed.steps, 3 * 2 * per_epoch);
        assert_eq!(undisturbed.epochs.len(), 6);
        // A stop after every single step, and stops that fall on and between ends of epochs.
        for steps in [2, 3, 6] {
            let (found, stops) = interrupted(space, &config, (&data, 3), steps);
            assert!(stops > 1, "{stops}");
            assert_same(&found.unwrap(), &undisturbed);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for space in SPACES {
        let (data, config) = (digits(32, 32), config(space));
        let found = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            pool.install(|| search(space, &config, (&data, 5)))
        };
        assert_same(&found(1), &found(3));
    }
}

#[test]
fn stages_follow_the_config() {
    for space in SPACES {
        let (data, config) = (digits(32, 32), config(space));
        let found = search(space, &config, (&data, 1));
        let kinds = space.kinds().len();
        assert_eq!(found.stages.len(), 3);
        for (stage, end) in config.stages.iter().zip(&found.stages) {
            assert_eq!((end.ops.len(), end.probabilities.len()), (kinds, kinds));
            for (ops, probabilities) in end
                .ops
                .iter()
                .flatten()
                .zip(end.probabilities.iter().flatten())
            {
                assert_eq!((ops.len(), probabilities.len()), (stage.ops, stage.ops));
                assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
        }
        // What a stage kept are the likeliest ops of the one before.
        for pair in found.stages.windows(2) {
            let before = pair[0]
                .ops
                .iter()
                .flatten()
                .zip(pair[0].probabilities.iter().flatten());
            for ((ops, probabilities), kept) in before.zip(pair[1].ops.iter().flatten()) {
                let mut order: Vec<usize> = (0..ops.len()).collect();
                order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
                let mut best: Vec<usize> = order[..kept.len()].to_vec();
                best.sort_unstable();
                let best: Vec<&String> = best.into_iter().map(|i| &ops[i]).collect();
                assert_eq!(best, kept.iter().collect::<Vec<_>>());
            }
        }
        for (i, epoch) in found.epochs.iter().enumerate() {
            assert_eq!((epoch.stage, epoch.epoch), (i / 2, i % 2));
            assert_eq!(epoch.lr, [0.025, 0.0125][i % 2]);
            let initial = [0.1, 0.4, 0.7][i / 2];
            let expected = [initial * 0.5, initial][i % 2];
            assert!((epoch.skip_dropout - expected).abs() < 1e-12);
            assert_eq!(epoch.alpha_loss.is_some(), i % 2 == 1, "frozen at first");
            assert!(epoch.loss.unwrap() > 0.0 && epoch.nonfinite_steps == 0);
            let uniform = (config.stages[i / 2].ops as f64).ln();
            let entropy = epoch.entropy.unwrap();
            match i % 2 {
                // Alphas of 1e-3 N(0, 1).
                0 => assert!((uniform - entropy).abs() < 1e-4),
                _ => assert!(uniform - entropy > 1e-4),
            }
        }
        let last = &found.stages[2].ops[0];
        match found.genotype {
            CellGenotype::Darts(genotype) => {
                let count = |cell: &darts::Cell, op| {
                    let edges = cell.edges().iter();
                    edges.filter(|edge| edge.op == op).count()
                };
                assert!(count(&genotype.normal, darts::Op::Skip) <= config.max_skips);
                for cell in [genotype.normal, genotype.reduce] {
                    assert_eq!(count(&cell, darts::Op::None), 0);
                }
            }
            CellGenotype::NasBench201(cell) => {
                for (op, ops) in cell.ops.iter().zip(last) {
                    assert!(ops.iter().any(|name| name == op.name()));
                }
            }
        }
    }
}

/// The supernet learns, on the alphas' half too, and the alphas of images with true labels end
/// elsewhere than those of a copy with other labels, which nothing can learn.
#[test]
fn a_search_on_real_digits_learns() {
    let data = digits(600, 600);
    let config = PdartsConfig {
        stages: vec![Stage {
            cells: 1,
            ops: 5,
            skip_dropout: 0.1,
        }],
        channels: 8,
        batch: 24,
        epochs: 10,
        lr_max: 0.1,
        ..config(CellSpace::NasBench201)
    };
    let found = search(CellSpace::NasBench201, &config, (&data, 2));
    let (first, last) = (&found.epochs[0], &found.epochs[9]);
    assert!(
        last.loss.unwrap() < 0.5 * first.loss.unwrap(),
        "{first:?} {last:?}"
    );
    assert!(last.error < 25.0, "{last:?}");
    assert!(last.alpha_error.unwrap() < 30.0, "{last:?}");
    let mut flipped = data.clone();
    let halves = [&mut flipped.train, &mut flipped.valid];
    let labels = halves.into_iter().flat_map(|half| &mut half.labels);
    for (i, label) in labels.enumerate() {
        *label = ((usize::from(*label) + i * i) % 10) as u16;
    }
    let poisoned = search(CellSpace::NasBench201, &config, (&flipped, 2));
    assert!(poisoned.epochs[9].alpha_error.unwrap() > 70.0);
    assert_ne!(found.stages, poisoned.stages);
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let refused = |change: fn(&mut PdartsConfig)| {
        let (space, data) = (CellSpace::Darts, digits(10, 10));
        let mut config = config(space);
        change(&mut config);
        let (made, _) = interrupted(space, &config, (&data, 0), usize::MAX);
        made.unwrap_err().to_string()
    };
    for (message, part) in [
        (refused(|c| c.stages.clear()), "`stages` = none"),
        (refused(|c| c.stages[0].ops = 5), "8 in the first stage"),
        (refused(|c| c.stages[2].ops = 6), "expected 3 to 5"),
        (refused(|c| c.stages[2].ops = 2), "expected 3 to 5"),
        (refused(|c| c.batch = 1), "`batch` = 1"),
        (refused(|c| c.lr_max = f64::NAN), "`lr_max` = NaN"),
        (refused(|c| c.frozen_epochs = 3), "expected 0 to 2"),
        (refused(|c| c.channels = 0), "`channels` = 0"),
        // A penalty that multiplies weights by -1e9 a step.
        (
            refused(|c| (c.lr_max, c.weight_decay, c.epochs, c.frozen_epochs) = (1e6, 1e3, 4, 3)),
            "stage 1 of P-DARTS ends without ops",
        ),
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_checkpoint_of_another_trial_is_refused() {
    let (data, config) = (digits(20, 20), config(CellSpace::Darts));
    let folder = tempfile::tempdir().unwrap();
    let inputs = Inputs {
        data: &data,
        augment: &Augment::default(),
        space: CellSpace::Darts,
        config: &config,
        direction: Direction::Search,
        seed: 0,
        device: Device::flex(),
    };
    belongs(&folder.path().join("checkpoint.safetensors"), |hooks| {
        run(&inputs, hooks)
    });
}

/// Worked out by hand: probabilities of the six edges over their last three ops.
#[test]
fn a_nasbench201_cell_takes_each_edges_likeliest_op() {
    // none 0, skip 1, conv1 2, conv3 3, pool 4
    let (ops, probabilities): (Vec<_>, Vec<_>) = [
        (vec![0, 1, 3], vec![0.2, 0.5, 0.3]),
        (vec![1, 2, 3], vec![0.6, 0.3, 0.1]),
        (vec![1, 3, 4], vec![0.4, 0.3, 0.3]),
        (vec![0, 2, 4], vec![0.7, 0.2, 0.1]),
        (vec![1, 2, 4], vec![0.1, 0.45, 0.45]),
        (vec![1, 2, 3], vec![0.2, 0.3, 0.5]),
    ]
    .into_iter()
    .unzip();
    let made = |max_skips| {
        let (ops, probabilities) = (vec![ops.clone()], vec![probabilities.clone()]);
        genotype(CellSpace::NasBench201, &ops, &probabilities, max_skips)
            .unwrap()
            .to_string()
    };
    // Of equals the later one: a pool on edge 4.
    let rest = "none~0|avg_pool_3x3~1|nor_conv_3x3~2|";
    let three = format!("|skip_connect~0|+|skip_connect~0|skip_connect~1|+|{rest}");
    assert_eq!(made(3), three);
    // Edge 2 has the weakest skip; of what it has left the later equal stays.
    let two = format!("|skip_connect~0|+|skip_connect~0|avg_pool_3x3~1|+|{rest}");
    assert_eq!(made(2), two);
    let none = format!("|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|{rest}");
    assert_eq!(made(0), none);
}
