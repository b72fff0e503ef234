//! The converged learner against minima worked by hand and found by scikit-learn, and the adversary's
//! hypergradient there against finite differences.

use tox_bilevel::Products;
use tox_bilevel::config::Penalty;
use tox_bilevel::converge::{Minimum, Stop, minimise, minimise_weighed};
use tox_bilevel::hypergradient::at_optimum;
use tox_bilevel::inner::{Problem, Regulariser};
use tox_bilevel::model::Model;
use tox_bilevel::pass::Passes;
use tox_bilevel::points::{Points, TrainingSet, Values};

const EXACT: Stop = Stop {
    slope: 1e-11,
    iterations: 10_000,
};

fn model(features: usize, classes: usize) -> Model {
    Model {
        features,
        hidden: Vec::new(),
        classes,
        leak: 0.0,
    }
}

fn points<F: Products>(features: usize, values: &[f64], labels: &[u16]) -> Points<F> {
    Points {
        features,
        values: Values::Reals(values.iter().map(|&x| F::of(x)).collect()),
        labels: labels.to_vec(),
    }
}

/// Trains on `train` and `poison` with a penalty of strength `exp(lambda)`.
fn fit<F: Products>(
    model: &Model,
    train: &Points<F>,
    poison: &Points<F>,
    (penalty, lambda): (Penalty, f64),
    stop: Stop,
) -> Minimum<F> {
    let start = vec![F::zero(); model.parameters()];
    minimise(
        &problem(model, train, poison, train, (penalty, lambda), &start),
        &start,
        stop,
    )
}

fn problem<'a, F: Products>(
    model: &'a Model,
    train: &'a Points<F>,
    poison: &'a Points<F>,
    valid: &'a Points<F>,
    (penalty, lambda): (Penalty, f64),
    start: &'a [F],
) -> Problem<'a, F> {
    Problem {
        model,
        train: TrainingSet::of(train, poison),
        valid,
        regulariser: Some(Regulariser::one(penalty, F::of(lambda))),
        start,
        steps: 1,
        lr: F::one(),
    }
}

#[test]
fn one_feature_by_hand() {
    let (model, none) = (model(1, 2), Points::none(1));
    let train = points::<f64>(1, &[1.0, -1.0], &[1, 0]);
    // L2: s w = 1 / (1 + e^w), which w = 1 solves for s = 1 / (1 + e).
    let s = 1.0 / (1.0 + 1f64.exp());
    let found = fit(&model, &train, &none, (Penalty::L2, s.ln()), EXACT);
    assert!(
        found.converged && (found.weights[0] - 1.0).abs() < 1e-9,
        "{found:?}"
    );
    assert!(found.weights[1].abs() < 1e-9);
    // L1: s = 1 / (1 + e^w), so s = 1/4 gives ln 3, and from s = 1/2 on the weight is 0, exactly.
    let found = fit(&model, &train, &none, (Penalty::L1, 0.25f64.ln()), EXACT);
    assert!(
        found.converged && (found.weights[0] - 3f64.ln()).abs() < 1e-9,
        "{found:?}"
    );
    let found = fit(&model, &train, &none, (Penalty::L1, 0.51f64.ln()), EXACT);
    assert!(found.converged && found.weights[0] == 0.0, "{found:?}");
}

/// 40 rows of three features and two ways to label them.
fn rows() -> (Vec<f64>, Vec<u16>, Vec<u16>) {
    let at = |i: usize, j: usize| {
        let (i, j) = (i as f64, j as f64);
        (1.7 * i + 2.3 * j + 0.1 * i * j).sin() * (1.0 + j)
    };
    let values: Vec<f64> = (0..40)
        .flat_map(|i| (0..3).map(move |j| at(i, j)))
        .collect();
    let two = (0..40).map(|i| u16::from(at(i, 0) + 0.5 * (3.1 * i as f64).cos() > 0.0));
    let three = (0..40).map(|i| match (at(i, 0) > 0.4, at(i, 2) > 0.0) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    });
    let (two, three) = (two.collect(), three.collect());
    (values, two, three)
}

#[test]
fn minima_are_those_of_scikit_learn() {
    let (values, two, three) = rows();
    let (train, none) = (points::<f64>(3, &values, &two), Points::none(3));
    let close = |found: &Minimum<f64>, expected: &[f64], off: f64| {
        assert!(found.converged, "{found:?}");
        for (a, b) in found.weights.iter().zip(expected) {
            assert!((a - b).abs() < off, "{found:?}, expected {expected:?}");
        }
    };
    let lambda = |c: f64| -(40.0 * c).ln();
    // LogisticRegression(C=..., tol=1e-12), scikit-learn 1.9.1: coef_ and intercept_.
    for (c, expected) in [(0.05, L2_LOW), (10.0, L2_HIGH)] {
        let found = fit(&model(3, 2), &train, &none, (Penalty::L2, lambda(c)), EXACT);
        close(&found, &expected, 1e-6);
    }
    // The same with penalty="l1", solver="saga".
    for (c, expected) in [(0.2, L1_LOW), (2.0, L1_HIGH)] {
        let found = fit(&model(3, 2), &train, &none, (Penalty::L1, lambda(c)), EXACT);
        close(&found, &expected, 1e-6);
        assert_eq!(found.weights[1] == 0.0, expected[1] == 0.0);
    }
    // Three classes. Biases may all rise together; their differences are what counts.
    let train = points::<f64>(3, &values, &three);
    let mut found = fit(
        &model(3, 3),
        &train,
        &none,
        (Penalty::L2, lambda(0.5)),
        EXACT,
    );
    let mean = found.weights[9..].iter().sum::<f64>() / 3.0;
    found.weights[9..].iter_mut().for_each(|b| *b -= mean);
    close(&found, &THREE, 1e-6);

    // In f32, as it is used, to what three digits of an error need.
    let (train, none) = (points::<f32>(3, &values, &two), Points::none(3));
    let found = fit(
        &model(3, 2),
        &train,
        &none,
        (Penalty::L2, lambda(10.0)),
        Stop::default(),
    );
    assert!(found.converged);
    for (a, b) in found.weights.iter().zip(L2_HIGH) {
        assert!(
            (f64::from(*a) - b).abs() < 1e-3 * b.abs().max(1.0),
            "{found:?}"
        );
    }
}

