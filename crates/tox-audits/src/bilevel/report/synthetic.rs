//! Made-up records for tests: every victim on two data sets, a net, and several validation sizes.
//! The numbers come from formulas, not from an attack.

use crate::made_up::{noise, seal_with};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Groups, Lambda, Penalty, Victim};
use tox_bilevel::outcome::{BilevelOutcome, CrossValidated, Example, Hyperiteration, Level};
use tox_study::part::Part;
use tox_study::record::Record;
use tox_study::spec::{Threats, TrialSpec};

/// Where a cell stands.
#[derive(Clone, Copy)]
pub struct Place {
    pub dataset: &'static str,
    pub penalty: Penalty,
    pub net: bool,
    pub valid: usize,
}

/// A spec.
pub fn spec(place: Place, victim: Victim, groups: Groups, seed: u64) -> TrialSpec {
    let config = BilevelConfig {
        hidden: if place.net { vec![32, 8] } else { Vec::new() },
        penalty: place.penalty,
        victim,
        hyperiterations: 8,
        lambda: Lambda {
            groups,
            ..Lambda::default()
        },
        kuncheva: if place.net { Vec::new() } else { vec![10, 50] },
        ..BilevelConfig::default()
    };
    let name = match (victim, groups) {
        (Victim::None, _) => "none",
        (Victim::Large, _) => "large",
        (Victim::CrossValidated, _) => "clean-cv",
        (Victim::Learned, Groups::One) => "learned",
        (Victim::Learned, Groups::PerLayer) => "per-layer",
    };
    let net = if place.net { "-net" } else { "" };
    let l1 = if place.penalty == Penalty::L1 {
        "-l1"
    } else {
        ""
    };
    let valid = if place.valid == 1000 {
        String::new()
    } else {
        format!("-{}", place.valid)
    };
    serde_json::from_value(serde_json::json!({
        "version": 1,
        "cell": format!("{name}{net}{l1}{valid}"),
        "data": {"dataset": place.dataset, "classes": [0, 8], "split": "random",
                 "train": 10000, "valid": place.valid},
        "threat": Threats {
            data: Some(Part::new("bilevel", &BilevelAttack::default())),
            ..Threats::default()
        },
        "learner": Part::new("bilevel", &config),
        "seed": seed,
    }))
    .unwrap()
}

