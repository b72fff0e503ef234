//! ResNet-18, its gradients, batch norm's running statistics, SGD and weight files against PyTorch
//! in float64 (`benches/peers/make_layer_fixtures.py`), with our kernels and with Burn's own ops.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::{Int, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use std::path::{Path, PathBuf};
use support::{TRAIN, assert_close, engines, path, widen};
use tox_data::Batch;
use tox_nn::fit::{FitConfig, Trainer};
use tox_nn::layers::{Draws, Init, Mode, Network, Pass, State, WeightsError};
use tox_nn::nets::resnet::{ResNet, resnet18};
use tox_nn::ops::{self, Engine};

/// A network of the fixture's sizes with weights of its own.
fn fresh() -> (ResNet, State) {
    resnet18(3, 5, 2, Init::Torch, (1, "test"))
}

/// The fixture's network.
fn loaded() -> (ResNet, State) {
    let (network, mut state) = fresh();
    state.load(&path("resnet.safetensors")).unwrap();
    (network, state)
}

struct Expected(Vec<u8>);

impl Expected {
    fn read() -> Self {
        Self(std::fs::read(path("resnet_expected.safetensors")).unwrap())
    }

    fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let values = match view.dtype() {
            Dtype::F32 => floats(view.data()),
            Dtype::I64 => {
                let words = view.data().chunks_exact(8);
                words
                    .map(|w| i64::from_le_bytes(w.try_into().unwrap()) as f32)
                    .collect()
            }
            other => panic!("{name} is {other:?}"),
        };
        (view.shape().to_vec(), values)
    }

    fn wide(&self, name: &str) -> Vec<f64> {
        widen(&self.get(name).1)
    }

    fn batch(&self, i: usize) -> Batch {
        let (shape, pixels) = self.get(&format!("images.{i}"));
        let labels = self.get(&format!("labels.{i}")).1;
        Batch {
            pixels,
            shape: shape.try_into().unwrap(),
            labels: labels.iter().map(|l| *l as u16).collect(),
        }
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|w| f32::from_le_bytes(w.try_into().unwrap()))
        .collect()
}

/// Logits, loss, gradient by the images and by every weight.
fn differentiate(engine: Engine, mode: Mode<'_>, expected: &Expected, key: &str) {
    let (network, state) = loaded();
    let device = support::device().autodiff();
    let mut pass = Pass::new(&state, &device, mode);
    pass.engine = engine;
    let batch = expected.batch(0);
    let data = TensorData::new(batch.pixels, batch.shape);
    let x = Tensor::<4>::from_data(data, &device).require_grad();
    let logits = network.logits(&pass, x.clone());
    let what = |part: &str| format!("{key}.{part} {engine:?}");
    let found = ops::read(logits.clone().detach());
    assert_close(
        &what("logits"),
        &found,
        &expected.wide(&format!("{key}.logits")),
        1e-5,
        0.0,
    );
    let labels: Vec<i64> = batch.labels.iter().map(|l| i64::from(*l)).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [6]), &device);
    let loss = ops::cross_entropy(logits, labels);
    let gradients = loss.backward();
    assert_close(
        &what("loss"),
        &ops::read(loss),
        &expected.wide(&format!("{key}.loss")),
        1e-5,
        0.0,
    );
    let by_images = ops::read(x.grad(&gradients).unwrap());
    let name = format!("{key}.images.grad");
    assert_close(&what(&name), &by_images, &expected.wide(&name), 1e-4, 1e-8);
    let step = pass.finish(gradients);
    assert_eq!(step.gradients.len(), state.params.entries().len());
    let mut compared = 0;
    for (id, gradient) in &step.gradients {
        let entry = state.params.entry(*id);
        // Of the evaluation pass the fixture leaves most convolutions out.
        if key == "train" || entry.rank < 4 || entry.name == "conv1.weight" {
            let name = format!("{key}.grad.{}", entry.name);
            assert_close(&what(&name), gradient, &expected.wide(&name), 1e-4, 1e-7);
            compared += 1;
        }
    }
    assert_eq!(compared, if key == "train" { 62 } else { 43 });
    assert_eq!(step.measured.len(), if key == "train" { 20 } else { 0 });
}

