//! Adversarial training against PyTorch in float64 (`benches/peers/rcnas/make_training_fixtures.py`),
//! against plain training where both are the same, and for real on the embedded digits.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use std::path::Path;
use tox_data::checkpoint::Hooks;
use tox_data::spec::Augment;
use tox_data::{Batch, Dataset, Normalise};
use tox_nn::Device;
use tox_nn::fit::{self, Trainer, fit};
use tox_nn::layers::{Draws, Init, State};
use tox_nn::nets::resnet::resnet18;
use tox_nn::optim::Schedule;
use tox_robust::ball::{Ball, Norm};
use tox_robust::training::{
    Ema, InnerAttack, Inputs, Keep, Method, Objective, Trained, TrainingConfig, Validation, train,
};
use tox_testkit::numbers::{self, Tensors, Within};
use tox_testkit::stops::{belongs, once, stopped, undisturbed};

/// Every value within `tolerance` of the largest.
fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    let within = Within {
        peak: tolerance,
        floor: 1e-7,
        ..Within::default()
    };
    numbers::assert_close(what, found, expected, within);
}

/// Two steps: adversarial batches, losses, gradients, weights, running statistics and their counters.
#[test]
fn steps_are_pytorchs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read(root.join("tests/fixtures/training.safetensors")).unwrap();
    let expected = Tensors::read(&expected);
    let start = root.join("../tox-nn/tests/fixtures/resnet.safetensors");
    let normalise = Normalise {
        mean: vec![0.5, 0.45, 0.4],
        std: vec![0.25, 0.3, 0.2],
    };
    let (trades, mart) = (Method::Trades { beta: 6.0 }, Method::Mart { beta: 5.0 });
    let cases = [
        ("sat", Method::Sat),
        ("trades", trades),
        ("mart", mart),
        ("smooth", trades),
        ("train", Method::Sat),
    ];
    for (name, method) in cases {
        let config = TrainingConfig {
            method,
            label_smoothing: if name == "smooth" { 0.1 } else { 0.0 },
            attack: InnerAttack {
                steps: 3,
                batch_statistics: name == "train",
                ..InnerAttack::default()
            },
            ..TrainingConfig::default()
        };
        let (network, mut state) = resnet18(3, 5, 2, Init::Torch, (1, "test"));
        state.load(&start).unwrap();
        let device = Device::flex();
        let mut trainer = Trainer::new(network, state, &config.fit(), device.clone());
        let objective = Objective {
            config: &config,
            normalise: &normalise,
            classes: 5,
            device,
        };
        for i in 0..2 {
            let labels = expected.get(&format!("labels.{i}"));
            let batch = Batch {
                pixels: expected.floats(&format!("images.{i}")),
                shape: [6, 3, 8, 8],
                labels: labels.iter().map(|l| *l as u16).collect(),
            };
            let noise = expected.floats(&format!("noise.{i}"));
            let noisy = || batch.pixels.iter().zip(&noise).map(|(x, n)| x + n);
            let model = (&trainer.network, &trainer.state);
            let found = objective.adversarial(model, &batch, || noisy().collect());
            let found = found.unwrap();
            let what = format!("{name}.adversarial.{i}");
            let theirs = expected.get(&what);
            let pairs = found.iter().zip(theirs);
            let difference: Vec<f64> = pairs.map(|(f, e)| (f64::from(*f) - e).abs()).collect();
            let most = difference.iter().copied().fold(0.0, f64::max);
            let off = difference.iter().filter(|d| **d > 1e-6).count();
            // A step goes by the sign of the gradient, which rounding decides where that is about zero, as TRADES'
            // is beside the clean image: there a pixel may take the other way. Two of 1152 do in one batch.
            assert!(
                off <= found.len() / 500,
                "{what}: {off} pixels are off by up to {most}"
            );
            let mut rows = found.chunks(192).zip(batch.pixels.chunks(192));
            assert!(rows.all(|(x, c)| config.attack.ball.allows(x, c)));
            let draws = Draws {
                seed: 0,
                network: "test",
                step: i,
            };
            let theirs: Vec<f32> = theirs.iter().map(|x| *x as f32).collect();
            let before = trainer.state.params.values.clone();
            let step = objective.step(&mut trainer, (&batch, Some(&theirs)), draws, 0.05);
            let what = format!("{name}.loss.{i}");
            assert_close(&what, &[step.loss], expected.get(&what), 1e-5);
            if i == 0 && ["trades", "mart"].contains(&name) {
                // The first velocity is the clipped gradient and the penalty.
                let scale = (5.0 / (f64::from(step.grad_norm) + 1e-6)).min(1.0);
                for entry in trainer.state.params.entries() {
                    let gradient = expected.get(&format!("{name}.grad.{}", entry.name));
                    let before = &before[entry.range()];
                    let pairs = gradient.iter().zip(before);
                    let velocity: Vec<f64> = pairs
                        .map(|(g, w)| scale * g + 2e-4 * f64::from(*w))
                        .collect();
                    let found = &trainer.sgd.velocity[entry.range()];
                    assert_close(&format!("{name}: {}", entry.name), found, &velocity, 1e-4);
                }
            }
        }
        let State { params, running } = &trainer.state;
        for entry in params.entries() {
            let expected = expected.get(&format!("{name}.{}", entry.name));
            let what = format!("{name}: {}", entry.name);
            assert_close(&what, &params.values[entry.range()], expected, 1e-4);
        }
        for (id, norm, _) in running.norms() {
            let (mean, var) = running.of(id);
            for (part, found) in [("mean", mean), ("var", var)] {
                let what = format!("{name}.{norm}.running_{part}");
                assert_close(&what, found, expected.get(&what), 1e-4);
            }
            let batches = expected.get(&format!("{name}.{norm}.num_batches_tracked"));
            assert_eq!(running.batches(id) as f64, batches[0], "{name}.{norm}");
        }
    }
}

