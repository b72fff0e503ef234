//! Steps of searches, trainings and attacks on a device, for what is counted of them from outside (`benches/gpu`):
//! `steps KIND N DEVICE` makes a step of the kind N times. Sizes are small: of what a step asks of a device, only
//! bytes depend on them.

use std::error::Error;
use tox_data::{Batch, Normalise};
use tox_nn::fit::Trainer as FitTrainer;
use tox_nn::layers::Draws;
use tox_nn::nets::wrn::{INIT, Shape, WrnConfig, wrn};
use tox_nn::{Device, device};
use tox_robust::training::{Objective, TrainingConfig};
use tox_robust::{Attack, Ball, Model, Norm, Oracle, Points, predicted};
use tox_search::cell::SupernetShape;
use tox_search::enas::child::{Architecture, Child, Choice, Mode};
use tox_search::enas::config::ChildConfig;
use tox_search::enas::train::Trainer;
use tox_search::pdarts::config::PdartsConfig;
use tox_search::pdarts::learner::Learner;
use tox_search::space::Space;
use tox_search::space::cells::CellSpace;

const KINDS: &str = "enas, pdarts, pgd-linf, pgd-l2 or trades";

fn batch(n: usize, side: usize) -> Batch {
    let shape = [n, 3, side, side];
    let values = 0..shape.iter().product();
    Batch {
        pixels: values
            .map(|i| 0.5 + 0.5 * (i as f32 * 0.37).sin())
            .collect(),
        shape,
        labels: (0..n as u16).map(|i| i % 10).collect(),
    }
}

/// 12 layers of 8 channels with 38 skips, each op three times; 16 images of 8x8.
fn enas(n: u64, device: Device) {
    let (space, batch) = (Space::enas(), batch(16, 8));
    let config = ChildConfig {
        channels: 8,
        ..ChildConfig::default()
    };
    let skip = |layer: usize, from: usize| (7 * layer + 3 * from) % 12 < 7;
    let layers = (0..config.layers).map(|i| Choice {
        op: i % space.ops.len(),
        skips: (0..i).map(|j| skip(i, j)).collect(),
    });
    let architecture = Architecture {
        layers: layers.collect(),
    };
    let skips = architecture.layers.iter().flat_map(|layer| &layer.skips);
    println!("{} skips", skips.filter(|on| **on).count());
    let child = Child::new(&space, &config, 3, 10, 0, "steps");
    let mut trainer = Trainer::new(child, &config, device);
    for step in 0..n {
        let mode = Mode::Train {
            seed: 0,
            network: "steps",
            step,
        };
        trainer.step(&batch, &architecture, mode, 0.01);
    }
}

/// The weights' half of a step: 3 cells of 4 channels, all 8 ops on every edge; 8 images of 8x8.
fn pdarts(n: u64, device: Device) -> Result<(), Box<dyn Error>> {
    let (config, batch) = (PdartsConfig::default(), batch(8, 8));
    let candidates = vec![vec![(0..8).collect::<Vec<usize>>(); 14]; 2];
    let shape = SupernetShape {
        channels: 4,
        cells: 3,
        classes: 10,
        input: [3, 8, 8],
    };
    let space = CellSpace::Darts;
    let mut learner = Learner::new(space, &candidates, shape, &config, (0, "steps"), device)?;
    for step in 0..n {
        let draws = Draws {
            seed: 0,
            network: "steps",
            step,
        };
        learner.weight_step(&batch, draws, (0.0, 0.01));
    }
    Ok(())
}

/// PGD-20 of 8 images of 16x16, or a step of TRADES with its 10 steps of the adversary, on `wrn-10-1`.
fn robust(kind: &str, n: u64, device: Device) -> Result<(), Box<dyn Error>> {
    let batch = batch(8, 16);
    let config = WrnConfig::new(Shape::parse("wrn-10-1")?, 3, 10);
    let (network, state) = wrn(&config, INIT, (0, "steps"));
    let normalise = Normalise {
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
    };
    if kind == "trades" {
        let config = TrainingConfig::default();
        let objective = Objective {
            config: &config,
            normalise: &normalise,
            classes: 10,
            device: device.clone(),
        };
        println!("{} steps of the adversary", config.attack.steps);
        let mut trainer = FitTrainer::new(network, state, &config.fit(), device);
        for step in 0..n {
            let draws = Draws {
                seed: 0,
                network: "steps",
                step,
            };
            let model = (&trainer.network, &trainer.state);
            let start = || batch.pixels.iter().map(|v| (v + 0.001).min(1.0)).collect();
            let adversarial = objective.adversarial(model, &batch, start);
            objective.step(&mut trainer, (&batch, adversarial.as_deref()), draws, 0.01);
        }
        return Ok(());
    }
    let sizes = ([3, 16, 16], 10);
    // What the CPU answers is right, so that no image is fooled before the first step.
    let model = Model::new(&network, &state, &normalise, sizes, Device::flex());
    let answers = model.logits(&batch.pixels);
    let answers = answers
        .chunks(10)
        .map(|row| predicted(row).unwrap_or(0) as u16);
    let labels: Vec<u16> = answers.collect();
    let (norm, epsilon) = match kind {
        "pgd-l2" => (Norm::L2, 0.5),
        _ => (Norm::Linf, 8.0 / 255.0),
    };
    let (attack, ball): (Attack, _) = ("pgd20".parse()?, Ball { norm, epsilon });
    let model = Model::new(&network, &state, &normalise, sizes, device);
    for seed in 0..n {
        attack.run(&model, Points::new(&batch.pixels, &labels), ball, seed);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [kind, n, name] = &given[..] else {
        return Err(format!("expected {KINDS}, how often, and a device such as vulkan:0").into());
    };
    let (n, device) = (n.parse()?, device::parse(name)?);
    match kind.as_str() {
        "enas" => enas(n, device),
        "pdarts" => pdarts(n, device)?,
        "pgd-linf" | "pgd-l2" | "trades" => robust(kind, n, device)?,
        _ => return Err(format!("`{kind}` is none of {KINDS}").into()),
    }
    Ok(())
}
