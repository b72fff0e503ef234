//! The ways to a hypergradient against each other and against what is known in closed form.
#![allow(clippy::unwrap_used)]

mod case;

use case::{Case, close, problem, regulariser};
use tox_bilevel::config::Penalty;
use tox_bilevel::hypergradient::{
    ConjugateGradient, Exact, ForwardMode, Hypergradient, ImplicitError, ReverseMode,
};
use tox_bilevel::inner::Problem;
use tox_bilevel::model::Model;
use tox_bilevel::points::{Points, Values};

#[test]
fn forward_and_reverse_agree_to_rounding() {
    for (i, case) in Case::all().into_iter().enumerate() {
        println!("case {i}");
        let problem = case.problem();
        let reverse = ReverseMode::default().of(&problem).unwrap();
        let forward = ForwardMode::default().of(&problem).unwrap();
        close(&forward.poison, &reverse.poison, 1e-12);
        close(&forward.lambda, &reverse.lambda, 1e-12);
        assert_eq!(forward.weights, reverse.weights);
        assert_eq!(forward.loss, reverse.loss);
    }
}

#[test]
fn forward_mode_follows_only_what_it_is_asked() {
    let case = Case::new(&[5, 3], 2, regulariser(Penalty::L2, false, &[-1.0]));
    let problem = case.problem();
    let all = ForwardMode::default().of(&problem).unwrap();
    let chosen = ForwardMode {
        poison: Some(vec![13, 2]),
    };
    let some = chosen.of(&problem).unwrap();
    assert_eq!(some.poison, [all.poison[13], all.poison[2]]);
    assert_eq!(some.lambda, all.lambda);
    let none = ForwardMode::lambda().of(&problem).unwrap();
    assert!(none.poison.is_empty());
    assert_eq!(none.lambda, all.lambda);
}

/// Tight enough for f64.
const SHARP: ConjugateGradient = ConjugateGradient {
    tolerance: 1e-12,
    iterations: 1000,
    damping: 0.0,
};

/// Clusters with nothing between them, for a net whose rows end far from Leaky ReLU's kink: where
/// they end on it, as most do, training finds no flat place and the implicit way means nothing.
fn clusters(case: &mut Case) {
    case.model.leak = 0.3;
    let (d, classes) = (case.model.features, case.model.classes);
    for points in [
        &mut case.clean,
        &mut case.frozen,
        &mut case.poison,
        &mut case.valid,
    ] {
        *points = points.real();
        let Values::Reals(x) = &mut points.values else {
            unreachable!()
        };
        for (row, &label) in x.chunks_exact_mut(d).zip(&points.labels) {
            for (j, x) in row.iter_mut().enumerate() {
                let own = j % classes == usize::from(label);
                *x = 0.2 * *x + if own { 1.5 } else { -1.0 };
            }
        }
    }
}

#[test]
fn conjugate_gradient_and_exact_agree_with_reverse_mode_at_convergence() {
    let l2 = Penalty::L2;
    let cases = [
        Case::new(&[], 2, regulariser(l2, true, &[-0.5])),
        Case::new(&[], 2, regulariser(l2, false, &[-1.0])),
        Case::new(&[], 4, regulariser(l2, true, &[-1.0])),
        Case::new(&[2], 2, regulariser(l2, true, &[-4.0])),
        Case::new(&[1, 1], 2, regulariser(l2, true, &[-3.0, -3.5, -4.0])),
        Case::new(&[3, 2], 3, regulariser(l2, true, &[-4.0])),
    ];
    for (i, mut case) in cases.into_iter().enumerate() {
        println!("case {i}");
        clusters(&mut case);
        let problem = Problem {
            steps: 12_000,
            ..case.problem()
        };
        let reverse = ReverseMode::default().of(&problem).unwrap();
        assert!(reverse.poison.iter().any(|g| g.abs() > 1e-7));
        let cg = SHARP.of(&problem).unwrap();
        let exact = Exact::default().of(&problem).unwrap();
        close(&cg.poison, &exact.poison, 1e-8);
        close(&cg.lambda, &exact.lambda, 1e-8);
        close(&exact.poison, &reverse.poison, 1e-8);
        close(&exact.lambda, &reverse.lambda, 1e-8);
        assert_eq!(exact.weights, reverse.weights);
        for solve in [cg.solve.unwrap(), exact.solve.unwrap()] {
            assert!(solve.definite && solve.residual < 1e-10, "{solve:?}");
            assert!(solve.slope < 1e-10, "{solve:?}");
        }
    }
}