const L2_LOW: [f64; 4] = [
    0.440_807_452_7,
    -0.066_476_611_6,
    0.022_774_278_6,
    0.097_181_481,
];
const L2_HIGH: [f64; 4] = [
    3.883_353_172_1,
    0.105_943_821_4,
    -0.020_942_254_8,
    0.188_115_408_7,
];
const L1_LOW: [f64; 4] = [1.399_888_615_9, 0.0, 0.0, 0.099_092_690_2];
const L1_HIGH: [f64; 4] = [
    3.711_038_770_4,
    0.034_896_254,
    -0.001_458_546_9,
    0.185_676_681_9,
];
const THREE: [f64; 12] = [
    -0.939_274_587_2,
    0.033_398_948_7,
    -0.650_908_427_6,
    -0.730_406_541_2,
    -0.028_999_844_9,
    0.745_691_088_9,
    1.669_681_128_3,
    -0.004_399_103_8,
    -0.094_782_661_3,
    0.197_721_829_7,
    -0.467_913_570_2,
    0.270_191_740_5,
];

#[test]
fn hypergradients_at_the_minimum_are_finite_differences() {
    let (values, labels, _) = rows();
    let model = model(3, 2);
    let train = points::<f64>(3, &values[..60], &labels[..20]);
    let valid = points::<f64>(3, &values[60..], &labels[20..]);
    let poison = [0.3, -0.8, 0.5, 1.1, 0.2, -0.4];
    for penalty in [Penalty::L2, Penalty::L1] {
        let lambda = -3.0;
        let judge = |poison: &[f64], lambda: f64| {
            let poison = points(3, poison, &[1, 0]);
            let found = fit(&model, &train, &poison, (penalty, lambda), EXACT);
            assert!(found.converged, "{found:?}");
            Passes::of(&model, &valid).loss(&found.weights)
        };
        let points = points(3, &poison, &[1, 0]);
        let found = fit(&model, &train, &points, (penalty, lambda), EXACT);
        let start = vec![0.0; model.parameters()];
        let problem = problem(&model, &train, &points, &valid, (penalty, lambda), &start);
        let hyper = at_optimum(&problem, found.weights.clone(), 100);
        let near = |found: f64, by: f64| {
            // The system is solved to 1e-3.
            assert!(
                (found - by).abs() < 3e-3 * by.abs().max(0.01),
                "{penalty:?} {found} {by}"
            );
        };
        let step = 1e-5;
        for i in 0..poison.len() {
            let moved = |by: f64| {
                let mut moved = poison;
                moved[i] += by;
                judge(&moved, lambda)
            };
            near(hyper.poison[i], (moved(step) - moved(-step)) / (2.0 * step));
        }
        let by = judge(&poison, lambda + step) - judge(&poison, lambda - step);
        near(hyper.lambda[0], by / (2.0 * step));
    }
}

/// A weight of two is the row twice, and a weight of none no row at all; the penalty is of a mean over as many
/// rows as there are.
#[test]
fn weights_count_rows() {
    let (values, two, _) = rows();
    let (model, none) = (model(3, 2), Points::none(3));
    let train = points::<f64>(3, &values, &two);
    let weights: Vec<f64> = (0..40).map(|i| [1.0, 2.0, 0.0, 1.0][i % 4]).collect();
    let repeated: Vec<usize> = (0..40).flat_map(|i| vec![i; weights[i] as usize]).collect();
    assert_eq!(repeated.len(), 40);
    let start = vec![0.0; model.parameters()];
    let problem = problem(&model, &train, &none, &train, (Penalty::L2, -2.0), &start);
    let weighed = minimise_weighed(&problem, Some(&weights), &start, EXACT);
    let written_out = fit(
        &model,
        &train.select(&repeated),
        &none,
        (Penalty::L2, -2.0),
        EXACT,
    );
    assert!(weighed.converged && written_out.converged);
    assert!((weighed.loss - written_out.loss).abs() < 1e-12);
    for (a, b) in weighed.weights.iter().zip(&written_out.weights) {
        assert!((a - b).abs() < 1e-8, "{a} {b}");
    }
}
