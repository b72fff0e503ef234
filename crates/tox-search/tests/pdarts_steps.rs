//! Two search steps against PyTorch in float64 (`benches/peers/nas/pdarts_step.py`).
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use serde_json::Value;
use std::process::Command;
use support::nas::{DRAWS, Fixture, Tensors, assert_near, narrow, network};
use tox_nn::Device;
use tox_nn::layers::Mode;
use tox_search::cell::SupernetShape;
use tox_search::nas::Direction;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::learner::{Learner, cosine};
use tox_search::space::cells::CellSpace;

/// The learner of the fixture `darts_stage`.
fn learner(config: &PdartsConfig) -> Learner {
    let info = network("darts_stage");
    let file = Tensors::read(include_bytes!("fixtures/nas/darts_stage.safetensors"));
    let names = CellSpace::Darts.ops();
    let place = |op: &Value| names.iter().position(|name| op == name).unwrap();
    let edge = |ops: &Value| ops.as_array().unwrap().iter().map(place).collect();
    let candidates: Vec<Vec<Vec<usize>>> = ["normal", "reduce"]
        .iter()
        .map(|kind| info[*kind].as_array().unwrap().iter().map(edge).collect())
        .collect();
    let shape = SupernetShape {
        channels: 4,
        cells: 3,
        classes: 4,
        input: [3, 8, 8],
    };
    let (key, device) = ((0, "test"), Device::flex());
    let mut learner =
        Learner::new(CellSpace::Darts, &candidates, shape, config, key, device).unwrap();
    file.set(&mut learner.state);
    for (entry, kind) in learner
        .alphas
        .entries()
        .to_vec()
        .iter()
        .zip(["normal", "reduce"])
    {
        let values = narrow(file.get(&format!("alphas.{kind}")));
        learner.alphas.values[entry.range()].copy_from_slice(&values);
    }
    learner
}

