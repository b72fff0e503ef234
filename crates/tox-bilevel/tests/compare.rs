//! The measured table of methods.
#![allow(clippy::unwrap_used)]

mod case;

use case::{Case, regulariser};
use tox_bilevel::config::Penalty;
use tox_bilevel::hypergradient::ConjugateGradient;
use tox_bilevel::hypergradient::compare::{Method, Settings, run, table};

fn settings(steps: &[usize]) -> Settings {
    Settings {
        steps: steps.to_vec(),
        conjugate_gradient: ConjugateGradient {
            tolerance: 1e-12,
            ..ConjugateGradient::default()
        },
        ..Settings::default()
    }
}

#[test]
fn errors_fall_with_the_length_of_training() {
    let case = Case::new(&[], 2, regulariser(Penalty::L2, false, &[-2.0]));
    let mut seen = Vec::new();
    let settings = settings(&[10, 100, 3000]);
    let comparison = run(&case.problem(), &settings, &mut |p| seen.push(p)).unwrap();
    assert_eq!(seen.len(), 19);
    assert!(
        seen.iter()
            .enumerate()
            .all(|(i, p)| p.done == i && p.of == 19)
    );
    assert!(comparison.no_reference.is_none(), "{comparison:?}");
    assert!(comparison.reference_slope.unwrap() < 1e-10);
    let of = |method| {
        let rows = comparison.rows.iter().filter(move |r| r.method == method);
        rows.collect::<Vec<_>>()
    };
    for method in [Method::Reverse, Method::ConjugateGradient, Method::Exact] {
        let errors: Vec<f64> = of(method).iter().map(|r| r.error_poison.unwrap()).collect();
        assert!(errors.is_sorted_by(|a, b| a > b), "{method:?} {errors:?}");
        assert!(
            errors[0] > 1e-3 && errors[2] < 1e-8,
            "{method:?} {errors:?}"
        );
        assert!(of(method)[2].error_lambda.unwrap() < 1e-8);
    }
    for method in [
        Method::ReverseStates,
        Method::ReverseCheckpoints,
        Method::Forward,
    ] {
        for row in of(method) {
            assert!(row.off_reverse_poison.unwrap() < 1e-11, "{row:?}");
            assert!(row.off_reverse_lambda.unwrap() < 1e-11, "{row:?}");
        }
    }
    let memory = |method| of(method)[2].peak_bytes;
    assert!(memory(Method::ReverseCheckpoints) * 10 < memory(Method::Reverse));
    assert_eq!(of(Method::Forward)[0].extrapolated_from, Some(4));
    let text = table(&comparison);
    assert!(
        text.lines().any(|l| l.contains("100  RMD, checkpoints")),
        "{text}"
    );
    serde_json::to_string(&comparison).unwrap();
}

#[test]
fn what_cannot_be_known_is_said() {
    let case = Case::new(&[], 2, regulariser(Penalty::L1, false, &[-3.0]));
    let comparison = run(&case.problem(), &settings(&[5]), &mut |_| ()).unwrap();
    assert!(comparison.rows.iter().all(|row| row.error_poison.is_none()));
    assert!(table(&comparison).contains("an L1 penalty has no Hessian"));

    let mut problem = case.problem();
    problem.lr = 1e12;
    let comparison = run(&problem, &settings(&[5]), &mut |_| ()).unwrap();
    for row in &comparison.rows {
        assert!(row.seconds.is_none());
        assert!(row.failure.as_ref().unwrap().contains("training diverged"));
    }
    let error = run(&problem, &settings(&[0]), &mut |_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`steps` = [0] is out of range: expected at least one, each 1 to 100000"
    );
}
