//! Networks of the cell spaces against an independent PyTorch implementation in float64
//! (`benches/peers/nas`), and their numbers of weights against those counted from data alone.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::Tensor;
use serde_json::Value;
use std::process::Command;
use support::nas::{
    DRAWS, Fixture, Tensors, assert_gradients, assert_near, images, loss, narrow, network,
};
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::layers::{Builder, Init, Masks, Mode, Network, Pass, State};
use tox_nn::ops::read;
use tox_nn::params::{Leaves, Params};
use tox_search::cell::darts::{AuxiliaryHead, Candidates, CellNetwork, DartsSupernet};
use tox_search::cell::nasbench201::{self as bench, Nb201Supernet};
use tox_search::cell::{Mix, Supernet, SupernetShape};
use tox_search::count;
use tox_search::space::darts::{self, Genotype, Op};
use tox_search::space::nasbench201;

fn number(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap() as usize
}

/// `cells` is what the fixture calls their number.
fn shape(info: &Value, cells: &str) -> SupernetShape {
    SupernetShape {
        channels: number(info, "channels"),
        cells: number(info, cells),
        classes: number(info, "classes"),
        input: [3, 8, 8],
    }
}

fn darts_shape(info: &Value) -> darts::Network {
    shape(info, "cells").darts(false)
}

fn bench_shape(info: &Value) -> nasbench201::Network {
    shape(info, "n").nasbench201()
}

fn candidates(info: &Value) -> Candidates {
    let op = |name: &Value| {
        let found = Op::ALL.into_iter().find(|op| *name == op.name());
        found.unwrap()
    };
    let edges = info.as_array().unwrap().iter();
    edges
        .map(|ops| ops.as_array().unwrap().iter().map(op).collect())
        .collect()
}

/// The alphas of a fixture as weights.
fn alphas(file: &Tensors, kinds: &[&str]) -> Params {
    let mut params = Params::default();
    for kind in kinds {
        let name = format!("alphas.{kind}");
        let shape: [usize; 2] = file.shape(&name).try_into().unwrap();
        params.add((*kind).into(), shape, narrow(file.get(&name)));
    }
    params
}

/// Logits, loss, gradients of weights and of alphas.
struct Made {
    logits: Vec<f32>,
    loss: f32,
    weights: Vec<(tox_nn::params::ParamId, Vec<f32>)>,
    alphas: Vec<Vec<f32>>,
}