fn digits(train: usize, valid: usize) -> Dataset {
    tox_testkit::data::digits(Some(train), valid, None)
}

fn config(method: Method, epsilon: f64) -> TrainingConfig {
    TrainingConfig {
        method,
        epochs: 2,
        batch: 32,
        attack: InnerAttack {
            ball: Ball {
                norm: Norm::Linf,
                epsilon,
            },
            steps: 2,
            step_size: 0.6 * epsilon,
            ..InnerAttack::default()
        },
        validation: Validation {
            images: 0,
            ..Validation::default()
        },
        ..TrainingConfig::default()
    }
}

/// Trains a ResNet-18 of a width; stops after every `steps` small steps and goes on from its file.
fn trained(
    data: &Dataset,
    config: &TrainingConfig,
    width: usize,
    steps: usize,
) -> (Trained, usize) {
    config.check().unwrap();
    let inputs = Inputs {
        train: &data.train,
        valid: &data.valid,
        normalise: &data.normalise,
        classes: data.classes,
        augment: &Augment {
            crop: 1,
            ..Augment::default()
        },
        config,
        seed: 5,
        name: "student",
        device: Device::flex(),
    };
    let (trained, stops) = stopped(steps, |hooks| {
        let (network, state) = resnet18(1, data.classes, width, Init::Torch, (5, "student"));
        train(network, state, &inputs, hooks)
    });
    (trained.unwrap(), stops)
}

fn weights(state: &State) -> Vec<u32> {
    state.params.values.iter().map(|v| v.to_bits()).collect()
}

fn bits(state: &State) -> Vec<u32> {
    let running = state.running.values.iter().map(|v| v.to_bits());
    weights(state).into_iter().chain(running).collect()
}

/// An adversary without room, a term without weight, a fit with the same numbers: bit for bit.
#[test]
fn what_is_plain_training_is_the_same_plain_training() {
    let data = digits(97, 20);
    let of = |config: &TrainingConfig| trained(&data, config, 4, usize::MAX).0;
    let plain = of(&config(Method::Standard, 0.1));
    let sat = of(&config(Method::Sat, 0.0));
    assert_eq!(bits(&sat.state), bits(&plain.state));
    assert_eq!(sat.epochs, plain.epochs);
    assert_ne!(
        bits(&of(&config(Method::Sat, 0.1)).state),
        bits(&plain.state)
    );
    // The adversarial batch passes batch norm all the same: twice as many updates.
    let trades = of(&config(Method::Trades { beta: 0.0 }, 0.1));
    assert_eq!(weights(&trades.state), weights(&plain.state));
    assert!(plain.state.running.batches.iter().all(|b| *b == 6));
    assert!(trades.state.running.batches.iter().all(|b| *b == 12));

    let cosine = TrainingConfig {
        schedule: Schedule::Cosine { min: 0.0 },
        ..config(Method::Standard, 0.1)
    };
    let inputs = fit::Inputs {
        train: &data.train,
        normalise: &data.normalise,
        augment: &Augment {
            crop: 1,
            ..Augment::default()
        },
        config: &cosine.fit(),
        seed: 5,
        name: "student",
        device: Device::flex(),
    };
    let fitted = undisturbed(|hooks| {
        let (network, state) = resnet18(1, data.classes, 4, Init::Torch, (5, "student"));
        fit(network, state, &inputs, hooks)
    });
    let fitted = fitted.unwrap();
    assert_eq!(bits(&of(&cosine).state), bits(&fitted.state));
}

