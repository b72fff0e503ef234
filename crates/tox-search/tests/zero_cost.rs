//! The six metrics against closed forms and an independent PyTorch implementation in float64
//! (`benches/peers/nas`).
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod support;

use burn::tensor::Tensor;
use serde_json::Value;
use std::process::Command;
use support::nas::{Fixture, Tensors, narrow, network};
use tox_data::Batch;
use tox_nn::Device;
use tox_nn::kernels::conv::Geometry;
use tox_nn::layers::{Builder, Conv, Init, Linear, Network, Pass};
use tox_nn::ops::global_average;
use tox_search::cell::{GenotypeNetwork, SupernetShape};
use tox_search::space::cells::CellGenotype;
use tox_search::zero_cost::{GRASP_STEP, Metrics, metrics};

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/nas/zero_cost.json")).unwrap()
}

fn assert_metrics(what: &str, found: &Metrics, expected: &Value, tolerance: f64, grasp: f64) {
    let found = serde_json::to_value(found).unwrap();
    for (name, expected) in expected["metrics"].as_object().unwrap() {
        let (found, expected) = (found[name].as_f64().unwrap(), expected.as_f64().unwrap());
        let tolerance = if name == "grasp" { grasp } else { tolerance };
        let error = (found / expected - 1.0).abs();
        assert!(
            error < tolerance,
            "{what}: {name} {found}, expected {expected} (off by {error:e})"
        );
    }
}

struct TwoLayers(Conv, Linear);

impl Network for TwoLayers {
    fn logits(&self, pass: &Pass<'_>, x: Tensor<4>) -> Tensor<2> {
        let x = pass.relu(self.0.forward(pass, x));
        self.1.forward(pass, global_average(x))
    }
}

/// The closed forms are derived in `benches/peers/nas/score_fixtures.py`.
#[test]
fn two_layers_have_the_closed_forms() {
    let expected = &fixture()["two_layers"];
    let mut b = Builder::new(0, "test", Init::Torch);
    let conv = b.conv("conv", 3, 2, Geometry::same(1));
    let net = TwoLayers(conv, b.linear("linear", 2, 2));
    let mut state = b.finish();
    for entry in state.params.entries().to_vec() {
        let values = &mut state.params.values[entry.range()];
        values.fill(0.0);
        if let Some(rows) = expected[&entry.name].as_array() {
            let rows = rows.iter().flat_map(|row| row.as_array().unwrap());
            values.copy_from_slice(&rows.map(|v| v.as_f64().unwrap() as f32).collect::<Vec<_>>());
        }
    }
    let mut pixels = vec![0.0; 2 * 3 * 4];
    pixels[..4].fill(1.0);
    pixels[16..20].fill(1.0);
    let batch = Batch {
        pixels,
        shape: [2, 3, 2, 2],
        labels: vec![0, 1],
    };
    let found = metrics(&net, &state, &batch, &Device::flex(), GRASP_STEP);
    assert_metrics("two layers", &found, expected, 1e-5, 2e-4);
}

fn check(name: &str, architecture: CellGenotype, file: &[u8], step: f32, grasp: f64) {
    let (info, file) = (network(name), Tensors::read(file));
    let number = |key: &str| info[key].as_u64().map(|v| v as usize);
    let shape = SupernetShape {
        channels: number("channels").unwrap(),
        cells: number("cells").or(number("n")).unwrap(),
        classes: number("classes").unwrap(),
        input: [3, 8, 8],
    };
    let (net, mut state) = GenotypeNetwork::new(&architecture, shape, (0, "test")).unwrap();
    file.set(&mut state);
    let images = file.batch("");
    assert_eq!(images.pixels, narrow(file.get("images")));
    let found = metrics(&net, &state, &images, &Device::flex(), step);
    assert_metrics(name, &found, &fixture()[name], 1e-4, grasp);
}

#[test]
fn a_genotype_has_the_metrics_that_pytorch_finds() {
    let genotype = network("darts_genotype")["genotype"]
        .as_str()
        .unwrap()
        .parse();
    let file = include_bytes!("fixtures/nas/darts_genotype.safetensors");
    check(
        "darts_genotype",
        CellGenotype::Darts(genotype.unwrap()),
        file,
        0.03,
        2e-3,
    );
}

#[test]
fn a_cell_of_nas_bench_201_has_the_metrics_that_pytorch_finds() {
    let cell = network("nb201_cell")["cell"].as_str().unwrap().parse();
    let file = include_bytes!("fixtures/nas/nb201_cell.safetensors");
    check(
        "nb201_cell",
        CellGenotype::NasBench201(cell.unwrap()),
        file,
        0.003,
        2e-3,
    );
}

/// The ops of other devices: those of Burn alone.
#[test]
fn metrics_match_without_our_kernels() {
    let program = std::env::current_exe().unwrap();
    let run = Command::new(program)
        .args(["pytorch_finds", "closed_forms"])
        .env("TOXSCREEN_KERNELS", "plain")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("3 passed"), "{text}");
}

/// Nothing is left over from one network to the next, and threads change nothing.
#[test]
fn metrics_depend_on_their_network_alone() {
    let cell = network("nb201_cell")["cell"].as_str().unwrap().parse();
    let shape = SupernetShape {
        channels: 4,
        cells: 1,
        classes: 4,
        input: [3, 16, 16],
    };
    let architecture = CellGenotype::NasBench201(cell.unwrap());
    let batch = Batch {
        pixels: (0..64 * 768)
            .map(|i| (i % 97) as f32 / 48.0 - 1.0)
            .collect(),
        shape: [64, 3, 16, 16],
        labels: (0..64).map(|i| i % 4).collect(),
    };
    let of = |seed| {
        let (net, state) = GenotypeNetwork::new(&architecture, shape, (seed, "test")).unwrap();
        metrics(&net, &state, &batch, &Device::flex(), GRASP_STEP)
    };
    let first = of(1);
    assert_ne!(of(2), first);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    assert_eq!(pool.unwrap().install(|| of(1)), first);
}