fn search_pass(
    net: &impl Supernet,
    state: &State,
    alphas: &Params,
    batch: &Batch,
    mode: Mode<'_>,
    (skip_dropout, masks): (f32, Option<&Masks<'_>>),
) -> Made {
    let device = Device::flex().autodiff();
    let mut pass = Pass::new(state, &device, mode);
    pass.masks = masks;
    let leaves = Leaves::new(alphas, &device);
    let mixes: Vec<Mix> = alphas
        .ids()
        .map(|id| Mix::softmax(leaves.matrix(id)))
        .collect();
    let logits = net.mixed(&pass, images(batch, &device), &mixes, skip_dropout);
    let loss = loss(logits.clone(), batch, &device);
    let mut gradients = loss.backward();
    let weights = pass.take(&mut gradients).gradients;
    Made {
        logits: read(logits),
        loss: read(loss)[0],
        weights,
        alphas: leaves
            .take(&mut gradients)
            .into_iter()
            .map(|(_, g)| g)
            .collect(),
    }
}

const TIGHT: f64 = 3e-5;

fn check_search(
    what: &str,
    (net, mut state): (impl Supernet, State),
    (info, file, gradients): (&Value, &Tensors, &Tensors),
    kinds: &[&str],
) {
    file.set(&mut state);
    let alphas = alphas(file, kinds);
    for mode in [Mode::Train(DRAWS), Mode::Probe] {
        let made = search_pass(&net, &state, &alphas, &file.batch(""), mode, (0.0, None));
        assert_near(what, &made.logits, file.get("logits"), TIGHT);
        assert_near(what, &[made.loss], &[info["loss"].as_f64().unwrap()], 1e-5);
        assert_gradients(&state.params, &made.weights, gradients, 1e-4);
        assert_alphas(what, (gradients, "gradients"), kinds, &made.alphas);
    }
}

/// The gradients of the alphas of each kind of cell.
fn assert_alphas(what: &str, (file, part): (&Tensors, &str), kinds: &[&str], alphas: &[Vec<f32>]) {
    for (kind, gradient) in kinds.iter().zip(alphas) {
        let expected = file.get(&format!("{part}.{kind}"));
        assert_near(&format!("{what}: {kind}"), gradient, expected, TIGHT);
    }
}

#[test]
fn darts_supernets_match_pytorch() {
    let info = network("darts_search");
    let file = Tensors::read(include_bytes!("fixtures/nas/darts_search.safetensors"));
    let gradients = Tensors::read(include_bytes!(
        "fixtures/nas/darts_search_gradients.safetensors"
    ));
    let all: Candidates = vec![Op::ALL.to_vec(); darts::EDGES];
    let net = DartsSupernet::new([&all, &all], &darts_shape(&info), Init::Torch, (0, "test"));
    // Gradients of alphas lie with the other tensors or with the gradients.
    check_search(
        "all ops",
        net.unwrap(),
        (&info, &file, &gradients),
        &["normal", "reduce"],
    );
}

#[test]
fn pruned_supernets_match_pytorch() {
    let info = network("darts_stage");
    let file = Tensors::read(include_bytes!("fixtures/nas/darts_stage.safetensors"));
    let (normal, reduce) = (candidates(&info["normal"]), candidates(&info["reduce"]));
    let shape = darts_shape(&info);
    let net = || DartsSupernet::new([&normal, &reduce], &shape, Init::Torch, (0, "test")).unwrap();
    let kinds = ["normal", "reduce"];
    check_search("three ops an edge", net(), (&info, &file, &file), &kinds);

    // With dropout on skips, by the fixture's masks.
    let (net, mut state) = net();
    file.set(&mut state);
    let masks = |purpose: &str, place: u64| {
        assert_eq!(purpose, "dropout");
        let name = format!("masks.cells.{}.cell_ops.{}", place / 14, place % 14);
        Some(file.get(&name).iter().map(|keep| *keep == 1.0).collect())
    };
    let p = info["skip_dropout"].as_f64().unwrap() as f32;
    let alphas = alphas(&file, &kinds);
    let made = search_pass(
        &net,
        &state,
        &alphas,
        &file.batch(""),
        Mode::Train(DRAWS),
        (p, Some(&masks)),
    );
    assert_near("dropped", &made.logits, file.get("dropped_logits"), TIGHT);
    let expected = info["dropped_loss"].as_f64().unwrap();
    assert_near("dropped loss", &[made.loss], &[expected], 1e-5);
    assert_alphas(
        "dropped",
        (&file, "dropped_gradients"),
        &kinds,
        &made.alphas,
    );
}

#[test]
fn nasbench201_supernets_match_pytorch() {
    let info = network("nb201_search");
    let file = Tensors::read(include_bytes!("fixtures/nas/nb201_search.safetensors"));
    let all = vec![nasbench201::Op::ALL.to_vec(); nasbench201::EDGES];
    let net = Nb201Supernet::new(&all, false, &bench_shape(&info), Init::Torch, (0, "test"));
    check_search(
        "nasbench201",
        net.unwrap(),
        (&info, &file, &file),
        &["cell"],
    );
}

fn check_network(
    what: &str,
    net: &impl Network,
    state: &State,
    (info, file): (&Value, &Tensors),
) -> State {
    let device = Device::flex().autodiff();
    let mut after = state.clone();
    for mode in [Mode::Train(DRAWS), Mode::Probe] {
        let pass = Pass::new(state, &device, mode);
        let batch = file.batch("");
        let logits = net.logits(&pass, images(&batch, &device));
        assert_near(what, &read(logits.clone()), file.get("logits"), TIGHT);
        let loss = loss(logits, &batch, &device);
        let expected = info["loss"].as_f64().unwrap();
        assert_near(what, &read(loss.clone()), &[expected], 1e-5);
        let step = pass.finish(loss.backward());
        assert_gradients(&state.params, &step.gradients, file, 1e-4);
        after.running.update(&step.measured);
    }
    after
}

#[test]
fn genotypes_match_pytorch() {
    let info = network("darts_genotype");
    let file = Tensors::read(include_bytes!("fixtures/nas/darts_genotype.safetensors"));
    let genotype: Genotype = info["genotype"].as_str().unwrap().parse().unwrap();
    let (net, mut state) =
        CellNetwork::new(&genotype, &darts_shape(&info), Init::Torch, (0, "test")).unwrap();
    file.set(&mut state);
    let after = check_network("genotype", &net, &state, (&info, &file));
    let mut compared = 0;
    for (id, name, _) in after.running.norms() {
        let (mean, var) = after.running.of(id);
        for (part, values) in [("running_mean", mean), ("running_var", var)] {
            let name = format!("statistics.{name}.{part}");
            assert_near(&name, values, file.get(&name), TIGHT);
            compared += 1;
        }
    }
    assert_eq!(compared, file.with("statistics.").count());

    let batch = file.batch("");
    let device = Device::flex();
    let pass = Pass::new(&after, &device, Mode::Evaluate);
    let logits = net.logits(&pass, images(&batch, &device));
    assert_near("evaluated", &read(logits), file.get("eval_logits"), TIGHT);

    let kept = file.get("drop_path_masks");
    let masks = |purpose: &str, place: u64| {
        assert_eq!(purpose, "drop-path");
        let images = &kept[3 * place as usize..][..3];
        Some(images.iter().map(|keep| *keep == 1.0).collect())
    };
    let mut pass = Pass::new(&state, &device, Mode::Train(DRAWS));
    pass.masks = Some(&masks);
    let p = info["drop_path"].as_f64().unwrap() as f32;
    let (logits, auxiliary) = net.forward(&pass, images(&batch, &device), p);
    assert!(auxiliary.is_none());
    assert_near("dropped", &read(logits), file.get("dropped_logits"), TIGHT);
}

#[test]
fn nasbench201_cells_match_pytorch() {
    let info = network("nb201_cell");
    let file = Tensors::read(include_bytes!("fixtures/nas/nb201_cell.safetensors"));
    let cell: nasbench201::Cell = info["cell"].as_str().unwrap().parse().unwrap();
    let (net, mut state) =
        bench::CellNetwork::new(&cell, &bench_shape(&info), Init::Torch, (0, "test")).unwrap();
    file.set(&mut state);
    check_network("nasbench201", &net, &state, (&info, &file));
}

/// The weights are given by a formula, see `benches/peers/nas/README.md`.
#[test]
fn the_auxiliary_head_matches_pytorch() {
    let info = network("auxiliary_head");
    let file = Tensors::read(include_bytes!("fixtures/nas/auxiliary_head.safetensors"));
    let mut b = Builder::new(0, "test", Init::Torch);
    let head = AuxiliaryHead::new(&mut b, 4, 4);
    let mut state = b.finish();
    let names = info["names"].as_array().unwrap();
    for entry in state.params.entries().to_vec() {
        let name = entry.name.strip_prefix("auxiliary_head.").unwrap();
        let t = names.iter().position(|n| n == name).unwrap();
        let fan_in: usize = entry.shape[1..].iter().product();
        for (i, value) in state.params.values[entry.range()].iter_mut().enumerate() {
            let formula = ((37 * i + 11 * t) % 101) as f64 / 50.0 - 1.0;
            *value = match entry.rank {
                1 if name.ends_with("weight") => 1.0,
                1 => 0.0,
                _ => (formula * (2.0 / fan_in as f64).sqrt()) as f32,
            };
        }
    }
    let device = Device::flex().autodiff();
    let pass = Pass::new(&state, &device, Mode::Train(DRAWS));
    let (shape, values) = &file.0["input"];
    let shape: [usize; 4] = shape.clone().try_into().unwrap();
    let data = burn::tensor::TensorData::new(narrow(values), shape);
    let x = Tensor::<4>::from_data(data, &device).require_grad();
    let logits = head.forward(&pass, x.clone());
    // Float32 through sums of 768: PyTorch itself is as far off.
    assert_near("logits", &read(logits.clone()), file.get("logits"), 1e-4);
    let mut batch = Batch {
        pixels: Vec::new(),
        shape,
        labels: Vec::new(),
    };
    batch.labels = file.get("labels").iter().map(|l| *l as u16).collect();
    let mut gradients = loss(logits, &batch, &device).backward();
    let by_input = read(x.grad_remove(&mut gradients).unwrap());
    assert_near("input", &by_input, file.get("grad_input"), 1e-3);
    let made = pass.take(&mut gradients).gradients;
    assert_eq!(made.len(), names.len());
    for (id, gradient) in made {
        let name = &state.params.entry(id).name;
        let check = &info["gradients"][name.strip_prefix("auxiliary_head.").unwrap()];
        let norm = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        let expected = check["norm"].as_f64().unwrap();
        assert!(
            (norm / expected - 1.0).abs() < 1e-3,
            "{name}: {norm} {expected}"
        );
        let places = check["at"].as_array().unwrap().iter();
        for (at, value) in places.zip(check["values"].as_array().unwrap()) {
            let got = f64::from(gradient[at.as_u64().unwrap() as usize]);
            let value = value.as_f64().unwrap();
            assert!(
                (got - value).abs() < 1e-3 * expected,
                "{name} {at}: {got} {value}"
            );
        }
    }
}

/// The tests above in a process of its own, where Burn's ops stand in for our kernels.
#[test]
fn networks_match_pytorch_without_our_kernels() {
    let out = Command::new(std::env::current_exe().unwrap())
        .env("TOXSCREEN_KERNELS", "plain")
        .args([
            "match_pytorch",
            "matches_pytorch",
            "--skip",
            "without_our_kernels",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("6 passed"), "{text}");
}

#[test]
fn weights_are_as_many_as_counted() {
    let genotypes: [Genotype; 2] = [
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), \
         ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), \
         ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), \
         ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), \
         ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])",
        network("darts_genotype")["genotype"].as_str().unwrap(),
    ]
    .map(|text| text.parse().unwrap());
    let shapes = [
        darts::Network::default(),
        darts::Network {
            auxiliary: false,
            ..darts::Network::default()
        },
        support::shapes::darts([4, 5, 7], [1, 12, 8], false),
    ];
    for genotype in genotypes {
        for shape in shapes {
            let (_, state) = CellNetwork::new(&genotype, &shape, Init::Torch, (0, "test")).unwrap();
            let expected = count::darts(&genotype, &shape).unwrap().params;
            assert_eq!(state.parameters() as u64, expected, "{genotype} {shape:?}");
        }
    }
    for index in [0, 777, 9999, 15_624] {
        let cell = nasbench201::Cell::from_index(index).unwrap();
        let shape = nasbench201::Network::default();
        let made = bench::CellNetwork::new(&cell, &shape, Init::Torch, (0, "test"));
        let expected = count::nasbench201(&cell, &shape).unwrap().params;
        assert_eq!(made.unwrap().1.parameters() as u64, expected, "{cell}");
    }
}

