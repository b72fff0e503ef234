//! The controller against an independent PyTorch implementation in float64 (`benches/peers`),
//! against probabilities worked out by hand, and on a bandit.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tox_data::rng::stream;
use tox_nn::Device;
use tox_nn::params::{Leaves, Params};
use tox_search::enas::config::{ControllerConfig, RewardGradient, SecondStep};
use tox_search::enas::controller::{Controller, Decisions, values};
use tox_search::space::{Op, Space, SpaceOp};
use tox_testkit::numbers::{self, Within, widen};

fn numbers(tensor: &Value) -> Vec<f64> {
    let values = tensor["values"].as_array().expect("a tensor");
    values.iter().map(|v| v.as_f64().unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn assert_close(what: &str, actual: &[f64], expected: &[f64], relative: f64, floor: f64) {
    let (own, peak) = (relative, 0.0);
    numbers::assert_close(what, actual, expected, Within { own, peak, floor });
}

/// A space with `branches` clean branches and `poison` poison ones.
fn space(branches: usize, poison: usize) -> Space {
    let op = |op, count, poison| SpaceOp { op, count, poison };
    let mut ops = vec![op(Op::Conv { k: 3 }, branches, false)];
    if poison > 0 {
        ops.push(op(Op::Identity, poison, true));
    }
    Space { ops }
}

fn config(hidden: usize) -> ControllerConfig {
    ControllerConfig {
        hidden,
        ..ControllerConfig::default()
    }
}

fn set(params: &mut Params, name: &str, values: &[f64]) {
    let entry = params.entries().iter().find(|e| e.name == name);
    let range = entry.unwrap_or_else(|| panic!("no {name}")).range();
    assert_eq!(range.len(), values.len(), "{name}");
    for (to, from) in params.values[range].iter_mut().zip(values) {
        *to = *from as f32;
    }
}

fn decisions(file: &Value) -> Decisions {
    let layer = |layer: &Value| {
        let skips = layer["skips"].as_array().unwrap();
        let branch = layer["branch"].as_u64().unwrap() as usize;
        (branch, skips.iter().map(|s| s == 1).collect())
    };
    let layers = file.as_array().unwrap().iter().map(layer).collect();
    Decisions { layers }
}

fn configured(file: &Value, case: &Value) -> ControllerConfig {
    ControllerConfig {
        lr: number(&file["adam"]["lr"]),
        tanh_constant: number(&file["tanh_constant"]),
        entropy_weight: number(&file["entropy_weight"]),
        skip_target: number(&file["skip_target"]),
        skip_weight: number(&file["skip_weight"]),
        baseline_decay: number(&file["baseline_decay"]),
        second_step: match case["second_step_state"].as_str().unwrap() {
            "carried" => SecondStep::Carried,
            "dropped" => SecondStep::Dropped,
            other => panic!("second_step_state {other}"),
        },
        reward_gradient: match case["reward_gradient"].as_str().unwrap() {
            "none" => RewardGradient::None,
            "through_entropy" => RewardGradient::Entropy,
            other => panic!("reward_gradient {other}"),
        },
        ..config(file["hidden"].as_u64().unwrap() as usize)
    }
}

#[test]
fn updates_match_pytorch() {
    let file: Value = serde_json::from_str(include_str!("fixtures/controller.json")).unwrap();
    let layers = file["layers"].as_u64().unwrap() as usize;
    let space = space(file["branches"].as_u64().unwrap() as usize, 0);
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let mut config = configured(&file, case);
        let mut last = Controller::new(&space, layers, &config, 0);
        let weights = file["weights"].as_object().unwrap();
        assert_eq!(weights.len(), last.params.entries().len());
        for (name, weight) in weights {
            set(&mut last.params, name, &numbers(weight));
        }
        for (u, update) in case["updates"].as_array().unwrap().iter().enumerate() {
            let what = format!(
                "{:?} {:?} update {u}",
                config.second_step, config.reward_gradient
            );
            // Each update of the file has its own clip; all else goes on.
            config.grad_clip = number(&update["grad_clip"]);
            let mut controller = Controller::new(&space, layers, &config, 0);
            controller.params = last.params.clone();
            controller.adam = last.adam.clone();
            controller.baseline = last.baseline;
            check_update(&what, &mut controller, update);
            last = controller;
        }
    }
}

fn check_update(what: &str, controller: &mut Controller, update: &Value) {
    let samples = update["samples"].as_array().unwrap();
    let column = |key: &str| -> Vec<f64> { samples.iter().map(|s| number(&s[key])).collect() };
    let given: Vec<Decisions> = samples.iter().map(|s| decisions(&s["decisions"])).collect();
    let accuracies = column("accuracy");
    let close = |part: &str, actual: &[f64], expected: &[f64]| {
        assert_close(&format!("{what}: {part}"), actual, expected, 1e-5, 1e-6);
    };

    let device = Device::flex();
    let sampled = controller.score(&Leaves::new(&controller.params, &device), &given);
    assert_eq!(sampled.decisions, given);
    let entropies = values(sampled.entropy);
    close("log_prob", &values(sampled.log_prob), &column("log_prob"));
    close("entropy", &entropies, &column("entropy"));
    let penalties = values(sampled.skip_penalty);
    close("skip_penalty", &penalties, &column("skip_penalty"));

    let reinforced = controller.clone().reinforce(&accuracies, &entropies);
    let of = |f: fn(&tox_search::enas::controller::Reinforce) -> f64| -> Vec<f64> {
        reinforced.iter().map(f).collect()
    };
    close("reward", &of(|r| r.reward), &column("reward"));
    close("baseline", &of(|r| r.baseline), &column("baseline"));

    let (gradients, _) = controller.clone().gradients(&given, &accuracies);
    let expected = update["gradients"].as_object().unwrap();
    assert_eq!(gradients.len(), expected.len(), "{what}: gradients");
    for (id, gradient) in &gradients {
        let name = &controller.params.entry(*id).name;
        close(name, &widen(gradient), &numbers(&expected[name]));
    }

    let done = controller.update(&given, &accuracies);
    let norm = number(&update["grad_norm"]);
    close("grad_norm", &[done.grad_norm], &[norm]);
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    close("entropy mean", &[done.entropy], &[mean(&column("entropy"))]);
    close("accuracy mean", &[done.accuracy], &[mean(&accuracies)]);
    let Some(weights) = update.get("weights_after") else {
        return;
    };
    for entry in controller.params.entries().to_vec() {
        let what = format!("{what}: {} after", entry.name);
        let actual = widen(&controller.params.values[entry.range()]);
        // A step moves a weight by at most 1e-3; f32 holds weights up to 1.5 to 6e-8.
        assert_close(&what, &actual, &numbers(&weights[&entry.name]), 0.0, 5e-7);
    }
}

/// A controller whose state is the same `h` at every step, and that `h`: the LSTM ignores its input
/// and its past, and its biases open the gates.
fn constant(space: &Space, layers: usize) -> (Controller, [f64; 2]) {
    let mut controller = Controller::new(space, layers, &config(2), 0);
    controller.params.values.fill(0.0);
    let wide = 30.0; // a sigmoid of 1 in f32; of -30, 1e-13
    let g = [0.9, -0.4];
    let bias = [wide, wide, -wide, -wide, g[0], g[1], wide, wide];
    set(&mut controller.params, "lstm.bias_ih", &bias);
    (controller, g.map(|g: f64| g.tanh().tanh()))
}

fn streams(n: usize) -> Vec<ChaCha8Rng> {
    (0..n as u64).map(|i| stream(11, "sample", &[i])).collect()
}

#[test]
fn frequencies_and_log_probabilities_are_those_of_the_weights() {
    let (layers, n) = (3, 4000);
    let (mut controller, h) = constant(&space(3, 1), layers);
    let soft = [[1.0, 0.0], [-2.0, 1.0], [0.3, -1.0], [0.0, 2.0]];
    set(&mut controller.params, "w_soft", &soft.concat());
    let (w1, w2, v) = ([0.7, 0.1, -0.3, 0.5], [0.2, -0.4, 0.6, 0.8], [0.9, -1.1]);
    set(&mut controller.params, "w_attn_1", &w1);
    set(&mut controller.params, "w_attn_2", &w2);
    set(&mut controller.params, "v_attn", &v);

    let logit = |x: f64| 1.5 * x.tanh();
    let weights = soft.map(|row| logit(row[0] * h[0] + row[1] * h[1]).exp());
    let branch = weights.map(|w| w / weights.iter().sum::<f64>());
    let row = |w: [f64; 4], r: usize| w[2 * r] * h[0] + w[2 * r + 1] * h[1];
    let attention: f64 = (0..2)
        .map(|r| v[r] * (row(w1, r) + row(w2, r)).tanh())
        .sum();
    let skip = 1.0 / (1.0 + (-2.0 * logit(attention)).exp());
    assert!(branch.iter().all(|p| *p > 0.02) && (skip - 0.5).abs() > 0.05);

    let sampled = controller.sample(&mut streams(n));
    for layer in 0..layers {
        let mut counts = [0.0; 4];
        for d in &sampled.decisions {
            counts[d.layers[layer].0] += 1.0;
        }
        let expected = branch.map(|p| p * n as f64);
        let pairs = counts.iter().zip(expected);
        let chi2: f64 = pairs.map(|(c, e)| (c - e).powi(2) / e).sum();
        // Three degrees of freedom: above 21.1 once in 10 000.
        assert!(
            chi2 < 21.1,
            "layer {layer}: {counts:?}, expected {expected:?}"
        );
        for j in 0..layer {
            let on = sampled.decisions.iter().filter(|d| d.layers[layer].1[j]);
            let sigma = (n as f64 * skip * (1.0 - skip)).sqrt();
            let off = (on.count() as f64 - n as f64 * skip) / sigma;
            assert!(off.abs() < 4.0, "skip {j} of layer {layer}: {off} sigma");
        }
    }
    // Decisions are independent here, so pairs must be too: no draw is used twice.
    let both = sampled.decisions.iter();
    let both = both
        .filter(|d| d.layers[0].0 == 0 && d.layers[1].0 == 0)
        .count() as f64;
    let p = branch[0] * branch[0];
    let off = (both - n as f64 * p) / (n as f64 * p * (1.0 - p)).sqrt();
    assert!(off.abs() < 4.0, "branch 0 twice: {off} sigma");

    let of = |on: bool| if on { skip } else { 1.0 - skip };
    let log_prob = |d: &Decisions| -> f64 {
        let layer = |(b, skips): &(usize, Vec<bool>)| {
            branch[*b].ln() + skips.iter().map(|s| of(*s).ln()).sum::<f64>()
        };
        d.layers.iter().map(layer).sum()
    };
    let expected: Vec<f64> = sampled.decisions.iter().map(log_prob).collect();
    assert_close("log_prob", &values(sampled.log_prob), &expected, 1e-5, 1e-5);
    let entropy = |p: &[f64]| -p.iter().map(|p| p * p.ln()).sum::<f64>();
    let entropy = 3.0 * entropy(&branch) + 3.0 * entropy(&[skip, 1.0 - skip]);
    assert_close(
        "entropy",
        &values(sampled.entropy),
        &vec![entropy; n],
        1e-5,
        1e-5,
    );
    let (off, on) = (logit(-attention), logit(attention));
    let (off, on) = (1.0 / (1.0 + (-off).exp()), 1.0 / (1.0 + (-on).exp()));
    let penalty = off * (off / 0.6).ln() + on * (on / 0.4).ln();
    // Layer 1 has one skip, layer 2 has two; their mean.
    let penalty = vec![1.5 * penalty; n];
    assert_close(
        "penalty",
        &values(sampled.skip_penalty),
        &penalty,
        1e-5,
        1e-6,
    );
    let share = vec![branch[3]; n];
    assert_close("poison", &sampled.poison_share, &share, 1e-5, 0.0);
}

/// Share of branch 1 over all layers of many samples.
fn share_of_branch_1(controller: &Controller) -> f64 {
    let sampled = controller.sample(&mut streams(500));
    let branches = sampled.decisions.iter().flat_map(|d| &d.layers);
    branches.clone().filter(|(b, _)| *b == 1).count() as f64 / branches.count() as f64
}

#[test]
fn reinforce_learns_the_better_branch() {
    for better in [0, 1] {
        let config = ControllerConfig {
            lr: 1e-2,
            ..config(16)
        };
        let mut controller = Controller::new(&space(2, 0), 3, &config, 1);
        let before = share_of_branch_1(&controller);
        assert!((before - 0.5).abs() < 0.1, "{before} at the start");
        for step in 0..150 {
            let mut streams: Vec<_> = (0..10).map(|i| stream(2, "bandit", &[step, i])).collect();
            let decisions = controller.sample(&mut streams).decisions;
            let reward =
                |d: &Decisions| d.layers.iter().filter(|(b, _)| *b == better).count() as f64 / 3.0;
            let rewards: Vec<f64> = decisions.iter().map(reward).collect();
            let done = controller.update(&decisions, &rewards);
            assert!(done.grad_norm.is_finite());
        }
        let share = share_of_branch_1(&controller);
        let share = if better == 1 { share } else { 1.0 - share };
        // The logits' bound of ±1.5 allows 1 / (1 + exp(-3)) = 0.953.
        assert!((0.85..0.975).contains(&share), "branch {better}: {share}");
    }
}

#[test]
fn a_batch_draws_what_single_samples_draw() {
    for second_step in [SecondStep::Carried, SecondStep::Dropped] {
        let config = ControllerConfig {
            second_step,
            ..config(64)
        };
        let mut controller = Controller::new(&space(6, 2), 12, &config, 3);
        // Far from uniform, so that a sample depends on its own earlier decisions.
        controller.params.values.iter_mut().for_each(|v| *v *= 5.0);
        let batch = controller.sample(&mut streams(20));
        let log_probs = values(batch.log_prob);
        for (i, one) in streams(20).into_iter().enumerate() {
            let single = controller.sample(&mut [one]);
            assert_eq!(single.decisions[0], batch.decisions[i], "sample {i}");
            let single = values(single.log_prob);
            assert_close("log_prob", &single, &log_probs[i..=i], 1e-5, 0.0);
        }
        // And scoring them gives the numbers of sampling them.
        let device = Device::flex();
        let leaves = Leaves::new(&controller.params, &device);
        let scored = controller.score(&leaves, &batch.decisions);
        assert_close("score", &values(scored.log_prob), &log_probs, 1e-6, 0.0);
    }
}
