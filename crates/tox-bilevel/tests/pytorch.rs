//! Everything against PyTorch in float64: `fixtures/bilevel.json`, which
//! `benches/peers/make_bilevel_fixtures.py` writes.
#![allow(clippy::unwrap_used)]

mod case;

use case::{close, problem};
use serde::Deserialize;
use tox_bilevel::config::{Groups, Penalty};
use tox_bilevel::hypergradient::{ForwardMode, Hypergradient, ReverseMode};
use tox_bilevel::inner::{Problem, Regulariser};
use tox_bilevel::model::Model;
use tox_bilevel::pass::Along;
use tox_bilevel::points::{Points, TrainingSet, Values};

#[derive(Deserialize)]
struct File {
    cases: Vec<Fixture>,
}

#[derive(Deserialize)]
struct Fixture {
    name: String,
    features: usize,
    hidden: Vec<usize>,
    classes: usize,
    leak: f64,
    penalty: Penalty,
    bias: bool,
    range: tox_bilevel::config::Range,
    lr: f64,
    steps: usize,
    lambda: Vec<f64>,
    clean: Vec<Vec<u8>>,
    poison: Vec<Vec<f64>>,
    labels: Vec<u16>,
    valid: Vec<Vec<u8>>,
    valid_labels: Vec<u16>,
    start: Vec<f64>,
    #[serde(rename = "final")]
    trained: Vec<f64>,
    valid_loss: f64,
    grad_poison: Vec<Vec<f64>>,
    grad_lambda: Vec<f64>,
    at_start: AtStart,
}

#[derive(Deserialize)]
struct AtStart {
    direction: Vec<f64>,
    loss: f64,
    gradient: Vec<f64>,
    hessian_direction: Vec<f64>,
    mixed_poison: Vec<Vec<f64>>,
    mixed_lambda: Vec<f64>,
}

/// Their weights are `[in][out]`, ours `[out][in]`.
fn ours(model: &Model, theirs: &[f64]) -> Vec<f64> {
    let mut w = theirs.to_vec();
    for layer in model.layers() {
        for o in 0..layer.outputs {
            for i in 0..layer.inputs {
                let at = layer.weights.start;
                w[at + o * layer.inputs + i] = theirs[at + i * layer.outputs + o];
            }
        }
    }
    w
}

fn pixels(rows: &[Vec<u8>], labels: &[u16], range: tox_bilevel::config::Range) -> Points<f64> {
    let (scale, offset) = match range {
        tox_bilevel::config::Range::Unit => (1.0 / 255.0, 0.0),
        tox_bilevel::config::Range::Symmetric => (2.0 / 255.0, -1.0),
    };
    Points {
        features: rows[0].len(),
        values: Values::Bytes {
            bytes: rows.concat().into(),
            scale,
            offset,
        },
        labels: labels.to_vec(),
    }
}

const TOLERANCE: f64 = 1e-9;