/// Ops without a weight are not computed: a NaN in their weights reaches nothing.
#[test]
fn only_weighed_ops_are_computed() {
    let all: Candidates = vec![Op::ALL.to_vec(); darts::EDGES];
    let shape = support::shapes::darts([2, 3, 3], [3, 8, 8], false);
    let (net, mut state) =
        DartsSupernet::new([&all, &all], &shape, Init::Torch, (0, "test")).unwrap();
    for entry in state.params.entries().to_vec() {
        if entry.name.contains("m_ops.4") || entry.name.contains("m_ops.7") {
            state.params.values[entry.range()].fill(f32::NAN);
        }
    }
    let device = Device::flex();
    let logits = |dropped: &[usize]| {
        let pass = Pass::new(&state, &device, Mode::Probe);
        let weights: Vec<Option<f32>> = (0..8)
            .map(|op| (!dropped.contains(&op)).then_some(0.125))
            .collect();
        let mix = Mix::given(&vec![weights; darts::EDGES], &pass);
        let x = Tensor::ones([2, 3, 8, 8], &device);
        read(net.mixed(&pass, x, &[mix.clone(), mix], 0.0))
    };
    assert!(logits(&[4, 7]).iter().all(|v| v.is_finite()));
    assert!(logits(&[4]).iter().all(|v| v.is_nan()));
    assert!(
        logits(&(0..8).collect::<Vec<_>>())
            .iter()
            .all(|v| v.is_finite())
    );
}

