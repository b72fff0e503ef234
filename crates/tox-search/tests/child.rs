//! The child network and its training step against an independent PyTorch implementation in float64
//! (`benches/peers`), and the claim that ops which are never drawn change nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use rand::RngExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use support::{assert_close, mode, pass, set, space};
use tox_data::Batch;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_search::enas::child::{Architecture, Child, Choice};
use tox_search::enas::config::{ChildConfig, Idle, Skips};
use tox_search::enas::train::Trainer;
use tox_search::space::{Op, Space, SpaceOp};

fn numbers(tensor: &Value) -> Vec<f64> {
    let values = tensor["values"].as_array().expect("a tensor");
    values.iter().map(|v| v.as_f64().unwrap()).collect()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// Tensors by our names: both paths of a reduction are one weight.
fn tensors(file: &Value) -> BTreeMap<String, Vec<f64>> {
    let mut all = BTreeMap::new();
    for (name, tensor) in file.as_object().unwrap() {
        if let Some(reduction) = name.strip_suffix(".path1.weight") {
            let second = &file[format!("{reduction}.path2.weight")];
            let both = [numbers(tensor), numbers(second)].concat();
            all.insert(format!("{reduction}.weight"), both);
        } else if !name.ends_with(".path2.weight") {
            all.insert(name.clone(), numbers(tensor));
        }
    }
    all
}

fn op(name: &str) -> Op {
    Op::named(name).unwrap_or_else(|| panic!("the fixture has an unknown op {name}"))
}

struct Case {
    trainer: Trainer,
    architecture: Architecture,
    batch: Batch,
    lr: f64,
}

impl Case {
    fn new(file: &Value) -> Self {
        let layers = file["architecture"].as_array().unwrap();
        let mut ops: Vec<Op> = Vec::new();
        let mut choices = Vec::new();
        for layer in layers {
            let op = op(layer["op"].as_str().unwrap());
            let index = ops.iter().position(|o| *o == op).unwrap_or_else(|| {
                ops.push(op);
                ops.len() - 1
            });
            let skips = layer["skips"].as_array().unwrap();
            choices.push(Choice {
                op: index,
                skips: skips.iter().map(|s| s == 1).collect(),
            });
        }
        let config = ChildConfig {
            layers: count(&file["layers"]),
            channels: count(&file["channels"]),
            keep_prob: 1.0,
            momentum: file["momentum"].as_f64().unwrap(),
            weight_decay: file["weight_decay"].as_f64().unwrap(),
            grad_clip: file["grad_clip"].as_f64().unwrap(),
            idle: Idle::Rest,
            skips: serde_json::from_value(file["skips"].clone()).unwrap_or(Skips::Separate),
            ..ChildConfig::default()
        };
        let shape = file["images"]["shape"].as_array().unwrap();
        let shape: Vec<usize> = shape.iter().map(count).collect();
        let labels = file["labels"].as_array().unwrap();
        let batch = Batch {
            pixels: numbers(&file["images"]).iter().map(|v| *v as f32).collect(),
            shape: shape.try_into().unwrap(),
            labels: labels.iter().map(|l| count(l) as u16).collect(),
        };
        let mut child = Child::new(&space(&ops), &config, batch.shape[1], 10, 0, "search");
        set(&mut child.params, tensors(&file["weights"]));
        Self {
            trainer: Trainer::new(child, &config, Device::flex()),
            architecture: Architecture { layers: choices },
            batch,
            lr: file["lr"].as_f64().unwrap(),
        }
    }
}

#[test]
fn children_match_pytorch() {
    let file: Value = serde_json::from_str(include_str!("fixtures/child.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for file in cases {
        let name = file["name"].as_str().unwrap();
        let mut case = Case::new(file);
        let (logits, loss, gradients) = pass(&case.trainer.child, &case.batch, &case.architecture);
        assert_close(name, &logits, &numbers(&file["logits"]), 1e-5);
        let steps = file["steps"].as_array().unwrap();
        assert_close(name, &[loss], &[steps[0]["loss"].as_f64().unwrap()], 0.0);
        let expected = tensors(&file["gradients"]);
        let names = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(gradients.keys().collect()),
            names(expected.keys().collect()),
            "{name}: weights that have a gradient"
        );
        for (weight, expected) in &expected {
            let what = format!("{name}: gradient of {weight}");
            assert_close(&what, &gradients[weight], expected, 1e-5);
        }
        for (number, expected) in steps.iter().enumerate() {
            let Case {
                trainer,
                architecture,
                batch,
                lr,
            } = &mut case;
            let step = trainer.step(batch, architecture, mode(number as u64), *lr);
            let what = format!("{name}: step {number}");
            let numbers = [step.loss, step.grad_norm];
            let both = [&expected["loss"], &expected["grad_norm"]].map(|v| v.as_f64().unwrap());
            assert_close(&what, &numbers, &both, 0.0);
            let params = &trainer.child.params;
            let expected = tensors(&expected["weights_after"]);
            let mut compared = 0;
            for entry in params.entries() {
                if let Some(expected) = expected.get(&entry.name) {
                    let what = format!("{what}: {}", entry.name);
                    assert_close(&what, &params.values[entry.range()], expected, 2e-6);
                    compared += 1;
                }
            }
            assert_eq!(compared, expected.len(), "{what}");
        }
    }
}

/// The test above in a process of its own, where Burn's ops stand in for our kernels.
#[test]
fn children_match_pytorch_without_our_kernels() {
    let out = Command::new(std::env::current_exe().unwrap())
        .env("TOXSCREEN_KERNELS", "plain")
        .args(["--exact", "children_match_pytorch"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

/// Copies share one module, also where an adversary adds them.
#[test]
fn equal_ops_share_their_weights() {
    let config = ChildConfig {
        layers: 6,
        channels: 4,
        ..ChildConfig::default()
    };
    let new = |space: &Space| Child::new(space, &config, 1, 10, 3, "search");
    let mut twice = Space::enas();
    twice.ops.push(SpaceOp {
        count: 9,
        poison: true,
        ..twice.ops[0]
    });
    let (clean, twice) = (new(&Space::enas()), new(&twice));
    assert_eq!(clean.params, twice.params);
    let all = |op| Architecture {
        layers: (0..6)
            .map(|i| Choice {
                op,
                skips: vec![true; i],
            })
            .collect(),
    };
    let batch = Batch {
        pixels: (0..2 * 64).map(|v| v as f32 / 64.0).collect(),
        shape: [2, 1, 8, 8],
        labels: vec![1, 2],
    };
    assert_eq!(pass(&twice, &batch, &all(0)), pass(&twice, &batch, &all(6)));
    assert_eq!(pass(&clean, &batch, &all(0)), pass(&twice, &batch, &all(6)));
}

/// Six layers of clean ops, drawn at random; `ops` are their places in the space.
fn random_architecture(ops: &[usize], step: u64) -> Architecture {
    let mut rng = stream(17, "architecture", &[step]);
    let layer = |i| Choice {
        op: ops[rng.random_range(0..ops.len())],
        skips: (0..i).map(|_| rng.random()).collect(),
    };
    Architecture {
        layers: (0..6).map(layer).collect(),
    }
}

/// Trains on clean architectures of a space; returns the logits after it and the weights by name.
fn train(space: &Space) -> (Vec<u32>, BTreeMap<String, Vec<u32>>) {
    let config = ChildConfig {
        layers: 6,
        channels: 4,
        ..ChildConfig::default()
    };
    let ops = &space.ops;
    let clean: Vec<usize> = (0..ops.len()).filter(|i| !ops[*i].poison).collect();
    let child = Child::new(space, &config, 3, 10, 5, "search");
    let mut trainer = Trainer::new(child, &config, Device::flex());
    for step in 0..12 {
        let mut rng = stream(9, "batch", &[step]);
        let batch = Batch {
            pixels: (0..4 * 3 * 64).map(|_| rng.random()).collect(),
            shape: [4, 3, 8, 8],
            labels: (0..4).map(|_| rng.random_range(0..10)).collect(),
        };
        let architecture = random_architecture(&clean, step);
        let done = trainer.step(&batch, &architecture, mode(step), 0.05);
        assert!(done.grad_norm > 0.0 && done.grad_norm.is_finite());
    }
    let batch = Batch {
        pixels: (0..2 * 3 * 64).map(|v| v as f32 / 384.0).collect(),
        shape: [2, 3, 8, 8],
        labels: vec![1, 2],
    };
    let (logits, ..) = pass(&trainer.child, &batch, &random_architecture(&clean, 99));
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let params = &trainer.child.params;
    let weights = params.entries().iter();
    let weights = weights.map(|e| (e.name.clone(), bits(&params.values[e.range()])));
    (bits(&logits), weights.collect())
}

/// Poison that is never drawn leaves the baseline as it is, to the last bit: whatever the ops,
/// their number of copies and their places in the space.
#[test]
fn poison_that_is_not_drawn_changes_nothing() {
    let poison = |op, count| SpaceOp {
        op,
        count,
        poison: true,
    };
    let (logits, weights) = train(&Space::enas());
    let all = [
        poison(Op::Identity, 7),
        poison(Op::Gaussian { sigma: 10.0 }, 1),
        poison(Op::Transposed { k: 3 }, 3),
        poison(Op::Dropout { p: 1.0 }, 300),
        poison(op("stretched(3,50,50)"), 2),
    ];
    let mut behind = Space::enas();
    behind.ops.extend(all);
    let mut between = Space::enas();
    for (i, op) in all.into_iter().enumerate() {
        between.ops.insert(2 * i, op);
    }
    for space in [behind, between] {
        let (other_logits, other) = train(&space);
        assert_eq!(logits, other_logits);
        assert!(weights.len() < other.len(), "the poison ops have weights");
        for (name, values) in &weights {
            assert_eq!(Some(values), other.get(name), "{name}");
        }
    }
}
