//! The radial basis function.

use super::*;
use tox_search::surrogate::SurrogateError;
use tox_search::surrogate::gp::{Gp, Settings};
use tox_search::surrogate::rbf::Rbf;

#[test]
fn in_one_dimension_rbf_is_the_natural_cubic_spline() {
    // through (0, 0), (1, 1), (2, 0) the second derivative at 1 is -3:
    // on [0, 1] the spline is 1.5 x - 0.5 x^3, and straight beyond the ends
    let rbf = Rbf::fit(&column(&[0.0, 1.0, 2.0]), &[0.0, 1.0, 0.0], 0.0).unwrap();
    let at = rbf.predict(&column(&[0.5, 0.25, 1.5, -1.0, 4.0])).unwrap();
    let expected = [0.6875, 0.375 - 0.5 / 64.0, 0.6875, -1.5, -3.0];
    assert_close("spline", &at, &expected, 1e-12);
}

#[test]
fn rbf_is_scipys() {
    let case = fixture("rbf");
    let rbf = Rbf::fit(
        &rows(&case["rows"]),
        &list(&case["targets"]),
        number(&case["eta"]),
    )
    .unwrap();
    let found = rbf.predict(&rows(&case["queries"])).unwrap();
    assert_close("rbf", &found, &list(&case["predictions"]), 1e-8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rbf_goes_through_its_samples(rows in points(9, 3), targets in prop::collection::vec(-5.0..5.0, 9)) {
        prop_assume!(differ(&rows));
        let rbf = Rbf::fit(&rows, &targets, 0.0).unwrap();
        for (found, target) in rbf.predict(&rows).unwrap().iter().zip(&targets) {
            prop_assert!((found - target).abs() < 1e-6, "{found}, expected {target}");
        }
    }

    #[test]
    fn rbf_and_kriging_reproduce_linear_functions(
        rows in points(9, 3),
        queries in points(4, 3),
        slopes in prop::collection::vec(-5.0..5.0, 4),
    ) {
        prop_assume!(differ(&rows));
        let line = |row: &Vec<f64>| {
            slopes[3] + row.iter().zip(&slopes).map(|(x, s)| x * s).sum::<f64>()
        };
        let targets: Vec<f64> = rows.iter().map(line).collect();
        let expected: Vec<f64> = queries.iter().map(line).collect();
        for eta in [0.0, 1e-6, 1.0] {
            let found = Rbf::fit(&rows, &targets, eta).unwrap().predict(&queries).unwrap();
            assert_close("rbf", &found, &expected, 1e-7);
        }
        let kriging = Gp::fit(&rows, &targets, &Settings::kriging()).unwrap();
        assert_close("kriging", &kriging.means(&queries).unwrap(), &expected, 1e-5);
    }
}

#[test]
fn rbf_of_degenerate_samples() {
    // one sample: its value everywhere
    let one = Rbf::fit(&[vec![3.0, 1.0]], &[7.0], 1e-6).unwrap();
    assert_close(
        "one",
        &one.predict(&[vec![0.0, 9.0]]).unwrap(),
        &[7.0],
        1e-9,
    );
    // equal targets: that value everywhere
    let rows = [
        vec![0.0, 2.0],
        vec![1.0, 0.0],
        vec![2.0, 1.0],
        vec![1.0, 2.0],
    ];
    let flat = Rbf::fit(&rows, &[4.0; 4], 1e-6).unwrap();
    assert_close(
        "flat",
        &flat.predict(&[vec![5.0, 5.0]]).unwrap(),
        &[4.0],
        1e-9,
    );
    // a gene that never varies has no slope, and the others are still learned
    let fixed = [vec![0.0, 1.0], vec![1.0, 1.0], vec![2.0, 1.0]];
    let fixed = Rbf::fit(&fixed, &[0.0, 2.0, 4.0], 0.0).unwrap();
    assert_close(
        "fixed",
        &fixed.predict(&[vec![3.0, 1.0]]).unwrap(),
        &[6.0],
        1e-9,
    );
    // a repeated row: refused without eta, a compromise with it
    let twice = column(&[0.0, 1.0, 1.0, 2.0]);
    let targets = [0.0, 1.0, 2.0, 3.0];
    let refused = Rbf::fit(&twice, &targets, 0.0);
    let expected = SurrogateError::Duplicate {
        first: 1,
        second: 2,
    };
    assert_eq!(refused.unwrap_err(), expected);
    let between = Rbf::fit(&twice, &targets, 1e-6).unwrap();
    assert_close(
        "between",
        &between.predict(&column(&[1.0])).unwrap(),
        &[1.5],
        1e-4,
    );
}