#[test]
fn forward_and_all_gradients_are_pytorchs() {
    let expected = Expected::read();
    for engine in engines() {
        differentiate(engine, TRAIN, &expected, "train");
        differentiate(engine, Mode::Evaluate, &expected, "eval");
        // The batch's statistics, whether they are measured or not.
        let (network, state) = loaded();
        let device = support::device();
        let mut pass = Pass::new(&state, &device, Mode::Probe);
        pass.engine = engine;
        let batch = expected.batch(0);
        let x = Tensor::from_data(TensorData::new(batch.pixels, batch.shape), &device);
        let logits = ops::read(network.logits(&pass, x));
        assert_close("probe", &logits, &expected.wide("train.logits"), 1e-5, 0.0);
        assert!(pass.measured().is_empty());
    }
}

/// Two steps, with Nesterov momentum and with plain momentum and a clip that acts.
#[test]
fn two_steps_of_sgd_are_pytorchs() {
    let expected = Expected::read();
    for key in ["nesterov", "plain"] {
        let config = FitConfig {
            nesterov: key == "nesterov",
            weight_decay: 0.01,
            grad_clip: (key == "plain").then_some(0.5),
            ..FitConfig::default()
        };
        let (network, state) = loaded();
        let mut trainer = Trainer::new(network, state, &config, support::device());
        for i in 0..2 {
            let draws = Draws {
                seed: 0,
                network: "test",
                step: i as u64,
            };
            let measured = trainer.step(&expected.batch(i), draws, 0.05);
            assert!(measured.grad_norm > 0.5);
            if i == 0 {
                assert_close(
                    "loss",
                    &[measured.loss],
                    &expected.wide("train.loss"),
                    1e-5,
                    0.0,
                );
            }
        }
        let state = &trainer.state;
        for entry in state.params.entries() {
            let name = format!("{key}.{}", entry.name);
            let found = &state.params.values[entry.range()];
            assert_close(&name, found, &expected.wide(&name), 2e-5, 1e-6);
        }
        assert_eq!(trainer.nonfinite_steps, 0);
    }
}

#[test]
fn running_statistics_after_two_steps_are_pytorchs() {
    let expected = Expected::read();
    let config = FitConfig {
        weight_decay: 0.01,
        grad_clip: Some(0.5),
        ..FitConfig::default()
    };
    let (network, state) = loaded();
    let mut trainer = Trainer::new(network, state, &config, support::device());
    let draws = Draws {
        seed: 0,
        network: "test",
        step: 0,
    };
    for i in 0..2 {
        trainer.step(&expected.batch(i), draws, 0.05);
    }
    let running = &trainer.state.running;
    let mut compared = 0;
    for (id, name, _) in running.norms() {
        let (mean, var) = running.of(id);
        let name = |part: &str| format!("plain.{name}.{part}");
        let (m, v) = (name("running_mean"), name("running_var"));
        assert_close(&m, mean, &expected.wide(&m), 1e-5, 1e-6);
        assert_close(&v, var, &expected.wide(&v), 1e-5, 1e-6);
        let batches = name("num_batches_tracked");
        assert_eq!(expected.wide(&batches), [running.batches(id) as f64]);
        assert_eq!(running.batches(id), 9);
        compared += 1;
    }
    assert_eq!(compared, 20);
}

/// A file of ours holds, tensor by tensor and bit by bit, what PyTorch's held.
#[test]
fn what_was_loaded_is_saved_as_pytorch_saved_it() {
    let (_, state) = loaded();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("weights.safetensors");
    state.save(&saved).unwrap();
    let (ours, theirs) = (
        std::fs::read(&saved).unwrap(),
        std::fs::read(path("resnet.safetensors")).unwrap(),
    );
    let tensors = |bytes| {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let mut tensors: Vec<_> = file
            .tensors()
            .into_iter()
            .map(|(name, v)| (name, v.dtype(), v.shape().to_vec(), v.data().to_vec()))
            .collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    };
    assert_eq!(tensors(&theirs).len(), 122);
    assert_eq!(tensors(&ours), tensors(&theirs));
    let (_, mut again) = fresh();
    again.load(&saved).unwrap();
    assert_eq!(again.params.values, state.params.values);
    assert_eq!(again.running, state.running);
    again.save(&saved).unwrap();
    assert_eq!(std::fs::read(&saved).unwrap(), ours);
}