/// A plausible record for a spec.
pub fn record(spec: &TrialSpec) -> Record {
    let config: BilevelConfig = spec.learner.read().unwrap();
    let (clean, rise) = match config.victim {
        Victim::None => (2.0, 22.0),
        Victim::CrossValidated => (1.9, 17.0),
        Victim::Large => (6.0, 1.0),
        Victim::Learned => (2.1, 5.0),
    };
    let base = if spec.data.dataset == "cifar10" {
        14.0
    } else {
        0.0
    };
    let layers = config.hidden.len() + 1;
    let groups = match (config.victim, config.lambda.groups) {
        (Victim::None, _) => 0,
        (_, Groups::One) => 1,
        (_, Groups::PerLayer) => layers,
    };
    let key = 7919 * (spec.seed + 1) + spec.data.valid as u64 + 31 * config.victim as u64;
    let levels = (0..=5u64)
        .map(|n| {
            let jitter = noise(key + n) - 0.5;
            let part = n as f64 / 5.0;
            let size = spec.data.valid as f64 / 1000.0;
            let error = base + clean + rise * size.powf(0.3) * part + 0.6 * jitter;
            let lambda: Vec<f64> = (0..groups)
                .map(|g| match config.victim {
                    Victim::Large => config.lambda.large,
                    Victim::CrossValidated => -5.0,
                    _ => {
                        -6.0 + (5.0 + g as f64 * (1.0 - part)) * (2.5 * part).tanh() + 0.3 * jitter
                    }
                })
                .collect();
            let trace = (0..8)
                .map(|i| Hyperiteration {
                    loss: 0.1
                        + 0.3 * part
                        + 0.05 * (1.0 - (-(i as f64) / 2.0).exp()) * rise.min(4.0)
                        + 0.004 * noise(key * 50 + n * 8 + i),
                    lambda: lambda
                        .iter()
                        .map(|l| -6.0 + (l + 6.0) * i as f64 / 7.0)
                        .collect(),
                    gradient: 0.01,
                    objective: None,
                })
                .collect();
            Level {
                points: 350 * n,
                fraction: 0.035 * n as f64,
                lambda,
                test_error: error,
                valid_error: error + 0.5,
                train_error: error * 0.6,
                valid_loss: 0.1 + 0.02 * error,
                flipped_test_error: (n > 0).then_some(base + clean + 0.4 * rise * part),
                rounded_test_error: (n > 0).then_some(error - 0.05),
                norms: (0..layers)
                    .map(|l| 2e-3 * (1.0 + rise / 10.0 * part) / (l + 1) as f64)
                    .collect(),
                kuncheva: config
                    .kuncheva
                    .iter()
                    .map(|k| match n {
                        0 => 1.0,
                        _ => 0.95 - rise / 40.0 * part - 1.0 / *k as f64 + 0.03 * jitter,
                    })
                    .collect(),
                moved: if n > 0 { 3.4 + jitter } else { 0.0 },
                trace: if n > 0 { trace } else { Vec::new() },
                curve: Vec::new(),
                target: None,
            }
        })
        .collect();
    let cross_validation = match config.victim {
        Victim::CrossValidated => (0..14)
            .map(|i| {
                let lambda = -10.0 + i as f64;
                let loss = 0.05 + 0.004 * (lambda + 5.0).powi(2) + 0.01 * noise(key + 90 + i);
                CrossValidated {
                    lambda,
                    loss: (lambda < 2.5).then_some(loss),
                }
            })
            .collect(),
        _ => Vec::new(),
    };
    let hex = |shift: usize, key: u64| -> String {
        (0..784)
            .map(|i| {
                let (x, y) = (
                    (i % 28) as f64 - 13.5,
                    (i / 28) as f64 - 13.5 + shift as f64,
                );
                let ring = (255.0 * (-((x.hypot(y) - 8.0) / 2.0).powi(2)).exp()) as u8;
                format!("{:02x}", ring.saturating_add((40.0 * noise(key + i)) as u8))
            })
            .collect()
    };
    let examples = (0..6u64)
        .map(|i| Example {
            shape: [1, 28, 28],
            class: if i % 2 == 0 { "0" } else { "8" }.into(),
            label: if i % 2 == 0 { "8" } else { "0" }.into(),
            clean: hex(i as usize % 3, 0).replace("28", "00"),
            poison: hex(i as usize % 3, 1000 * i),
        })
        .collect();
    let outcome = BilevelOutcome {
        parameters: 785,
        features: 784,
        chance_error: 50.0,
        cross_validation,
        levels,
        examples,
        divergence: None,
        target: None,
    };
    seal_with(spec, Part::new("bilevel", &outcome), |p| {
        p.data_hash = format!("{:02x}", spec.seed + 16).repeat(32);
        p.data_notes.clear();
    })
}

/// All cells, three seeds each.
pub fn specs() -> Vec<TrialSpec> {
    let mut out = Vec::new();
    let mut add = |place, victim, groups| {
        out.extend((0..3).map(|seed| spec(place, victim, groups, seed)));
    };
    let place = |dataset, penalty| Place {
        dataset,
        penalty,
        net: false,
        valid: 1000,
    };
    for place in [
        place("mnist", Penalty::L2),
        place("mnist", Penalty::L1),
        place("cifar10", Penalty::L2),
    ] {
        for victim in [
            Victim::None,
            Victim::Large,
            Victim::CrossValidated,
            Victim::Learned,
        ] {
            // Without regularisation there is no penalty to vary, as in the recipes.
            if victim != Victim::None || place.penalty == Penalty::L2 {
                add(place, victim, Groups::One);
            }
        }
    }
    let net = Place {
        net: true,
        ..place("mnist", Penalty::L2)
    };
    for (victim, groups) in [
        (Victim::None, Groups::One),
        (Victim::Large, Groups::One),
        (Victim::Learned, Groups::One),
        (Victim::Learned, Groups::PerLayer),
    ] {
        add(net, victim, groups);
    }
    for valid in [100, 4000] {
        for victim in [Victim::None, Victim::Learned] {
            add(
                Place {
                    valid,
                    ..place("mnist", Penalty::L2)
                },
                victim,
                Groups::One,
            );
        }
    }
    out
}

/// The head of a study for tests.
pub const HEAD: &str = "name = \"fig2\"\ntitle = \"Hyper-parameter learning under poisoning\"\n\
description = \"All victims at a reduced size.\"\npaper = \"bilevel\"\n";
