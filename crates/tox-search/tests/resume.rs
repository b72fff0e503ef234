//! A search that is stopped anywhere and goes on finds, bit for bit, what an undisturbed one does.
#![allow(clippy::unwrap_used)]

use std::time::Duration;
use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_search::enas::config::{EnasConfig, Strategy};
use tox_search::enas::search::{Found, Inputs, run};
use tox_search::space::{Op, Space, SpaceOp};
use tox_testkit::data::AUGMENT;
use tox_testkit::stops::{belongs, is_a_share, saving};

fn digits() -> Dataset {
    tox_testkit::data::digits(Some(64), 32, Some(32))
}

fn config(strategy: Strategy) -> EnasConfig {
    let mut config = EnasConfig {
        strategy,
        ..EnasConfig::default()
    };
    (config.child.layers, config.child.channels) = (4, 4);
    (config.child.batch, config.child.epochs) = (16, 2);
    (
        config.controller.steps,
        config.controller.aggregate,
        config.controller.batch,
    ) = (2, 3, 16);
    (
        config.evaluation.candidates,
        config.evaluation.density_samples,
    ) = (3, 20);
    config.retrain.epochs = 2;
    config
}

/// Every op that draws random numbers, and duplicates.
fn space() -> Space {
    let mut space = Space::enas();
    let mixed = Op::Mixed {
        k: 3,
        keep: 0.5,
        scale: 1.0,
        sigma: 2.0,
    };
    for op in [Op::Gaussian { sigma: 10.0 }, Op::Dropout { p: 0.5 }, mixed] {
        space.ops.push(SpaceOp {
            op,
            count: 2,
            poison: true,
        });
    }
    space
}

/// Runs with a stop after every `steps` small steps; the search goes on from its file each time.
fn interrupted(strategy: Strategy, steps: usize) -> (Found, usize) {
    let (data, config, space) = (digits(), config(strategy), space());
    let inputs = Inputs {
        data: &data,
        retrain: &data,
        augment: &AUGMENT,
        space: &space,
        config: &config,
        seed: 3,
        device: Device::flex(),
    };
    let run = |hooks: Hooks<'_>| run(&inputs, hooks);
    let (found, stops) = saving(Duration::ZERO, steps, &mut is_a_share, run);
    (found.unwrap(), stops)
}

#[test]
fn a_search_stopped_anywhere_ends_the_same() {
    for strategy in [Strategy::Enas, Strategy::Random] {
        let (undisturbed, stops) = interrupted(strategy, usize::MAX);
        assert_eq!(stops, 0);
        assert_eq!(undisturbed.steps, 8);
        assert_eq!(undisturbed.epochs.len(), 2);
        assert_eq!(undisturbed.bad_ops.iter().sum::<u64>(), 20);
        assert!(undisturbed.retrained_test_error.is_some());
        // A stop after every single step, and stops that fall in every phase.
        for steps in [2, 3, 5] {
            let (found, stops) = interrupted(strategy, steps);
            assert!(stops > 2, "{stops}");
            assert_eq!(
                found, undisturbed,
                "{strategy:?}, a stop every {steps} steps"
            );
        }
    }
}

#[test]
fn a_checkpoint_of_another_trial_is_refused() {
    let (data, config, space) = (digits(), config(Strategy::Enas), space());
    let folder = tempfile::tempdir().unwrap();
    let inputs = Inputs {
        data: &data,
        retrain: &data,
        augment: &Augment::default(),
        space: &space,
        config: &config,
        seed: 3,
        device: Device::flex(),
    };
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let error = belongs(&checkpoint, |hooks| run(&inputs, hooks));
    assert!(error.contains("delete it"), "{error}");
}
