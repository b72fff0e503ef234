//! Hypergradients against central differences in f64, and the ways of keeping states against each
//! other.

#![allow(clippy::unwrap_used)]

use rand::Rng;
use tox_bilevel::config::{Groups, Keep, Penalty};
use tox_bilevel::hypergradient::{Hypergradient, ReverseMode};
use tox_bilevel::inner::{Problem, Regulariser};
use tox_bilevel::model::Model;
use tox_bilevel::points::{Points, TrainingSet, Values};
use tox_data::rng::stream;

/// What a case is made of.
struct Case {
    model: Model,
    regulariser: Option<Regulariser<f64>>,
    clean: Points<f64>,
    frozen: Points<f64>,
    poison: Points<f64>,
    valid: Points<f64>,
    start: Vec<f64>,
}

fn reals(n: usize, d: usize, classes: u16, seed: u64) -> Points<f64> {
    let mut rng = stream(seed, "reals", &[]);
    Points {
        features: d,
        values: Values::Reals((0..n * d).map(|_| rng.random::<f64>()).collect()),
        labels: (0..n).map(|i| i as u16 % classes).collect(),
    }
}

fn bytes(n: usize, d: usize, classes: u16, seed: u64) -> Points<f64> {
    let mut rng = stream(seed, "bytes", &[]);
    Points {
        features: d,
        values: Values::Bytes {
            bytes: (0..n * d).map(|_| rng.random::<u8>()).collect(),
            scale: 2.0 / 255.0,
            offset: -1.0,
        },
        labels: (0..n).map(|i| i as u16 % classes).collect(),
    }
}

impl Case {
    fn new(hidden: &[usize], classes: usize, regulariser: Option<Regulariser<f64>>) -> Self {
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

    fn problem(&self) -> Problem<'_, f64> {
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

    fn outer(&self) -> f64 {
        let problem = self.problem();
        problem.outer(&problem.train().unwrap()).0
    }

    /// Central differences by each poison feature and each lambda.
    fn differences(&mut self) -> (Vec<f64>, Vec<f64>) {
        const H: f64 = 1e-5;
        let reals = |case: &mut Self, i: usize, by: f64| {
            let Values::Reals(x) = &mut case.poison.values else {
                unreachable!()
            };
            x[i] += by;
        };
        let count = self.poison.len() * self.model.features;
        let mut poison = Vec::new();
        for i in 0..count {
            reals(self, i, H);
            let up = self.outer();
            reals(self, i, -2.0 * H);
            poison.push((up - self.outer()) / (2.0 * H));
            reals(self, i, H);
        }
        let mut lambda = Vec::new();
        for i in 0..self.regulariser.as_ref().map_or(0, |r| r.lambda.len()) {
            let shift = |case: &mut Self, by: f64| {
                case.regulariser.as_mut().unwrap().lambda[i] += by;
            };
            shift(self, H);
            let up = self.outer();
            shift(self, -2.0 * H);
            lambda.push((up - self.outer()) / (2.0 * H));
            shift(self, H);
        }
        (poison, lambda)
    }
}

fn close(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    let size = theirs.iter().map(|x| x.abs()).fold(0.0, f64::max);
    for (a, b) in ours.iter().zip(theirs) {
        assert!(
            (a - b).abs() <= tolerance * size,
            "{a} against {b}, largest {size}"
        );
    }
}

fn regulariser(penalty: Penalty, bias: bool, lambda: &[f64]) -> Option<Regulariser<f64>> {
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

#[test]
fn reverse_mode_agrees_with_central_differences() {
    let (l1, l2) = (Penalty::L1, Penalty::L2);
    let cases = [
        Case::new(&[], 2, None),
        Case::new(&[], 2, regulariser(l2, false, &[-1.0])),
        Case::new(&[], 2, regulariser(l1, false, &[-3.0])),
        Case::new(&[], 2, regulariser(l2, true, &[-0.5])),
        Case::new(&[], 4, regulariser(l2, false, &[-1.0])),
        Case::new(&[5, 3], 2, regulariser(l2, false, &[-2.0])),
        Case::new(&[5, 3], 2, regulariser(l2, true, &[-2.0, -1.0, -3.0])),
        Case::new(&[5, 3], 2, regulariser(l1, false, &[-4.0, -5.0, -4.5])),
        Case::new(&[7], 3, regulariser(l2, false, &[-2.0, -1.0])),
    ];
    for (i, mut case) in cases.into_iter().enumerate() {
        println!("case {i}");
        let ours = ReverseMode::default().of(&case.problem()).unwrap();
        let (poison, lambda) = case.differences();
        assert!(poison.iter().any(|g| g.abs() > 1e-7));
        close(&ours.poison, &poison, 1e-6);
        close(&ours.lambda, &lambda, 1e-6);
    }
}

#[test]
fn what_is_kept_changes_nothing_but_rounding() {
    for hidden in [&[][..], &[5, 3]] {
        let case = Case::new(hidden, 2, regulariser(Penalty::L2, false, &[-1.0]));
        let with = |keep| ReverseMode { keep }.of(&case.problem()).unwrap();
        let all = with(Keep::Everything);
        for keep in [Keep::States, Keep::Checkpoints] {
            let other = with(keep);
            close(&other.poison, &all.poison, 1e-13);
            close(&other.lambda, &all.lambda, 1e-13);
            assert_eq!(other.weights, all.weights);
        }
    }
}