/// With everything that a checkpoint must hold: an average, a best epoch, validations of two batches.
#[test]
fn a_training_stopped_anywhere_ends_the_same() {
    let data = digits(64, 140);
    let config = TrainingConfig {
        epochs: 3,
        ema: Some(Ema {
            decay: 0.8,
            warm: true,
        }),
        validation: Validation {
            images: 1000,
            every: 1,
            steps: 2,
            step_size: 0.05,
        },
        keep: Keep::Best,
        ..config(Method::Trades { beta: 6.0 }, 0.1)
    };
    let (undisturbed, stops) = trained(&data, &config, 2, usize::MAX);
    assert_eq!(stops, 0);
    let robust: Vec<f64> = undisturbed
        .epochs
        .iter()
        .map(|e| {
            let v = e.validated.unwrap();
            assert!(v.robust <= v.clean && v.clean <= 100.0);
            v.robust
        })
        .collect();
    let best = robust.iter().fold(0.0f64, |best, r| best.max(*r));
    let first = robust.iter().position(|r| *r == best).unwrap();
    assert_eq!(undisturbed.epoch, first, "{robust:?}");
    // Two steps an epoch, two passes a step.
    let updates = 4 * (first as u64 + 1);
    let batches = &undisturbed.state.running.batches;
    assert!(batches.iter().all(|b| *b == updates), "{batches:?}");
    for steps in [2, 3] {
        let (again, stops) = trained(&data, &config, 2, steps);
        assert!(stops > 0);
        assert_eq!(bits(&again.state), bits(&undisturbed.state), "{steps}");
        assert_eq!(again.state.running, undisturbed.state.running);
        assert_eq!(again.epochs, undisturbed.epochs);
        assert_eq!(again.epoch, undisturbed.epoch);
    }
}

#[test]
fn a_training_that_diverges_says_so() {
    let data = digits(96, 30);
    for method in [
        Method::Standard,
        Method::Sat,
        Method::Trades { beta: 6.0 },
        Method::Mart { beta: 5.0 },
    ] {
        let config = TrainingConfig {
            epochs: 3,
            lr: 1e6,
            weight_decay: 1e3,
            validation: Validation {
                images: 30,
                every: 0,
                steps: 2,
                step_size: 0.05,
            },
            keep: Keep::Best,
            ..config(method, 0.1)
        };
        let (found, _) = trained(&data, &config, 2, usize::MAX);
        assert!(found.nonfinite_steps > 0, "{method:?}");
        let last = &found.epochs[2];
        assert_eq!(last.loss, None);
        let validated = last.validated.unwrap();
        assert_eq!((validated.clean, validated.robust), (0.0, 0.0));
        assert!(found.epochs[1].validated.is_none());
    }
}

#[test]
fn threads_do_not_change_a_training() {
    let data = digits(64, 20);
    let config = TrainingConfig {
        epochs: 1,
        batch: 64,
        ..config(Method::Trades { beta: 6.0 }, 0.1)
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let go = || bits(&trained(&data, &config, 16, usize::MAX).0.state);
        pool.unwrap().install(go)
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let data = digits(64, 20);
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let go = |config: &TrainingConfig, hooks: Hooks<'_>| {
        let inputs = Inputs {
            train: &data.train,
            valid: &data.valid,
            normalise: &data.normalise,
            classes: data.classes,
            augment: &Augment::default(),
            config,
            seed: 5,
            name: "student",
            device: Device::flex(),
        };
        let (network, state) = resnet18(1, data.classes, 2, Init::Torch, (5, "student"));
        train(network, state, &inputs, hooks)
    };
    let one = config(Method::Sat, 0.1);
    belongs(&checkpoint, |hooks| go(&one, hooks));
    let averaged = TrainingConfig {
        ema: Some(Ema::default()),
        ..one
    };
    let refused = once(&checkpoint, "one", &mut || true, |hooks| {
        go(&averaged, hooks)
    });
    let Err(error) = refused else {
        panic!("it went on")
    };
    let error = error.to_string();
    assert!(error.contains("average/weights is missing"), "{error}");
}

/// Handwritten digits, 8x8: who was trained against the adversary withstands it better.
#[test]
fn adversarial_training_makes_robust() {
    let data = digits(1000, 200);
    let of = |method| {
        let mut config = config(method, 0.1);
        config.epochs = 10;
        config.lr = 0.03;
        config.attack.steps = 4;
        config.attack.step_size = 0.04;
        config.validation = Validation {
            images: 200,
            every: 0,
            steps: 10,
            step_size: 0.02,
        };
        let (found, _) = trained(&data, &config, 8, usize::MAX);
        assert_eq!(found.epoch, 9);
        found.epochs[9].validated.unwrap()
    };
    let standard = of(Method::Standard);
    assert!(standard.clean > 85.0, "{standard:?}");
    for method in [
        Method::Sat,
        Method::Trades { beta: 6.0 },
        Method::Mart { beta: 5.0 },
    ] {
        let found = of(method);
        println!("{method:?}: {found:?}; standard: {standard:?}");
        assert!(
            found.robust > standard.robust + 15.0,
            "{method:?}: {found:?} {standard:?}"
        );
        assert!(found.clean > 60.0, "{method:?}: {found:?}");
    }
}
