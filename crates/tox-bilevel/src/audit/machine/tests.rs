//! Algorithm 2, step by step, against PyTorch in f64 (`benches/peers/make_bilevel_fixtures.py`).
#![allow(clippy::unwrap_used)]

use super::{Audit, Inputs};
use crate::config::{BilevelAttack, BilevelConfig, Norm, Penalty, Victim};
use crate::points::{Points, Values};
use crate::sets::Sets;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    clean: Vec<Vec<u8>>,
    labels: Vec<u16>,
    valid: Vec<Vec<u8>>,
    valid_labels: Vec<u16>,
    lambda: Lambda,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Lambda {
    start: f64,
    min: f64,
    max: f64,
    lr: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    norm: Norm,
    alpha: f64,
    penalty: Penalty,
    lr: f64,
    steps: usize,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Batch {
    indices: Vec<usize>,
    trace: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    gradient: f64,
    lambda_after: Vec<f64>,
    poison_after: Vec<Vec<f64>>,
}

fn points(rows: &[Vec<u8>], labels: &[u16]) -> Points<f32> {
    Points {
        features: rows[0].len(),
        values: Values::Bytes {
            bytes: rows.concat().into(),
            scale: 1.0 / 255.0,
            offset: 0.0,
        },
        labels: labels.to_vec(),
    }
}

fn close(ours: f64, theirs: f64, tolerance: f64, what: &str) {
    let error = (ours - theirs).abs();
    assert!(
        error <= tolerance * theirs.abs().max(1e-3),
        "{what}: {ours} for {theirs}"
    );
}

#[test]
fn every_step_is_that_of_pytorch() {
    let text = include_str!("../../../tests/fixtures/algorithm2.json");
    let fixture: Fixture = serde_json::from_str(text).unwrap();
    let train = points(&fixture.clean, &fixture.labels);
    let valid = points(&fixture.valid, &fixture.valid_labels);
    let features = train.features;
    let sets = Sets {
        test: valid.clone(),
        train,
        valid,
        class_names: vec!["3".into(), "8".into()],
        low: vec![0.0; features],
        high: vec![1.0; features],
        shape: None,
        target: None,
    };
    assert_eq!(fixture.cases.len(), 3);
    for case in &fixture.cases {
        let hyperiterations = case.batches[0].trace.len();
        let mut config = BilevelConfig {
            victim: Victim::Learned,
            penalty: case.penalty,
            hyperiterations,
            kuncheva: Vec::new(),
            ..BilevelConfig::default()
        };
        config.inner.steps = case.steps;
        config.inner.lr = case.lr;
        config.lambda.start = fixture.lambda.start;
        config.lambda.min = fixture.lambda.min;
        config.lambda.max = fixture.lambda.max;
        config.lambda.lr = fixture.lambda.lr;
        let attack = BilevelAttack {
            batch: case.batches[0].indices.len(),
            batches: case.batches.len(),
            lr: case.alpha,
            norm: case.norm,
            target: None,
        };
        let inputs = Inputs {
            sets: &sets,
            config: &config,
            attack: Some(&attack),
            seed: 0,
        };
        // The slope of L1 jumps at 0, around which weights swing: there f32's rounding decides.
        let [loss, gradient, poison] = match case.penalty {
            Penalty::L2 => [1e-5, 1e-4, 2e-4],
            Penalty::L1 => [2e-3, 1e-2, 2e-2],
        };
        let mut audit = Audit::new(&inputs, &[]);
        audit.order = case
            .batches
            .iter()
            .flat_map(|b| b.indices.clone())
            .collect();
        // The clean level: its hyperiterations and its measurement.
        for _ in 0..=hyperiterations {
            audit.step().unwrap();
        }
        for (b, batch) in case.batches.iter().enumerate() {
            for (t, expected) in batch.trace.iter().enumerate() {
                let what = |name: &str| format!("{}, batch {b}, step {t}, {name}", case.name);
                audit.step().unwrap();
                let found = &audit.state.trace[t];
                close(found.loss, expected.loss, loss, &what("loss"));
                close(
                    found.gradient,
                    expected.gradient,
                    gradient,
                    &what("gradient"),
                );
                close(
                    audit.state.lambda[0],
                    expected.lambda_after[0],
                    1e-12,
                    &what("lambda"),
                );
                let size = expected.poison_after.len() * features;
                let ours = &audit.poison.values[b * size..];
                let theirs = expected.poison_after.concat();
                assert_eq!(ours.len(), theirs.len());
                for (&ours, theirs) in ours.iter().zip(theirs) {
                    let error = (f64::from(ours) - theirs).abs();
                    assert!(error < poison, "{}: {ours} for {theirs}", what("poison"));
                }
            }
            audit.step().unwrap();
            assert_eq!(audit.state.levels.len(), b + 2);
        }
    }
}
