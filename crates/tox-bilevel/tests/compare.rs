//! The measured table of methods.
#![allow(clippy::unwrap_used)]

mod case;

use case::{Case, regulariser};
use tox_bilevel::config::Penalty;
use tox_bilevel::hypergradient::ConjugateGradient;
use tox_bilevel::hypergradient::compare::{
    Comparison, Method, Seconds, Settings, comparison, measure, reference,
};
use tox_bilevel::hypergradient::table;
use tox_bilevel::inner::Problem;
use tox_data::ranges::OutOfRange;

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

/// All ways at each length.
fn run(
    problem: &Problem<'_, f64>,
    settings: &Settings,
) -> Result<(Comparison, Vec<Seconds>), OutOfRange> {
    let exact = reference(problem, settings)?;
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for &steps in &settings.steps {
        let mut begin = |done, method| {
            seen.push((done, method));
            true
        };
        all.extend(measure(problem, settings, (steps, &exact), &mut begin).unwrap());
        let stopped = measure(problem, settings, (steps, &exact), &mut |done, _| {
            done < 0.1
        });
        assert!(stopped.is_none(), "it was told to stop at the second way");
    }
    assert_eq!(seen.len(), 6 * settings.steps.len());
    assert!(
        seen.chunks(6)
            .all(|ways| ways.is_sorted_by(|a, b| a.0 < b.0))
    );
    let (rows, took) = all.into_iter().unzip();
    Ok((comparison(problem, exact, rows), took))
}

#[test]
fn errors_fall_with_the_length_of_training() {
    let case = Case::new(&[], 2, regulariser(Penalty::L2, false, &[-2.0]));
    let settings = settings(&[10, 100, 3000]);
    let (comparison, took) = run(&case.problem(), &settings).unwrap();
    assert!(took.iter().all(|took| took.whole.unwrap() > 0.0));
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
    let text = table(&comparison, &took, 2);
    assert!(
        text.lines().any(|l| l.contains("100  RMD, checkpoints")),
        "{text}"
    );
    serde_json::to_string(&comparison).unwrap();
}

#[test]
fn what_cannot_be_known_is_said() {
    let case = Case::new(&[], 2, regulariser(Penalty::L1, false, &[-3.0]));
    let (comparison, took) = run(&case.problem(), &settings(&[5])).unwrap();
    assert!(comparison.rows.iter().all(|row| row.error_poison.is_none()));
    assert!(table(&comparison, &took, 1).contains("an L1 penalty has no Hessian"));

    let mut problem = case.problem();
    problem.lr = 1e12;
    let (comparison, took) = run(&problem, &settings(&[5])).unwrap();
    assert!(took.iter().all(|took| took.whole.is_none()));
    for row in &comparison.rows {
        assert!(row.failure.as_ref().unwrap().contains("training diverged"));
    }
    let error = run(&problem, &settings(&[0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`steps` = [0] is out of range: expected at least one, each 1 to 100000"
    );
}
