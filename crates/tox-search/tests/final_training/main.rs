//! The final training: what drop path and auxiliary head add to it, and whole trainings on real digits
//! and CIFAR-10.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

mod learning;
mod loss;
mod settings;
#[path = "../support/shapes.rs"]
mod shapes;
mod stops;

use std::cell::Cell;
use tox_data::Dataset;
use tox_data::spec::DataSpec;
use tox_nn::Device;
use tox_nn::layers::State;
use tox_search::cell::SupernetShape;
use tox_search::final_training::{FinalConfig, FinalError, Inputs, Trained, run};
use tox_search::space::cells::CellGenotype;
use tox_testkit::stops::told;
use tox_testkit::{DARTS_V2, data};

/// The best cell of the table on CIFAR-10.
const BEST: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|\
    nor_conv_3x3~1|nor_conv_1x1~2|";

fn v2() -> CellGenotype {
    CellGenotype::Darts(DARTS_V2.parse().unwrap())
}

fn best() -> CellGenotype {
    CellGenotype::NasBench201(BEST.parse().unwrap())
}

fn shape([channels, cells]: [usize; 2], classes: usize, input: [usize; 3]) -> SupernetShape {
    SupernetShape {
        channels,
        cells,
        classes,
        input,
    }
}

fn digits(train: usize, resize: Option<usize>) -> Dataset {
    data::of(&DataSpec {
        train: Some(train),
        test: Some(150),
        resize,
        ..DataSpec::of("digits", 32)
    })
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
    let inputs = Inputs {
        data,
        config,
        seed: 3,
        device: Device::flex(),
    };
    let before = Cell::new(0.0);
    let progress = &mut |done: f64, message: &str| {
        let last = before.replace(done);
        assert!((last..=1.0).contains(&done), "{done} after {last}");
        assert!(message.starts_with("final, "), "{message}");
    };
    told(steps, progress, |hooks| {
        before.set(0.0);
        run(genotype, &inputs, hooks)
    })
}

fn trained(genotype: &CellGenotype, data: &Dataset, config: &FinalConfig) -> Trained {
    interrupted(genotype, data, config, usize::MAX).0.unwrap()
}

fn bits(state: &State) -> (Vec<u32>, Vec<u64>) {
    let values = state.params.values.iter().chain(&state.running.values);
    let bits = values.map(|v| v.to_bits()).collect();
    (bits, state.running.batches.clone())
}
