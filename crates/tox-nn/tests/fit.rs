//! Training for real: ResNet-18 on the embedded digits.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use tox_data::Dataset;
use tox_data::checkpoint::Hooks;
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::{FitConfig, Fitted, Inputs, evaluate, fit};
use tox_nn::layers::Init;
use tox_nn::nets::resnet::resnet18;
use tox_testkit::stops::{belongs, once, stopped};

fn digits(train: Option<usize>) -> Dataset {
    tox_testkit::data::digits(train, 0, None)
}

fn config(epochs: usize) -> FitConfig {
    FitConfig {
        epochs,
        batch: 32,
        ..FitConfig::default()
    }
}

/// Stops after every `steps` small steps; the training goes on from its file each time.
fn interrupted(data: &Dataset, config: &FitConfig, width: usize, steps: usize) -> (Fitted, usize) {
    let augment = Augment {
        crop: 1,
        ..Augment::default()
    };
    let inputs = Inputs {
        train: &data.train,
        normalise: &data.normalise,
        augment: &augment,
        config,
        seed: 5,
        name: "victim",
        device: Device::flex(),
    };
    let (fitted, stops) = stopped(steps, |hooks| {
        let (network, state) = resnet18(1, data.classes, width, Init::Torch, (5, "victim"));
        fit(network, state, &inputs, hooks)
    });
    (fitted.unwrap(), stops)
}

fn bits(fitted: &Fitted) -> Vec<u32> {
    let values = fitted.state.params.values.iter();
    let all = values.chain(&fitted.state.running.values);
    all.map(|v| v.to_bits()).collect()
}

/// A ResNet-18 of width 8 answers at least 93 % of the test digits after twelve epochs.
#[test]
fn a_narrow_resnet_learns_the_digits_within_seconds() {
    let data = digits(None);
    let (fitted, _) = interrupted(&data, &config(12), 8, usize::MAX);
    assert_eq!(fitted.epochs.len(), 12);
    assert!(fitted.epochs[11].loss.unwrap() < 0.5 * fitted.epochs[0].loss.unwrap());
    let (network, _) = resnet18(1, data.classes, 8, Init::Torch, (0, "any"));
    let (state, device) = (&fitted.state, Device::flex());
    let logits = evaluate::logits(&network, state, &data.test, &data.normalise, &device);
    let error = evaluate::error(&logits, &data.test.labels);
    assert!(
        error <= 7.0,
        "test error {error} %, epochs {:?}",
        fitted.epochs
    );
    let confidences = evaluate::softmax(&logits, data.classes);
    for row in confidences.chunks_exact(data.classes) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_training_stopped_anywhere_ends_the_same() {
    let (data, config) = (digits(Some(97)), config(2));
    let (undisturbed, stops) = interrupted(&data, &config, 4, usize::MAX);
    assert_eq!(stops, 0);
    // 97 = 3 * 32 + 1: the lone image is left out.
    let batches = &undisturbed.state.running.batches;
    assert!(batches.iter().all(|b| *b == 6), "{batches:?}");
    for steps in [2, 3, 5] {
        let (fitted, stops) = interrupted(&data, &config, 4, steps);
        assert!(stops > 0);
        assert_eq!(
            bits(&fitted),
            bits(&undisturbed),
            "a stop every {steps} steps"
        );
        assert_eq!(fitted.epochs, undisturbed.epochs);
        assert_eq!(fitted.state.running, undisturbed.state.running);
    }
}

#[test]
fn threads_do_not_change_a_training() {
    // Maps of 64 x 16 x 8 x 8 values: large enough to be shared out.
    let data = digits(Some(128));
    let config = FitConfig {
        batch: 64,
        ..config(1)
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| bits(&interrupted(&data, &config, 16, usize::MAX).0))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let (data, config) = (digits(Some(64)), config(2));
    let folder = tempfile::tempdir().unwrap();
    let inputs = Inputs {
        train: &data.train,
        normalise: &data.normalise,
        augment: &Augment::default(),
        config: &config,
        seed: 5,
        name: "victim",
        device: Device::flex(),
    };
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let go = |width, hooks: Hooks<'_>| {
        let (network, state) = resnet18(1, data.classes, width, Init::Torch, (5, "victim"));
        fit(network, state, &inputs, hooks)
    };
    belongs(&checkpoint, |hooks| go(4, hooks));
    let error = once(&checkpoint, "one", &mut || true, |hooks| go(2, hooks))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("weights is missing or has another length"),
        "{error}"
    );
}
