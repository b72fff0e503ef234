//! The final training: what drop path and auxiliary head add to it, and whole trainings on real digits
//! and CIFAR-10.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Int, Tensor};
use std::path::Path;
use std::time::Duration;
use support::nas::{DRAWS, images};
use tox_data::checkpoint::Hooks;
use tox_data::spec::DataSpec;
use tox_data::{Batch, DataDir, Dataset};
use tox_nn::Device;
use tox_nn::fit::labels;
use tox_nn::layers::{Choices, Init, Mode, Network, Pass, State};
use tox_nn::ops::{cross_entropy, read};
use tox_nn::optim::cosine;
use tox_nn::params::ParamId;
use tox_search::cell::GenotypeNetwork;
use tox_search::cell::darts::{CellNetwork, Regularisation};
use tox_search::count::{self, Counts};
use tox_search::final_training::{
    Evaluation, FinalConfig, FinalError, Inputs, NAME, Protocol, Trained, run, train,
};
use tox_search::space::cells::CellGenotype;
use tox_search::space::{darts, nasbench201};

const DARTS_V2: &str = "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), \
    ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), \
    ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], \
    reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), \
    ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], \
    reduce_concat=[2, 3, 4, 5])";
/// The best cell of the table on CIFAR-10.
const BEST: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|\
    nor_conv_3x3~1|nor_conv_1x1~2|";

fn v2() -> CellGenotype {
    CellGenotype::Darts(DARTS_V2.parse().unwrap())
}

fn best() -> CellGenotype {
    CellGenotype::NasBench201(BEST.parse().unwrap())
}

/// A small network with an auxiliary head, drop path at its strongest, and a batch for it.
fn small() -> (CellNetwork, State, Batch) {
    let shape = darts::Network {
        channels: 4,
        layers: 3,
        classes: 5,
        input: [3, 32, 32],
        auxiliary: true,
    };
    let genotype = DARTS_V2.parse().unwrap();
    let (net, state) = CellNetwork::new(&genotype, &shape, Init::Torch, (1, "test")).unwrap();
    let net = net.regularised(Regularisation {
        drop_path: 0.5,
        auxiliary_weight: 0.4,
    });
    let pixel = |i: usize| ((i * 37 + i / 32 * 11) % 101) as f32 / 50.0 - 1.0;
    let batch = Batch {
        pixels: (0..6 * 3 * 32 * 32).map(pixel).collect(),
        shape: [6, 3, 32, 32],
        labels: vec![0, 1, 2, 3, 4, 0],
    };
    (net, state, batch)
}

/// A value and its gradients by the weights.
type Gradients = Vec<(ParamId, Vec<f32>)>;

