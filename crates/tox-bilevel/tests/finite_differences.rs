//! Hypergradients against central differences in f64, and the ways of keeping states against each
//! other.
#![allow(clippy::unwrap_used)]

mod case;

use case::{Case, close, regulariser};
use tox_bilevel::config::{Keep, Penalty};
use tox_bilevel::hypergradient::{Hypergradient, ReverseMode};
use tox_bilevel::points::Values;

fn outer(case: &Case) -> f64 {
    let problem = case.problem();
    problem.outer(&problem.train().unwrap()).0
}

/// Central differences by each poison feature and each lambda.
fn differences(case: &mut Case, outer: impl Fn(&Case) -> f64) -> (Vec<f64>, Vec<f64>) {
    const H: f64 = 1e-5;
    let reals = |case: &mut Case, i: usize, by: f64| {
        let Values::Reals(x) = &mut case.poison.values else {
            unreachable!()
        };
        x[i] += by;
    };
    let count = case.poison.len() * case.model.features;
    let mut poison = Vec::new();
    for i in 0..count {
        reals(case, i, H);
        let up = outer(case);
        reals(case, i, -2.0 * H);
        poison.push((up - outer(case)) / (2.0 * H));
        reals(case, i, H);
    }
    let mut lambda = Vec::new();
    for i in 0..case.regulariser.as_ref().map_or(0, |r| r.lambda.len()) {
        let shift = |case: &mut Case, by: f64| {
            case.regulariser.as_mut().unwrap().lambda[i] += by;
        };
        shift(case, H);
        let up = outer(case);
        shift(case, -2.0 * H);
        lambda.push((up - outer(case)) / (2.0 * H));
        shift(case, H);
    }
    (poison, lambda)
}

#[test]
fn reverse_mode_agrees_with_central_differences() {
    for (i, mut case) in Case::all().into_iter().enumerate() {
        println!("case {i}");
        let ours = ReverseMode::default().of(&case.problem()).unwrap();
        let (poison, lambda) = differences(&mut case, outer);
        assert!(poison.iter().any(|g| g.abs() > 1e-7));
        close(&ours.poison, &poison, 1e-6);
        close(&ours.lambda, &lambda, 1e-6);
    }
}

/// Eq. 2: poison moves by the target's loss, lambda by the trusted points', through one and the same training.
#[test]
fn two_objectives_agree_with_central_differences() {
    for (i, mut case) in Case::all().into_iter().enumerate() {
        println!("case {i}");
        let classes = case.model.classes as u16;
        let target = case::bytes(5, case.model.features, classes, 11);
        let aimed = |case: &Case| {
            let problem = case.problem();
            problem.outer_on(&target, &problem.train().unwrap()).0
        };
        let mode = |keep| ReverseMode { keep };
        let (ours, loss) = mode(Keep::Everything)
            .of_two(&case.problem(), &target)
            .unwrap();
        let plain = ReverseMode::default().of(&case.problem()).unwrap();
        assert_eq!((&ours.lambda, ours.loss), (&plain.lambda, plain.loss));
        assert_ne!(ours.poison, plain.poison);
        for keep in [Keep::States, Keep::Checkpoints] {
            let (other, _) = mode(keep).of_two(&case.problem(), &target).unwrap();
            close(&other.poison, &ours.poison, 1e-12);
            close(&other.lambda, &ours.lambda, 1e-12);
        }
        let (poison, _) = differences(&mut case, aimed);
        let (_, lambda) = differences(&mut case, outer);
        assert!(poison.iter().any(|g| g.abs() > 1e-7));
        close(&ours.poison, &poison, 1e-6);
        close(&ours.lambda, &lambda, 1e-6);
        assert!((loss - aimed(&case)).abs() < 1e-12);
        // The trusted points as targets: the one objective, to the bit.
        let (same, again) = mode(Keep::Everything)
            .of_two(&case.problem(), &case.valid)
            .unwrap();
        let plain = ReverseMode::default().of(&case.problem()).unwrap();
        assert_eq!((same, again), (plain.clone(), plain.loss));
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

/// Every row has a weight of its own, one of them none: its derivative is there all the same.
#[test]
fn the_derivative_by_each_rows_weight_agrees_with_central_differences() {
    const H: f64 = 1e-5;
    for (i, case) in Case::all().into_iter().enumerate() {
        println!("case {i}");
        let problem = case.problem();
        let rows = problem.train.len();
        let mut weights: Vec<f64> = (0..rows).map(|i| (i % 7) as f64 / 6.0).collect();
        let at = |weights: &[f64], keep| {
            let mode = ReverseMode { keep };
            mode.by_weights(&problem, weights).unwrap()
        };
        let (found, ours) = at(&weights, Keep::Everything);
        for keep in [Keep::States, Keep::Checkpoints] {
            close(&at(&weights, keep).1, &ours, 1e-12);
        }
        let mut differences = Vec::new();
        for row in 0..rows {
            let weight = weights[row];
            weights[row] = weight + H;
            let up = at(&weights, Keep::Everything).0.loss;
            weights[row] = weight - H;
            differences.push((up - at(&weights, Keep::Everything).0.loss) / (2.0 * H));
            weights[row] = weight;
        }
        assert!(differences.iter().any(|g| g.abs() > 1e-7));
        close(&ours, &differences, 1e-6);
        // With weights of 1 the training is the usual one, to the bit.
        let plain = ReverseMode::default().of(&problem).unwrap();
        let (ones, _) = at(&vec![1.0; rows], Keep::Everything);
        assert_eq!(plain, ones);
        assert_ne!(plain.weights, found.weights);
    }
}