fn check(fixture: &Fixture) {
    let model = Model {
        features: fixture.features,
        hidden: fixture.hidden.clone(),
        classes: fixture.classes,
        leak: fixture.leak,
    };
    let (clean_labels, poison_labels) = fixture.labels.split_at(fixture.clean.len());
    let clean = pixels(&fixture.clean, clean_labels, fixture.range);
    let valid = pixels(&fixture.valid, &fixture.valid_labels, fixture.range);
    let poison = Points {
        features: fixture.features,
        values: Values::Reals(fixture.poison.concat()),
        labels: poison_labels.to_vec(),
    };
    let regulariser = (!fixture.lambda.is_empty()).then(|| Regulariser {
        penalty: fixture.penalty,
        groups: match fixture.lambda.len() {
            1 => Groups::One,
            _ => Groups::PerLayer,
        },
        bias: fixture.bias,
        lambda: fixture.lambda.clone(),
    });
    let start = ours(&model, &fixture.start);
    let problem = Problem {
        regulariser,
        ..problem(
            &model,
            (&clean, &poison),
            &valid,
            &start,
            (fixture.steps, fixture.lr),
        )
    };

    let reverse = ReverseMode::default().of(&problem).unwrap();
    let forward = ForwardMode::default().of(&problem).unwrap();
    for found in [reverse, forward] {
        close(&found.weights, &ours(&model, &fixture.trained), TOLERANCE);
        close(&[found.loss], &[fixture.valid_loss], TOLERANCE);
        close(&found.poison, &fixture.grad_poison.concat(), TOLERANCE);
        close(&found.lambda, &fixture.grad_lambda, TOLERANCE);
    }

    let expected = &fixture.at_start;
    let layers = model.layers();
    let mut passes = problem.passes();
    let mut gradient = vec![0.0; start.len()];
    passes.gradient(&start, &mut gradient, None);
    let v = ours(&model, &expected.direction);
    let (mut product, mut mixed) = (vec![0.0; start.len()], vec![0.0; fixture.poison.len() * 6]);
    let along = Along {
        v: &v,
        poison: None,
        trace: None,
        mixed: Some((1.0, &mut mixed)),
        rows: None,
    };
    passes.along(&start, along, &mut product);
    let mut loss = passes.loss(&start);
    if let Some(regulariser) = &problem.regulariser {
        regulariser.add_gradient(&layers, &start, &mut gradient);
        regulariser.add_along(&layers, &v, &mut product);
        let mixed = regulariser.mixed(&layers, &start, &v);
        close(&mixed, &expected.mixed_lambda, TOLERANCE);
        for (l, layer) in layers.iter().enumerate() {
            let end = if fixture.bias {
                layer.bias.end
            } else {
                layer.weights.end
            };
            let w = &start[layer.weights.start..end];
            let size: f64 = match fixture.penalty {
                Penalty::L2 => w.iter().map(|w| w * w / 2.0).sum(),
                Penalty::L1 => w.iter().map(|w| w.abs()).sum(),
            };
            loss += size * fixture.lambda.get(l).unwrap_or(&fixture.lambda[0]).exp();
        }
    }
    close(&[loss], &[expected.loss], TOLERANCE);
    close(&gradient, &ours(&model, &expected.gradient), TOLERANCE);
    close(
        &product,
        &ours(&model, &expected.hessian_direction),
        TOLERANCE,
    );
    close(&mixed, &expected.mixed_poison.concat(), TOLERANCE);
}

#[test]
fn every_derivative_agrees_with_pytorch() {
    let file: File = serde_json::from_str(include_str!("fixtures/bilevel.json")).unwrap();
    assert_eq!(file.cases.len(), 12);
    for fixture in &file.cases {
        println!("{}", fixture.name);
        check(fixture);
    }
}

#[derive(Deserialize)]
struct WeighedFile {
    cases: Vec<Weighed>,
}

#[derive(Deserialize)]
struct Weighed {
    name: String,
    hidden: Vec<usize>,
    classes: usize,
    leak: f64,
    lr: f64,
    steps: usize,
    start: Vec<f64>,
    rows: Vec<Vec<f64>>,
    labels: Vec<u16>,
    valid: Vec<Vec<f64>>,
    valid_labels: Vec<u16>,
    row_weights: Vec<f64>,
    #[serde(rename = "final")]
    trained: Vec<f64>,
    valid_loss: f64,
    gradient: Vec<f64>,
}

/// `fixtures/row_weights.json` is of `benches/peers/make_row_weight_fixtures.py`.
#[test]
fn a_training_of_weighed_rows_and_its_derivatives_are_pytorchs() {
    let file: WeighedFile =
        serde_json::from_str(include_str!("fixtures/row_weights.json")).unwrap();
    assert_eq!(file.cases.len(), 4);
    let points = |rows: &[Vec<f64>], labels: &[u16]| Points {
        features: rows[0].len(),
        values: Values::Reals(rows.concat()),
        labels: labels.to_vec(),
    };
    for case in file.cases {
        println!("{}", case.name);
        let model = Model {
            features: case.rows[0].len(),
            hidden: case.hidden,
            classes: case.classes,
            leak: case.leak,
        };
        let (train, none) = (
            points(&case.rows, &case.labels),
            Points::none(model.features),
        );
        let problem = Problem {
            model: &model,
            train: TrainingSet::of(&train, &none),
            valid: &points(&case.valid, &case.valid_labels),
            regulariser: None,
            start: &ours(&model, &case.start),
            steps: case.steps,
            lr: case.lr,
        };
        let mode = ReverseMode::default();
        let (found, by_weight) = mode.by_weights(&problem, &case.row_weights).unwrap();
        close(&found.weights, &ours(&model, &case.trained), 1e-12);
        close(&[found.loss], &[case.valid_loss], 1e-12);
        close(&by_weight, &case.gradient, 1e-10);
    }
}
