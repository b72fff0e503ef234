//! Small problems that several test programs solve.
#![allow(dead_code)]

use rand::RngExt;
use tox_bilevel::config::{Groups, Penalty};
use tox_bilevel::inner::{Problem, Regulariser};
use tox_bilevel::model::Model;
use tox_bilevel::points::{Points, TrainingSet, Values};
use tox_data::rng::stream;

/// What a case is made of.
pub struct Case {
    pub model: Model,
    pub regulariser: Option<Regulariser<f64>>,
    pub clean: Points<f64>,
    pub frozen: Points<f64>,
    pub poison: Points<f64>,
    pub valid: Points<f64>,
    pub start: Vec<f64>,
}

pub fn reals(n: usize, d: usize, classes: u16, seed: u64) -> Points<f64> {
    let mut rng = stream(seed, "reals", &[]);
    Points {
        features: d,
        values: Values::Reals((0..n * d).map(|_| rng.random::<f64>()).collect()),
        labels: (0..n).map(|i| i as u16 % classes).collect(),
    }
}

pub fn bytes(n: usize, d: usize, classes: u16, seed: u64) -> Points<f64> {
    let mut rng = stream(seed, "bytes", &[]);
    Points {
        features: d,
        values: Values::Bytes {
            bytes: (0..n * d)
                .map(|_| rng.random::<u8>())
                .collect::<Vec<_>>()
                .into(),
            scale: 2.0 / 255.0,
            offset: -1.0,
        },
        labels: (0..n).map(|i| i as u16 % classes).collect(),
    }
}

/// A problem without a penalty.
pub fn problem<'a, F>(
    model: &'a Model,
    train: (&'a Points<F>, &'a Points<F>),
    valid: &'a Points<F>,
    start: &'a [F],
    (steps, lr): (usize, F),
) -> Problem<'a, F> {
    let (clean, poison) = train;
    let fixed = vec![clean];
    Problem {
        train: TrainingSet { fixed, poison },
        regulariser: None,
        model,
        valid,
        start,
        steps,
        lr,
    }
}

impl Case {
    /// Every kind of model and penalty.
    pub fn all() -> Vec<Self> {
        let (l1, l2) = (Penalty::L1, Penalty::L2);
        vec![
            Case::new(&[], 2, None),
            Case::new(&[], 2, regulariser(l2, false, &[-1.0])),
            Case::new(&[], 2, regulariser(l1, false, &[-3.0])),
            Case::new(&[], 2, regulariser(l2, true, &[-0.5])),
            Case::new(&[], 4, regulariser(l2, false, &[-1.0])),
            Case::new(&[5, 3], 2, regulariser(l2, false, &[-2.0])),
            Case::new(&[5, 3], 2, regulariser(l2, true, &[-2.0, -1.0, -3.0])),
            Case::new(&[5, 3], 2, regulariser(l1, false, &[-4.0, -5.0, -4.5])),
            Case::new(&[7], 3, regulariser(l2, false, &[-2.0, -1.0])),
        ]
    }

    pub fn new(hidden: &[usize], classes: usize, regulariser: Option<Regulariser<f64>>) -> Self {
        let (d, c) = (6, classes as u16);
        let model = Model {
            features: d,
            hidden: hidden.to_vec(),
            classes,
            leak: 0.01,
        };
        let mut rng = stream(3, "start", &[]);
        // Weights well away from the kink of L1.
        let weight =
            |_| (0.2 + rng.random::<f64>()) * if rng.random::<bool>() { 1.0 } else { -1.0 };
        Self {
            start: (0..model.parameters()).map(weight).collect(),
            model,
            regulariser,
            clean: bytes(70, d, c, 1),
            frozen: reals(5, d, c, 2),
            poison: reals(4, d, c, 4),
            valid: bytes(9, d, c, 5),
        }
    }

    pub fn problem(&self) -> Problem<'_, f64> {
        Problem {
            model: &self.model,
            train: TrainingSet {
                fixed: vec![&self.clean, &self.frozen],
                poison: &self.poison,
            },
            valid: &self.valid,
            regulariser: self.regulariser.clone(),
            start: &self.start,
            steps: 11,
            lr: 0.3,
        }
    }
}

pub fn close(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    let size = theirs.iter().map(|x| x.abs()).fold(0.0, f64::max);
    for (a, b) in ours.iter().zip(theirs) {
        assert!(
            (a - b).abs() <= tolerance * size,
            "{a} against {b}, largest {size}"
        );
    }
}

pub fn regulariser(penalty: Penalty, bias: bool, lambda: &[f64]) -> Option<Regulariser<f64>> {
    Some(Regulariser {
        penalty,
        groups: if lambda.len() == 1 {
            Groups::One
        } else {
            Groups::PerLayer
        },
        bias,
        lambda: lambda.to_vec(),
    })
}