#[test]
fn reverse_mode_comes_closer_to_exact_the_longer_it_trains() {
    let case = Case::new(&[], 2, regulariser(Penalty::L2, true, &[-2.0]));
    let with = |steps| Problem {
        steps,
        ..case.problem()
    };
    let exact = Exact::default().of(&with(4000)).unwrap();
    let off = |steps| {
        let ours = ReverseMode::default().of(&with(steps)).unwrap();
        let terms = ours.poison.iter().zip(&exact.poison);
        terms.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    let off = [10, 40, 160, 640].map(off);
    assert!(off.is_sorted_by(|a, b| *b < 0.7 * a), "{off:?}");
}

/// Logistic regression on the points 1 and -1 of opposite classes, of which the first is poison,
/// judged on 2 and -2. By symmetry the bias is 0, and one equation fixes the weight:
/// `s(w) - 1 + e^lambda w = 0`, s the sigmoid. With `A(w) = ln(1 + e^(-2 w))`,
/// `dA/dlambda = -A' e^lambda w / (s' + e^lambda)`, and for the poison x, whose part of the gradient
/// is `(s(w x) - 1) x / 2`, `dA/dx = -A' (s' w + s - 1) / 2 / (s' + e^lambda)`.
#[test]
fn hypergradients_of_one_weight_are_those_of_the_closed_form() {
    let points = |x: &[f64], labels: &[u16]| Points {
        features: 1,
        values: Values::Reals(x.to_vec()),
        labels: labels.to_vec(),
    };
    let model = Model {
        features: 1,
        hidden: Vec::new(),
        classes: 2,
        leak: 0.01,
    };
    let (clean, poison) = (points(&[-1.0], &[0]), points(&[1.0], &[1]));
    let valid = points(&[2.0, -2.0], &[1, 0]);
    for lambda in [-3.0, -1.0, 0.7] {
        let problem = Problem {
            regulariser: regulariser(Penalty::L2, false, &[lambda]),
            ..problem(&model, (&clean, &poison), &valid, &[0.0, 0.0], (2000, 0.4))
        };
        let strength = lambda.exp();
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let mut w = 0.0;
        for _ in 0..50 {
            let s = sigmoid(w);
            w -= (s - 1.0 + strength * w) / (s * (1.0 - s) + strength);
        }
        let s = sigmoid(w);
        let curvature = s * (1.0 - s) + strength;
        let slope = -2.0 * (1.0 - sigmoid(2.0 * w));
        let by_lambda = -slope * strength * w / curvature;
        let by_poison = -slope * 0.5 * (s * (1.0 - s) * w + s - 1.0) / curvature;

        let reverse = ReverseMode::default().of(&problem).unwrap();
        let forward = ForwardMode::default().of(&problem).unwrap();
        let exact = Exact::default().at(&problem, vec![w, 0.0]).unwrap();
        let cg = SHARP.at(&problem, vec![w, 0.0]).unwrap();
        for ours in [reverse, forward, exact, cg] {
            assert!((ours.weights[0] - w).abs() < 1e-12);
            assert!((ours.loss - (-2.0 * w).exp().ln_1p()).abs() < 1e-12);
            close(&ours.lambda, &[by_lambda], 1e-10);
            close(&ours.poison, &[by_poison], 1e-10);
        }
    }
}

#[test]
fn a_singular_hessian_is_refused_and_damping_makes_it_solvable() {
    let mut case = Case::new(&[], 2, None);
    // A feature that is 0 in training, and not in validation: nothing fixes its weight.
    let zero = |points: &mut Points<f64>| {
        *points = points.real();
        let Values::Reals(x) = &mut points.values else {
            unreachable!()
        };
        x.iter_mut().step_by(6).for_each(|x| *x = 0.0);
    };
    zero(&mut case.clean);
    zero(&mut case.frozen);
    zero(&mut case.poison);
    let problem = case.problem();
    let exact = Exact::default();
    let error = exact.of(&problem).unwrap_err();
    assert!(matches!(error, ImplicitError::Singular { .. }), "{error:?}");
    let error = SHARP.of(&problem).unwrap_err();
    assert!(
        matches!(error, ImplicitError::NotPositive { .. }),
        "{error:?}"
    );
    let damping = 0.1;
    let exact = Exact { damping, ..exact }.of(&problem).unwrap();
    let cg = ConjugateGradient { damping, ..SHARP }.of(&problem).unwrap();
    close(&cg.poison, &exact.poison, 1e-8);
}

#[test]
fn what_is_no_minimum_is_said() {
    // A net at its start: the Hessian bends down somewhere.
    let case = Case::new(&[5, 3], 2, regulariser(Penalty::L2, false, &[-6.0]));
    let problem = case.problem();
    let start = case.start.clone();
    let exact = Exact::default().at(&problem, start.clone()).unwrap();
    let solve = exact.solve.unwrap();
    assert!(!solve.definite && solve.slope > 0.01, "{solve:?}");
    let error = SHARP.at(&problem, start).unwrap_err();
    assert!(
        matches!(error, ImplicitError::NotPositive { curvature, .. } if curvature < 0.0),
        "{error:?}"
    );
}

#[test]
fn limits_are_errors() {
    let case = Case::new(&[], 2, regulariser(Penalty::L2, false, &[-3.0]));
    let problem = case.problem();
    let few = Exact {
        parameters: 6,
        ..Exact::default()
    };
    assert_eq!(
        few.of(&problem).unwrap_err().to_string(),
        "the exact inverse needs a matrix of 7 x 7: the model has more than 6 parameters; use \
         conjugate gradient or reverse mode"
    );
    let short = ConjugateGradient {
        iterations: 2,
        ..SHARP
    };
    let error = short.of(&problem).unwrap_err();
    assert!(
        matches!(error, ImplicitError::NotConverged { residual, .. } if residual > 1e-12),
        "{error:?}"
    );
    // Not even f64 has so many digits: it must end, and say so.
    let impossible = ConjugateGradient {
        tolerance: 1e-30,
        ..SHARP
    };
    let error = impossible.of(&problem).unwrap_err();
    assert!(
        matches!(
            error,
            ImplicitError::NotConverged { .. } | ImplicitError::NotPositive { .. }
        ),
        "{error:?}"
    );
    let wild = Problem {
        lr: 1e6,
        ..case.problem()
    };
    let error = Exact::default().of(&wild).unwrap_err();
    assert!(matches!(error, ImplicitError::Diverged(_)), "{error:?}");
    assert!(ForwardMode::lambda().of(&wild).is_err());
}