fn real(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn steps_match_pytorch() {
    let info: Value = serde_json::from_str(include_str!("fixtures/nas/pdarts_steps.json")).unwrap();
    let file = Tensors::read(include_bytes!("fixtures/nas/pdarts_steps.safetensors"));
    let defaults = PdartsConfig::default();
    assert_eq!(defaults.momentum, real(&info["momentum"]));
    assert_eq!(defaults.weight_decay, real(&info["decay"]));
    assert_eq!(defaults.alpha_lr, real(&info["alpha_lr"]));
    assert_eq!(defaults.alpha_decay, real(&info["alpha_decay"]));
    assert_eq!(defaults.alpha_betas.to_vec(), [0.5, 0.999]);
    for name in ["clip 5", "clip 0.3", "clip 100"] {
        let run = &info[name];
        let config = PdartsConfig {
            grad_clip: real(&run["clip"]),
            ..defaults.clone()
        };
        let mut learner = learner(&config);
        for step in 0..2 {
            let expected = &run["steps"][step];
            let valid = file.batch(&format!(".valid.{step}"));
            let made = learner.alpha_step(&valid, DRAWS, 0.0);
            let both = [made.loss, made.grad_norm];
            let wanted = ["alpha_loss", "alpha_grad_norm"].map(|key| real(&expected[key]));
            assert_near(&format!("{name}, alphas {step}"), &both, &wanted, 1e-4);
            for (entry, kind) in learner.alphas.entries().iter().zip(["normal", "reduce"]) {
                let wanted = file.get(&format!("{name}.alphas.{kind}.{step}"));
                let what = format!("{name}, alphas after {step}");
                // A step moves an alpha by about 6e-4: a wrong sign would be far off.
                assert_near(&what, &learner.alphas.values[entry.range()], wanted, 5e-6);
            }
            let train = file.batch(&format!(".train.{step}"));
            let lr = real(&info["lr"]);
            let made = learner.weight_step(&train, DRAWS, (lr, 0.0));
            let both = [made.loss, made.grad_norm];
            let wanted = ["loss", "grad_norm"].map(|key| real(&expected[key]));
            assert_near(&format!("{name}, weights {step}"), &both, &wanted, 2e-4);
        }
        assert_eq!(learner.nonfinite_steps, 0);
        let checks = run["weights_after"].as_object().unwrap();
        let params = &learner.state.params;
        assert_eq!(params.entries().len(), checks.len());
        for entry in params.entries() {
            let values = &params.values[entry.range()];
            let wide = || values.iter().map(|v| f64::from(*v));
            let norm = wide().map(|v| v * v).sum::<f64>().sqrt();
            let found = [
                wide().sum::<f64>(),
                norm,
                wide().next().unwrap(),
                wide().next_back().unwrap(),
            ];
            for (found, wanted) in found.iter().zip(checks[&entry.name].as_array().unwrap()) {
                let error = (found - real(wanted)).abs();
                assert!(
                    error < 2e-4 * norm,
                    "{name}, {}: {found} {wanted}",
                    entry.name
                );
            }
        }
    }
}

/// The test above in a process of its own, where Burn's ops stand in for our kernels.
#[test]
fn steps_match_pytorch_without_our_kernels() {
    let out = Command::new(std::env::current_exe().unwrap())
        .env("TOXSCREEN_KERNELS", "plain")
        .args(["--exact", "steps_match_pytorch"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

/// An audit compares gradients of alphas: that of a batch with itself and with other
/// labels.
#[test]
fn gradients_of_alphas_are_compared_by_their_cosine() {
    let learner = learner(&PdartsConfig::default());
    let file = Tensors::read(include_bytes!("fixtures/nas/darts_stage.safetensors"));
    let mut batch = file.batch("");
    let unflipped = file.batch("");
    let (clean, step) = learner.alpha_gradient(&batch, Mode::Probe, 0.0);
    let expected = [file.get("gradients.normal"), file.get("gradients.reduce")].concat();
    assert_near("gradient", &clean, &expected, 3e-5);
    assert!((f64::from(step.loss) - real(&network("darts_stage")["loss"])).abs() < 1e-4);
    assert!((cosine(&clean, &clean).unwrap() - 1.0).abs() < 1e-12);
    // Not all shifted alike: batch norm hides from the alphas what is the same for all images.
    batch.labels = vec![1, 2, 3];
    let (flipped, _) = learner.alpha_gradient(&batch, Mode::Probe, 0.0);
    let found = cosine(&clean, &flipped).unwrap();
    assert!((-1.0..0.9).contains(&found), "{found}");
    assert_eq!(learner.alpha_cosine(&unflipped, &batch), Some(found));
    assert_eq!(cosine(&[1.0, 1.0], &[-2.0, -2.0]), Some(-1.0));
    assert_eq!(cosine(&[3.0, 4.0], &[4.0, 3.0]), Some(0.96));
    assert_eq!(cosine(&[0.0], &[1.0]), None);
    assert_eq!(cosine(&[f32::NAN], &[1.0]), None);
}

/// The first step of Adam is the rate in the gradient's direction whatever its size, so that without a penalty an
/// anti-search moves every alpha as far to the other side.
#[test]
fn an_anti_search_goes_up_the_loss() {
    let config = PdartsConfig {
        alpha_decay: 0.0,
        ..PdartsConfig::default()
    };
    let file = Tensors::read(include_bytes!("fixtures/nas/pdarts_steps.safetensors"));
    let batch = file.batch(".valid.0");
    let moved = |direction| {
        let mut learner = learner(&config);
        learner.direction = direction;
        let before = learner.alphas.values.clone();
        let made = learner.alpha_step(&batch, DRAWS, 0.0);
        let after = learner.alphas.values.iter().zip(before);
        let (_, again) = learner.alpha_gradient(&batch, Mode::Probe, 0.0);
        let moved: Vec<f32> = after.map(|(after, before)| after - before).collect();
        (moved, f64::from(again.loss - made.loss))
    };
    let (down, fell) = moved(Direction::Search);
    let (up, rose) = moved(Direction::AntiSearch);
    assert!(fell < 0.0 && rose > 0.0, "{fell} {rose}");
    assert!(down.iter().any(|d| d.abs() > 1e-4));
    for (down, up) in down.iter().zip(&up) {
        assert!((down + up).abs() < 1e-6, "{down} {up}");
    }
}