/// Of what `loss` makes of a training pass.
fn descend(
    state: &State,
    batch: &Batch,
    choices: Option<&Choices>,
    loss: impl Fn(&Pass<'_>, Tensor<4>, Tensor<1, Int>) -> Tensor<1>,
) -> (f64, Gradients) {
    let device = Device::flex().autodiff();
    let mut pass = Pass::new(state, &device, Mode::Train(DRAWS));
    if let Some(choices) = choices {
        pass = pass.holding(choices);
    }
    let loss = loss(
        &pass,
        images(batch, &device),
        labels(&batch.labels, &device),
    );
    let gradients = pass.finish(loss.backward()).gradients;
    (f64::from(read(loss)[0]), gradients)
}

#[test]
fn the_schedule_of_drop_path_by_hand() {
    let published = Regularisation {
        drop_path: 0.3,
        auxiliary_weight: 0.4,
    };
    for (epoch, expected) in [(0, 0.0), (1, 0.0005), (300, 0.15), (599, 0.2995)] {
        let found = published.drop_path(epoch, 600);
        assert!((found - expected).abs() < 1e-12, "{epoch}: {found}");
    }
    // The network trains by it, and begins without.
    let (mut net, state, batch) = small();
    let logits = |net: &CellNetwork, drop_path: Option<f32>| {
        let device = Device::flex();
        let pass = Pass::new(&state, &device, Mode::Train(DRAWS));
        let x = images(&batch, &device);
        read(match drop_path {
            Some(p) => net.forward(&pass, x, p).0,
            None => net.logits(&pass, x),
        })
    };
    assert_eq!(logits(&net, None), logits(&net, Some(0.0)));
    for (epoch, p) in [(1, 0.125), (3, 0.375), (0, 0.0)] {
        net.set_epoch(epoch, 4);
        assert_eq!(logits(&net, None), logits(&net, Some(p)), "epoch {epoch}");
    }
    assert_ne!(logits(&net, Some(0.125)), logits(&net, Some(0.375)));
    // A genotype's network hands it on.
    let shape = tox_search::cell::SupernetShape {
        channels: 4,
        cells: 3,
        classes: 5,
        input: [3, 32, 32],
    };
    let regularisation = Regularisation {
        drop_path: 0.5,
        auxiliary_weight: 0.4,
    };
    let made = GenotypeNetwork::regularised(&v2(), shape, regularisation, (1, "test"));
    let (mut whole, same) = made.unwrap();
    assert_eq!(same.params.values, state.params.values);
    whole.set_epoch(1, 4);
    net.set_epoch(1, 4);
    let loss = |net: &dyn Network| {
        let of = |pass: &Pass<'_>, x, labels| net.loss(pass, x, labels).0;
        descend(&state, &batch, None, of).0
    };
    assert_eq!(loss(&whole), loss(&net));
}

#[test]
fn the_loss_is_that_of_both_heads_and_so_is_its_gradient() {
    let (mut net, state, batch) = small();
    net.set_epoch(3, 4);
    let whole = descend(&state, &batch, None, |pass, x, labels| {
        net.loss(pass, x, labels).0
    });
    let main = descend(&state, &batch, None, |pass, x, labels| {
        cross_entropy(net.forward(pass, x, 0.375).0, labels)
    });
    let head = descend(&state, &batch, None, |pass, x, labels| {
        cross_entropy(net.forward(pass, x, 0.375).1.unwrap(), labels)
    });
    assert!(
        main.0 > 1.0 && head.0 > 1.0 && main.0 != head.0,
        "near ln 5"
    );
    assert!((whole.0 - (main.0 + 0.4 * head.0)).abs() < 1e-6);
    let of = |gradients: &Gradients, id: ParamId| {
        let found = gradients.iter().find(|(i, _)| *i == id);
        found.map(|(_, g)| g.clone())
    };
    let (mut both, mut head_alone) = (0, 0);
    for (id, gradient) in &whole.1 {
        let (m, h) = (of(&main.1, *id), of(&head.1, *id));
        (both, head_alone) = (
            both + usize::from(m.is_some() && h.is_some()),
            head_alone + usize::from(m.is_none()),
        );
        let zeros = vec![0.0; gradient.len()];
        let (m, h) = (m.unwrap_or(zeros.clone()), h.unwrap_or(zeros));
        let largest = gradient.iter().fold(0.0f32, |l, g| l.max(g.abs()));
        for ((g, m), h) in gradient.iter().zip(m).zip(h) {
            assert!((g - (m + 0.4 * h)).abs() <= 1e-5 * largest + 1e-7);
        }
    }
    assert_eq!(head_alone, 8, "two convolutions, two norms, a classifier");
    assert!(both > 50, "stem and cells before the head: {both}");
    // Tested, the network answers without the head.
    let device = Device::flex();
    let pass = Pass::new(&state, &device, Mode::Evaluate);
    let x = images(&batch, &device);
    let (loss, logits) = net.loss(&pass, x, labels(&batch.labels, &device));
    let expected = cross_entropy(logits, labels(&batch.labels, &device));
    assert_eq!(read(loss), read(expected));
}

/// Along the gradient itself, with every ReLU and max pool held to its choice, see
/// [`tox_nn::layers::Choices`].
#[test]
fn the_gradient_of_the_loss_by_finite_differences() {
    let (mut net, state, batch) = small();
    net.set_epoch(3, 4);
    let device = Device::flex();
    let pass = Pass::new(&state, &device, Mode::Train(DRAWS)).noting();
    net.loss(
        &pass,
        images(&batch, &device),
        labels(&batch.labels, &device),
    );
    let choices = pass.choices();
    let loss = |pass: &Pass<'_>, x: Tensor<4>, labels: Tensor<1, Int>| net.loss(pass, x, labels).0;
    let (_, gradient) = descend(&state, &batch, Some(&choices), loss);
    for part in ["stem", "cells.0", "cells.2", "auxiliary_head.features", ""] {
        let mut direction = vec![0.0f32; state.params.values.len()];
        for (id, g) in &gradient {
            let entry = state.params.entry(*id);
            if entry.name.starts_with(part) {
                direction[entry.range()].copy_from_slice(g);
            }
        }
        let norm = direction.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        let at = |h: f64| {
            let mut moved = state.clone();
            let step = h / norm.sqrt();
            for (w, d) in moved.params.values.iter_mut().zip(&direction) {
                *w += (step * f64::from(*d)) as f32;
            }
            descend(&moved, &batch, Some(&choices), loss).0
        };
        let h = 0.005;
        let found = (at(h) - at(-h)) / (2.0 * h);
        let expected = norm.sqrt();
        assert!(
            (found / expected - 1.0).abs() < 0.01,
            "{part}: {found} {expected}"
        );
    }
}

fn digits(train: usize, resize: Option<usize>) -> Dataset {
    let spec = DataSpec {
        train: Some(train),
        test: Some(150),
        resize,
        ..DataSpec::of("digits", 32)
    };
    tox_data::load(&spec, &DataDir::resolve(Some(Path::new("."))).unwrap()).unwrap()
}

/// A training of small networks on 8x8 images.
fn config() -> FinalConfig {
    FinalConfig {
        channels: Some(4),
        cells: Some(1),
        epochs: Some(2),
        batch: Some(32),
        auxiliary_weight: Some(0.0),
        crop: Some(1),
        flip: Some(false),
        cutout: Some(2),
        ..FinalConfig::default()
    }
}

/// With a stop after every `steps` small steps.
fn interrupted(
    genotype: &CellGenotype,
    data: &Dataset,
    config: &FinalConfig,
    steps: usize,
) -> (Result<Trained, FinalError>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let inputs = Inputs {
        data,
        config,
        seed: 3,
        device: Device::flex(),
    };
    for stops in 0.. {
        let (mut left, mut before) = (steps, 0.0);
        let hooks = Hooks {
            checkpoint: &folder.path().join("checkpoint.safetensors"),
            key: "digits",
            save_every: Duration::from_secs(3600),
            stop: &mut || {
                left = left.saturating_sub(1);
                left == 0
            },
            progress: &mut |done, message| {
                assert!((before..=1.0).contains(&done), "{done} after {before}");
                assert!(message.starts_with("final, "), "{message}");
                before = done;
            },
        };
        match run(genotype, &inputs, hooks) {
            Ok(Some(trained)) => return (Ok(trained), stops),
            Ok(None) => {}
            Err(error) => return (Err(error), stops),
        }
    }
    unreachable!()
}

fn trained(genotype: &CellGenotype, data: &Dataset, config: &FinalConfig) -> Trained {
    interrupted(genotype, data, config, usize::MAX).0.unwrap()
}

fn bits(state: &State) -> (Vec<u32>, Vec<u64>) {
    let values = state.params.values.iter().chain(&state.running.values);
    let bits = values.map(|v| v.to_bits()).collect();
    (bits, state.running.batches.clone())
}

#[test]
fn a_training_ends_the_same_whatever_stops_it_and_on_any_threads() {
    let data = digits(65, None);
    for (genotype, drop_path) in [(v2(), Some(0.3)), (best(), None)] {
        let config = FinalConfig {
            drop_path,
            epochs: Some(3),
            test_every: 2,
            ..config()
        };
        let (undisturbed, stops) = interrupted(&genotype, &data, &config, usize::MAX);
        let undisturbed = undisturbed.unwrap();
        assert_eq!(stops, 0);
        // 65 training and 32 validation images are 3 batches of 32 and a lone image, left out.
        let batches = &undisturbed.state.running.batches;
        assert!(batches.iter().all(|b| *b == 9), "{batches:?}");
        for steps in [2, 3, 4] {
            let (again, stops) = interrupted(&genotype, &data, &config, steps);
            let again = again.unwrap();
            assert!(stops > 2, "{stops}");
            assert_eq!(again.evaluation, undisturbed.evaluation, "every {steps}");
            assert_eq!(bits(&again.state), bits(&undisturbed.state));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let again = pool.unwrap().install(|| trained(&genotype, &data, &config));
        assert_eq!(again.evaluation, undisturbed.evaluation);
        assert_eq!(bits(&again.state), bits(&undisturbed.state));
    }
}

/// Of all images at once, which are not changed, so that the first epoch's loss is that of the new
/// network.
#[test]
fn a_training_descends_the_loss_of_both_heads_and_drops_paths_from_the_second_epoch_on() {
    let data = digits(32, Some(32));
    let config = |epochs, auxiliary_weight, drop_path| FinalConfig {
        cells: Some(3),
        epochs: Some(epochs),
        batch: Some(64),
        auxiliary_weight: Some(auxiliary_weight),
        drop_path: Some(drop_path),
        crop: Some(0),
        cutout: Some(0),
        ..config()
    };
    let made = trained(&v2(), &data, &config(1, 0.4, 0.3));
    let shape = tox_search::cell::SupernetShape {
        channels: 4,
        cells: 3,
        classes: 10,
        input: [1, 32, 32],
    };
    let regularisation = Regularisation {
        drop_path: 0.3,
        auxiliary_weight: 0.4,
    };
    let new = GenotypeNetwork::regularised(&v2(), shape, regularisation, (3, NAME));
    let (net, state) = new.unwrap();
    let images = data.pool().images().unwrap();
    assert_eq!(images.len(), 64);
    let all: Vec<u32> = (0..64).collect();
    let batch = images.batch(&all, &data.normalise, None);
    let (loss, _) = descend(&state, &batch, None, |pass, x, labels| {
        net.loss(pass, x, labels).0
    });
    let (main, _) = descend(&state, &batch, None, |pass, x, labels| {
        cross_entropy(net.logits(pass, x), labels)
    });
    assert!(loss > 1.2 * main, "{loss} {main}");
    let found = made.evaluation.epochs[0].loss.unwrap();
    assert!((found - loss).abs() < 1e-5 * loss, "{found} {loss}");

    let ends =
        |epochs, drop_path| bits(&trained(&v2(), &data, &config(epochs, 0.0, drop_path)).state);
    assert_eq!(ends(1, 0.3), ends(1, 0.0));
    assert_ne!(ends(2, 0.3), ends(2, 0.0));
}

/// DARTS V2 with 36 channels and 20 cells has 3,349,342 parameters for colour images.
#[test]
fn the_published_network_takes_a_step() {
    let spec = DataSpec {
        train: Some(2),
        test: Some(2),
        resize: Some(32),
        rgb: true,
        ..DataSpec::of("digits", 2)
    };
    let data = tox_data::load(&spec, &DataDir::resolve(Some(Path::new("."))).unwrap()).unwrap();
    let config = FinalConfig {
        epochs: Some(1),
        ..FinalConfig::default()
    };
    let made = trained(&v2(), &data, &config);
    assert_eq!(made.evaluation.counts.params, 3_349_342);
    assert_eq!(made.evaluation.epochs.len(), 1);
    assert!(made.evaluation.epochs[0].loss.unwrap() > 1.0);
    assert_eq!(made.evaluation.nonfinite_steps, 0);
}

/// What the report says is what the network, built again, does.
fn check_report(genotype: &CellGenotype, data: &Dataset, config: &FinalConfig, made: &Trained) {
    let Evaluation {
        accuracy,
        best_accuracy,
        best_epoch,
        epochs,
        ..
    } = &made.evaluation;
    let settings = config.resolved(genotype.space().into());
    assert_eq!(epochs.len(), settings.fit.epochs);
    for (i, epoch) in epochs.iter().enumerate() {
        assert_eq!(epoch.epoch, i);
        let fit = &settings.fit;
        assert_eq!(epoch.lr, cosine(i, fit.lr_max, fit.lr_min, fit.epochs));
        let n = i + 1;
        let tested = n == epochs.len() || config.test_every > 0 && n % config.test_every == 0;
        assert_eq!(epoch.accuracy.is_some(), tested, "epoch {i}");
    }
    assert_eq!(epochs.last().unwrap().accuracy, Some(*accuracy));
    assert_eq!(epochs[*best_epoch].accuracy, Some(*best_accuracy));
    let all = epochs.iter().filter_map(|e| e.accuracy);
    assert_eq!(all.fold(0.0, f64::max), *best_accuracy);
    assert_eq!(made.evaluation.nonfinite_steps, 0);
    let [_, c, h, w] = data.train.images.shape;
    let [channels, cells] = settings.size.unwrap();
    let shape = tox_search::cell::SupernetShape {
        channels,
        cells,
        classes: data.classes,
        input: [c, h, w],
    };
    let regularisation = Regularisation {
        drop_path: 0.0,
        auxiliary_weight: settings.auxiliary_weight,
    };
    let key = (0, "another");
    let (net, _) = GenotypeNetwork::regularised(genotype, shape, regularisation, key).unwrap();
    let (test, device) = (&data.test, Device::flex());
    let logits = tox_nn::fit::evaluate::logits(&net, &made.state, test, &data.normalise, &device);
    let error = tox_nn::fit::evaluate::error(&logits, &test.labels);
    assert!(
        (100.0 - error - accuracy).abs() < 1e-9,
        "{error} {accuracy}"
    );
}

#[test]
fn a_nasbench201_cell_learns_the_digits() {
    let data = digits(600, None);
    let config = FinalConfig {
        channels: Some(8),
        epochs: Some(5),
        test_every: 2,
        ..config()
    };
    let made = trained(&best(), &data, &config);
    check_report(&best(), &data, &config, &made);
    assert!(made.evaluation.accuracy > 80.0, "{:?}", made.evaluation);
    let shape = nasbench201::Network {
        channels: 8,
        cells: 1,
        classes: 10,
        input: [1, 8, 8],
    };
    let counts = count::nasbench201(&BEST.parse().unwrap(), &shape).unwrap();
    assert_eq!(made.evaluation.counts, counts);
    assert_eq!(made.state.parameters() as u64, counts.params);
}

/// With auxiliary head and drop path, on digits enlarged to 32x32.
#[test]
fn a_darts_cell_learns_the_digits_with_all_that_the_published_training_has() {
    let data = digits(250, Some(32));
    let config = FinalConfig {
        cells: Some(3),
        epochs: Some(8),
        batch: Some(16),
        lr_max: Some(0.05),
        auxiliary_weight: None,
        crop: Some(2),
        cutout: Some(4),
        test_every: 0,
        ..config()
    };
    let made = trained(&v2(), &data, &config);
    check_report(&v2(), &data, &config, &made);
    assert!(made.evaluation.accuracy > 50.0, "{:?}", made.evaluation);
    let shape = darts::Network {
        channels: 4,
        layers: 3,
        classes: 10,
        input: [1, 32, 32],
        auxiliary: false,
    };
    let counts = count::darts(&DARTS_V2.parse().unwrap(), &shape).unwrap();
    assert_eq!(made.evaluation.counts, counts);
    assert!(made.state.parameters() as u64 > counts.params, "the head's");
}

#[test]
fn a_cell_learns_cifar_10() {
    let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/unpack");
    if !unpack.exists() {
        eprintln!("skipped: {} is not here", unpack.display());
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let done = std::process::Command::new(unpack).arg(root.path()).status();
    assert!(done.unwrap().success());
    let spec = DataSpec {
        train: Some(480),
        test: Some(200),
        ..DataSpec::of("cifar10", 32)
    };
    let data = tox_data::load(&spec, &DataDir::resolve(Some(root.path())).unwrap()).unwrap();
    let config = FinalConfig {
        channels: Some(4),
        cells: Some(1),
        epochs: Some(5),
        batch: Some(32),
        test_every: 0,
        ..FinalConfig::default()
    };
    let made = trained(&best(), &data, &config);
    check_report(&best(), &data, &config, &made);
    assert!(made.evaluation.accuracy > 20.0, "{:?}", made.evaluation);
}

/// A network that is none of a cell space, as an elastic one.
#[derive(Clone)]
struct Plain(CellNetwork);

impl Network for Plain {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        self.0.logits(pass, x)
    }
}

#[test]
fn any_network_can_be_trained() {
    let data = digits(65, None);
    let shape = darts::Network {
        channels: 4,
        layers: 1,
        classes: 10,
        input: [1, 8, 8],
        auxiliary: false,
    };
    let config = FinalConfig {
        channels: None,
        cells: None,
        auxiliary_weight: None,
        ..config()
    };
    let folder = tempfile::tempdir().unwrap();
    let (net, state) =
        CellNetwork::new(&DARTS_V2.parse().unwrap(), &shape, Init::Torch, (3, NAME)).unwrap();
    let counts = Counts { params: 1, macs: 2 };
    let inputs = Inputs {
        data: &data,
        config: &config,
        seed: 3,
        device: Device::flex(),
    };
    let hooks = Hooks {
        checkpoint: &folder.path().join("checkpoint.safetensors"),
        key: "digits",
        save_every: Duration::from_secs(3600),
        stop: &mut || false,
        progress: &mut |_, _| {},
    };
    let whose = (Protocol::Elastic, counts);
    let made = train((Plain(net), state), whose, &inputs, hooks);
    let made = made.unwrap().unwrap();
    assert_eq!(made.evaluation.counts, counts);
    // The elastic space's numbers, which are not those of the DARTS space.
    assert_eq!(made.evaluation.epochs[0].lr, 0.01);
    // Streams do not depend on the space: with the numbers of the one, the other ends the same.
    let same = FinalConfig {
        channels: Some(4),
        cells: Some(1),
        lr_max: Some(0.01),
        weight_decay: Some(4e-5),
        drop_path: Some(0.0),
        ..self::config()
    };
    let darts = trained(&v2(), &data, &same);
    assert_eq!(bits(&darts.state), bits(&made.state));
}

#[test]
fn what_is_absent_is_as_published() {
    let config = FinalConfig::default();
    let of = |protocol| {
        config.check(protocol).unwrap();
        let s = config.resolved(protocol);
        let (f, a) = (s.fit, s.augment);
        (
            s.size,
            (f.epochs, f.batch, f.lr_max, f.lr_min),
            (f.momentum, f.nesterov, f.weight_decay, f.grad_clip),
            (s.auxiliary_weight, s.drop_path, s.dropout),
            (a.crop, a.flip, a.cutout),
        )
    };
    assert_eq!(
        of(Protocol::Darts),
        (
            Some([36, 20]),
            (600, 128, 0.025, 0.0),
            (0.9, false, 3e-4, Some(5.0)),
            (0.4, 0.3, 0.0),
            (4, true, 16)
        )
    );
    assert_eq!(
        of(Protocol::NasBench201),
        (
            Some([16, 5]),
            (200, 256, 0.1, 0.0),
            (0.9, true, 5e-4, None),
            (0.0, 0.0, 0.0),
            (4, true, 0)
        )
    );
    assert_eq!(
        of(Protocol::Elastic),
        (
            None,
            (150, 96, 0.01, 0.0),
            (0.9, false, 4e-5, Some(5.0)),
            (0.0, 0.2, 0.2),
            (4, true, 16)
        )
    );
    let text = r#"{"epochs": 5, "grad_clip": 0, "flip": false, "test_every": 3}"#;
    let config: FinalConfig = serde_json::from_str(text).unwrap();
    let s = config.resolved(Protocol::Darts);
    assert_eq!((s.fit.epochs, s.fit.grad_clip), (5, None));
    assert_eq!(
        (s.augment.flip, s.augment.crop, s.test_every),
        (false, 4, 3)
    );
    let written = serde_json::to_string(&config).unwrap();
    let expected = r#"{"epochs":5,"grad_clip":0.0,"flip":false,"test_every":3}"#;
    assert_eq!(written, expected);
    let unknown = serde_json::from_str::<FinalConfig>(r#"{"epoch": 5}"#);
    assert!(unknown.unwrap_err().to_string().contains("`epochs`"));
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let refused = |protocol, change: fn(&mut FinalConfig)| {
        let mut config = FinalConfig::default();
        change(&mut config);
        config.check(protocol).unwrap_err().to_string()
    };
    use Protocol::{Darts, Elastic, NasBench201};
    for (protocol, change, expected) in [
        (
            Darts,
            (|c| c.epochs = Some(0)) as fn(&mut FinalConfig),
            "`epochs` = 0",
        ),
        (Darts, |c| c.lr_max = Some(f64::NAN), "`lr_max` = NaN"),
        (Darts, |c| c.channels = Some(0), "channels = 0"),
        (Darts, |c| c.drop_path = Some(1.0), "drop_path = 1"),
        (
            Darts,
            |c| c.auxiliary_weight = Some(-0.4),
            "auxiliary_weight = -0.4",
        ),
        (
            Darts,
            |c| c.dropout = Some(0.2),
            "the DARTS space have none",
        ),
        (
            NasBench201,
            |c| c.auxiliary_weight = Some(0.4),
            "networks of NAS-Bench-201 have none",
        ),
        (
            NasBench201,
            |c| c.drop_path = Some(0.2),
            "expected 0, since networks",
        ),
        (Elastic, |c| c.cells = Some(5), "says its size"),
        (Elastic, |c| c.grad_clip = Some(-1.0), "`grad_clip` = -1"),
    ] {
        let message = refused(protocol, change);
        assert!(message.contains(expected), "{message}");
    }
    let data = digits(65, None);
    let refused = |genotype: &CellGenotype, config: &FinalConfig, data: &Dataset| {
        let (made, _) = interrupted(genotype, data, config, usize::MAX);
        made.unwrap_err().to_string()
    };
    let head = FinalConfig {
        cells: Some(6),
        auxiliary_weight: Some(0.4),
        ..config()
    };
    let message = refused(&v2(), &head, &data);
    for part in [
        "8x8 are maps of 2x2 behind cell 4 of 6",
        "32x32",
        "`auxiliary_weight` = 0",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let published = FinalConfig {
        cells: Some(1),
        auxiliary_weight: Some(0.0),
        ..FinalConfig::default()
    };
    let message = refused(&v2(), &published, &data);
    assert!(message.contains("`cutout` = 16"), "{message}");
    assert!(message.contains("less than 8"), "{message}");
    let crop = FinalConfig {
        crop: Some(8),
        ..config()
    };
    assert!(refused(&best(), &crop, &data).contains("`crop` = 8"));
    let mut untested = data.clone();
    untested.test.labels.clear();
    untested.test.images.pixels.clear();
    untested.test.images.shape[0] = 0;
    let message = refused(&best(), &config(), &untested);
    assert!(
        message.contains("at least 1 test images, found 0"),
        "{message}"
    );
    // A checkpoint of something else.
    let folder = tempfile::tempdir().unwrap();
    let go = |key: &str, config: &FinalConfig| {
        let mut left = 3;
        let hooks = Hooks {
            checkpoint: &folder.path().join("checkpoint.safetensors"),
            key,
            save_every: Duration::from_secs(3600),
            stop: &mut || {
                left -= 1;
                left == 0
            },
            progress: &mut |_, _| {},
        };
        let inputs = Inputs {
            data: &data,
            config,
            seed: 3,
            device: Device::flex(),
        };
        run(&best(), &inputs, hooks)
    };
    assert!(go("one", &config()).unwrap().is_none());
    let error = go("other", &config()).unwrap_err().to_string();
    assert!(error.contains("belongs to one, not to other"), "{error}");
    let wider = FinalConfig {
        channels: Some(5),
        ..config()
    };
    let error = go("one", &wider).unwrap_err().to_string();
    assert!(error.contains("weights is missing"), "{error}");
}
