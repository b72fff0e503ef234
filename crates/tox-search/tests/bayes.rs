//! Bayesian optimisation on known functions, and its state between rounds.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use tox_search::bayes::{Bayes, BayesConfig, BayesError};
use tox_search::surrogate::gp::{Gp, Settings};

fn config() -> BayesConfig {
    BayesConfig {
        candidates: 500,
        ..BayesConfig::default()
    }
}

fn run(bayes: &mut Bayes, rounds: usize, f: impl Fn(&[f64]) -> f64) {
    for _ in 0..rounds {
        let point = bayes.ask().unwrap();
        let value = f(&point);
        bayes.tell(point, value).unwrap();
    }
}

#[test]
fn maxima_of_known_functions_are_found() {
    // two hills, the higher one at (0.4, -0.3)
    let hills = |x: &[f64]| {
        let hill = |a: f64, b: f64| (-4.0 * ((x[0] - a).powi(2) + (x[1] - b).powi(2))).exp();
        hill(0.4, -0.3) + 0.6 * hill(-0.6, 0.5)
    };
    for seed in 0..3 {
        let mut bayes = Bayes::new(vec![(-1.0, 1.0); 2], config(), seed).unwrap();
        run(&mut bayes, 25, hills);
        let (point, value) = bayes.best().unwrap();
        assert!(value > 0.98, "seed {seed}: {value} at {point:?}");
    }
    // a corner of a box that is not around 0
    let mut bayes = Bayes::new(vec![(5.0, 7.0), (-3.0, -2.0)], config(), 1).unwrap();
    run(&mut bayes, 15, |x| x[0] - x[1]);
    let (point, value) = bayes.best().unwrap();
    assert!(value > 9.99, "{value} at {point:?}");
    // RoBoT's: six weights, 25 points; a random search of as many reaches -1.1 in the mean
    let weights = [0.7, -0.2, 0.1, -0.8, 0.4, 0.0];
    let near = |x: &[f64]| {
        -x.iter()
            .zip(weights)
            .map(|(x, w)| (x - w) * (x - w))
            .sum::<f64>()
    };
    let mut bayes = Bayes::new(vec![(-1.0, 1.0); 6], config(), 3).unwrap();
    run(&mut bayes, 25, near);
    let (_, value) = bayes.best().unwrap();
    assert!(value > -0.3, "{value}");
}

#[test]
fn what_is_asked_for_has_the_largest_bound() {
    let mut bayes = Bayes::new(vec![(-1.0, 2.0)], config(), 5).unwrap();
    run(&mut bayes, 6, |x| (3.0 * x[0]).sin());
    let asked = bayes.ask().unwrap();
    let (points, values): (Vec<Vec<f64>>, Vec<f64>) =
        bayes.told().map(|(p, v)| (p.to_vec(), v)).unzip();
    let model = Gp::fit(&points, &values, &Settings::matern()).unwrap();
    let bound = |x: f64| {
        let prediction = model.predict(&[vec![x]]).unwrap()[0];
        prediction.mean + 2.576 * prediction.variance.sqrt()
    };
    let grid = (0..=3000).map(|i| bound(-1.0 + f64::from(i) / 1000.0));
    let most = grid.fold(f64::NEG_INFINITY, f64::max);
    assert!(
        bound(asked[0]) > most - 1e-6,
        "{} beside {most}",
        bound(asked[0])
    );
}

#[test]
fn a_search_goes_on_from_its_state() {
    let f = |x: &[f64]| -(x[0] - 0.3).powi(2) - x[1].abs();
    let bounds = vec![(-1.0, 1.0); 2];
    let mut whole = Bayes::new(bounds.clone(), config(), 11).unwrap();
    run(&mut whole, 8, f);
    let mut stopped = Bayes::new(bounds.clone(), config(), 11).unwrap();
    for round in 0..8 {
        assert_eq!(stopped.rounds(), round);
        let text = serde_json::to_string(&stopped).unwrap();
        stopped = serde_json::from_str(&text).unwrap();
        assert_eq!(
            stopped.ask().unwrap(),
            stopped.ask().unwrap(),
            "asking changes nothing"
        );
        run(&mut stopped, 1, f);
    }
    assert_eq!(stopped, whole);
    let mut other = Bayes::new(bounds, config(), 12).unwrap();
    run(&mut other, 8, f);
    assert_ne!(other.told().next(), whole.told().next(), "keyed by seed");
}

#[test]
fn first_points_are_uniform_and_the_last_of_equal_values_is_best() {
    let many = BayesConfig {
        initial: 400,
        ..config()
    };
    let mut bayes = Bayes::new(vec![(2.0, 4.0)], many, 0).unwrap();
    run(&mut bayes, 400, |_| 1.0);
    let points: Vec<f64> = bayes.told().map(|(p, _)| p[0]).collect();
    let low = points.iter().filter(|p| **p < 2.5).count();
    assert!(
        (70..130).contains(&low),
        "{low} of 400 in the first quarter"
    );
    assert_eq!(bayes.best().unwrap().0, [points[399]]);
    // equal values say nothing, and a repeated point is no obstacle
    let mut flat = Bayes::new(vec![(0.0, 1.0); 3], config(), 0).unwrap();
    assert!(flat.best().is_none());
    run(&mut flat, 6, |_| 0.1);
    let point = flat.told().next().unwrap().0.to_vec();
    flat.tell(point.clone(), 0.1).unwrap();
    flat.tell(point, 0.3).unwrap();
    assert!(flat.ask().unwrap().iter().all(|x| (0.0..=1.0).contains(x)));
}

#[test]
fn bad_searches_and_results_are_refused() {
    let new = |bounds: &[(f64, f64)], config| Bayes::new(bounds.to_vec(), config, 0);
    assert_eq!(new(&[], config()), Err(BayesError::NoBounds));
    for side in [
        (1.0, 1.0),
        (2.0, 1.0),
        (f64::NAN, 1.0),
        (0.0, f64::INFINITY),
    ] {
        let refused = new(&[(0.0, 1.0), side], config());
        assert!(
            matches!(refused, Err(BayesError::Bounds { side: 1, .. })),
            "{side:?}"
        );
    }
    for bad in [
        BayesConfig {
            initial: 0,
            ..config()
        },
        BayesConfig {
            candidates: 0,
            ..config()
        },
        BayesConfig {
            kappa: f64::NAN,
            ..config()
        },
        BayesConfig {
            noise: -1.0,
            ..config()
        },
    ] {
        assert!(matches!(
            new(&[(0.0, 1.0)], bad),
            Err(BayesError::Setting { .. })
        ));
    }
    let mut bayes = new(&[(0.0, 1.0)], config()).unwrap();
    for point in [vec![], vec![2.0], vec![f64::NAN], vec![0.5, 0.5]] {
        assert!(matches!(
            bayes.tell(point, 0.0),
            Err(BayesError::Point { .. })
        ));
    }
    let nan = bayes.tell(vec![0.5], f64::NAN);
    assert!(matches!(nan, Err(BayesError::Value { round: 0, .. })));
    assert_eq!(bayes.rounds(), 0);
    let huge = bayes
        .tell(vec![0.5], 1e308)
        .and_then(|()| bayes.tell(vec![0.6], -1e308));
    huge.unwrap();
    let model = bayes.ask();
    assert!(
        matches!(model, Err(BayesError::Model { rounds: 2, .. })),
        "{model:?}"
    );
    let unknown = r#"{"initial": 1, "kapa": 2.0}"#;
    assert!(serde_json::from_str::<BayesConfig>(unknown).is_err());
}