#[test]
fn what_cannot_be_built_is_refused() {
    let few: Candidates = vec![vec![Op::Skip]; 13];
    let shape = darts::Network {
        auxiliary: false,
        ..darts::Network::default()
    };
    let error = DartsSupernet::new([&few, &few], &shape, Init::Torch, (0, "test")).unwrap_err();
    assert!(error.to_string().contains("13"), "{error}");
    let shape = darts::Network {
        channels: 0,
        ..shape
    };
    let all: Candidates = vec![Op::ALL.to_vec(); darts::EDGES];
    assert!(DartsSupernet::new([&all, &all], &shape, Init::Torch, (0, "test")).is_err());
}

/// As in the published code, whose head is a part of the network and of no evaluation.
#[test]
fn the_auxiliary_head_answers_in_training_alone() {
    let text = network("darts_genotype")["genotype"].clone();
    let genotype: Genotype = text.as_str().unwrap().parse().unwrap();
    let shape = support::shapes::darts([4, 3, 5], [3, 32, 32], true);
    let (net, state) = CellNetwork::new(&genotype, &shape, Init::Torch, (0, "test")).unwrap();
    let device = Device::flex();
    for (mode, answers) in [
        (Mode::Train(DRAWS), true),
        (Mode::Probe, false),
        (Mode::Evaluate, false),
    ] {
        let pass = Pass::new(&state, &device, mode);
        let x = Tensor::ones([2, 3, 32, 32], &device);
        let (logits, auxiliary) = net.forward(&pass, x, 0.0);
        assert_eq!(logits.dims(), [2, 5]);
        let dims = auxiliary.map(|logits| logits.dims());
        assert_eq!(dims, answers.then_some([2, 5]), "{mode:?}");
    }
}