/// The fixture's file with `change` made to its tensors.
fn changed(
    folder: &Path,
    change: impl Fn(&str, Dtype, Vec<usize>, Vec<u8>) -> Option<(String, Dtype, Vec<usize>, Vec<u8>)>,
) -> PathBuf {
    let bytes = std::fs::read(path("resnet.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let parts: Vec<_> = file
        .tensors()
        .into_iter()
        .filter_map(|(n, v)| change(&n, v.dtype(), v.shape().to_vec(), v.data().to_vec()))
        .collect();
    let views = parts
        .iter()
        .map(|(n, d, s, b)| (n, TensorView::new(*d, s.clone(), b).unwrap()));
    let path = folder.join("changed.safetensors");
    std::fs::write(&path, serialize(views, None).unwrap()).unwrap();
    path
}

#[test]
fn files_of_other_networks_and_damaged_ones_are_refused_with_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, mut state) = fresh();
    let before = state.params.values.clone();
    let mut refused = |path: &Path, parts: &[&str]| {
        let error = state.load(path).unwrap_err();
        let message = error.to_string();
        for part in parts {
            assert!(message.contains(part), "{message}: no {part}");
        }
        error
    };
    let is = |name: &str| name == "layer1.0.conv1.weight";
    let missing = changed(folder, |n, d, s, b| (!is(n)).then_some((n.into(), d, s, b)));
    refused(
        &missing,
        &["1 of its tensors missing (such as `layer1.0.conv1.weight`), 0 unknown"],
    );
    let renamed = changed(folder, |n, d, s, b| {
        let name = if is(n) {
            "module.x".to_owned()
        } else {
            n.to_owned()
        };
        Some((name, d, s, b))
    });
    refused(&renamed, &["1 unknown (such as `module.x`)"]);
    let reshaped = changed(folder, |n, d, s, b| {
        let shape = if is(n) { vec![2, 18] } else { s };
        Some((n.into(), d, shape, b))
    });
    refused(&reshaped, &["[2, 18]", "asked for [2, 2, 3, 3]"]);
    let retyped = changed(folder, |n, d, s, b| {
        let d = if is(n) { Dtype::I32 } else { d };
        Some((n.into(), d, s, b))
    });
    refused(&retyped, &["layer1.0.conv1.weight", "I32", "expected F32"]);
    let put = |name: &'static str, value: f32| {
        changed(folder, move |n, d, s, mut b| {
            if n == name {
                b[4..8].copy_from_slice(&value.to_le_bytes());
            }
            Some((n.into(), d, s, b))
        })
    };
    refused(
        &put("fc.bias", f32::NAN),
        &["`fc.bias`", "NaN at 1", "a finite number"],
    );
    refused(&put("bn1.running_var", -0.5), &["-0.5 at 1", "at least 0"]);
    refused(&folder.join("none.safetensors"), &["cannot read"]);
    let whole = std::fs::read(path("resnet.safetensors")).unwrap();
    let cut = folder.join("cut.safetensors");
    for length in [0, 7, 100, whole.len() - 1] {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let error = refused(&cut, &["not a safetensors file"]);
        assert!(matches!(error, WeightsError::Format { .. }));
    }
    assert_eq!(state.params.values, before, "an error changes nothing");
    // Counters may be missing: files of networks that never counted.
    let plain = changed(folder, |n, d, s, b| {
        (!n.ends_with("num_batches_tracked")).then_some((n.into(), d, s, b))
    });
    state.load(&plain).unwrap();
    assert_eq!(state.params.values, loaded().1.params.values);
}

support::on_vulkan!();
