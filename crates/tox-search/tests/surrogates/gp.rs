//! Gaussian processes.

use super::*;
use tox_search::surrogate::SurrogateError;
use tox_search::surrogate::gp::{Gp, Kernel, Lengths, Settings, Trend, Variance};

/// A process of a given length.
fn of_length(
    rows: &[Vec<f64>],
    targets: &[f64],
    settings: &Settings,
    length: f64,
) -> Result<Gp, SurrogateError> {
    let (start, low, high) = (length, length, length);
    let lengths = Lengths { start, low, high };
    let settings = Settings {
        lengths,
        ..*settings
    };
    Gp::fit(rows, targets, &settings)
}

#[test]
fn process_of_one_sample() {
    let settings = Settings::matern();
    let gp = Gp::fit(&column(&[0.5]), &[3.0], &settings).unwrap();
    assert_eq!(gp.length(), 1.0, "nothing to learn a length from");
    let found = gp.predict(&column(&[0.5, 1.5])).unwrap();
    let noise = 1.0 + 1e-6;
    let s = 5.0_f64.sqrt();
    let far = (1.0 + s + 5.0 / 3.0) * (-s).exp();
    assert_close("means", &[found[0].mean, found[1].mean], &[3.0, 3.0], 1e-15);
    let expected = [1.0 - 1.0 / noise, 1.0 - far * far / noise];
    assert_close(
        "variances",
        &[found[0].variance, found[1].variance],
        &expected,
        1e-12,
    );
    // log N(0; 0, 1 + noise)
    let density = -0.5 * (2.0 * std::f64::consts::PI * noise).ln();
    assert_close("likelihood", &[gp.likelihood().value], &[density], 1e-12);
}

#[test]
fn process_of_two_samples() {
    let (a, b, length, noise) = (1.0, 4.0, 0.8, 0.3);
    let settings = Settings {
        kernel: Kernel::Gauss,
        noise,
        ..Settings::matern()
    };
    let gp = of_length(&column(&[0.0, 1.0]), &[a, b], &settings, length).unwrap();
    let k = |d: f64| (-0.5 * d * d / length / length).exp();
    // scaled targets are -1 and 1, so the weights are -1 and 1 over 1 + noise - k(1)
    let (mean, deviation) = (2.5, 1.5);
    let x = 0.3;
    let (near, far, both) = (k(x), k(1.0 - x), k(1.0));
    let expected = mean + deviation * (far - near) / (1.0 + noise - both);
    let d = 1.0 + noise;
    let known = d * (near * near + far * far) - 2.0 * both * near * far;
    let variance = deviation * deviation * (1.0 - known / (d * d - both * both));
    let found = gp.predict(&column(&[x])).unwrap()[0];
    assert_close(
        "posterior",
        &[found.mean, found.variance],
        &[expected, variance],
        1e-12,
    );
    // y' K^-1 y = 2 / (d - k), det K = d^2 - k^2
    let likelihood =
        -1.0 / (d - both) - 0.5 * (d * d - both * both).ln() - (2.0 * std::f64::consts::PI).ln();
    assert_close("likelihood", &[gp.likelihood().value], &[likelihood], 1e-12);
}

#[test]
fn process_is_scikit_learns() {
    let case = fixture("matern");
    let (rows, targets) = (rows(&case["rows"]), list(&case["targets"]));
    let settings = Settings::matern();
    let gp = Gp::fit(&rows, &targets, &settings).unwrap();
    assert_close("length", &[gp.length()], &[number(&case["length"])], 1e-4);
    let likelihood = gp.likelihood().value;
    assert_close(
        "likelihood",
        &[likelihood],
        &[number(&case["likelihood"])],
        1e-8,
    );
    let found = gp.predict(&super::rows(&case["queries"])).unwrap();
    let means: Vec<f64> = found.iter().map(|p| p.mean).collect();
    let deviations: Vec<f64> = found.iter().map(|p| p.variance.sqrt()).collect();
    assert_close("means", &means, &list(&case["means"]), 1e-4);
    assert_close("deviations", &deviations, &list(&case["deviations"]), 1e-4);
    let fixed = of_length(&rows, &targets, &settings, 0.7)
        .unwrap()
        .likelihood();
    let expected = &case["at_0.7"];
    assert_close(
        "value",
        &[fixed.value],
        &[number(&expected["likelihood"])],
        1e-8,
    );
    assert_close("slope", &[fixed.slope], &[number(&expected["slope"])], 1e-8);
}

#[test]
fn kriging_is_daces() {
    let case = fixture("kriging");
    let (rows, targets) = (rows(&case["rows"]), list(&case["targets"]));
    let queries = super::rows(&case["queries"]);
    let length = |theta: f64| (0.5 / theta).sqrt();
    let settings = Settings::kriging();
    let fixed = of_length(&rows, &targets, &settings, length(number(&case["theta"]))).unwrap();
    let found = fixed.predict(&queries).unwrap();
    let means: Vec<f64> = found.iter().map(|p| p.mean).collect();
    let variances: Vec<f64> = found.iter().map(|p| p.variance).collect();
    assert_close("means", &means, &list(&case["means"]), 1e-8);
    assert_close("means alone", &fixed.means(&queries).unwrap(), &means, 0.0);
    // the third query is a sample, whose variance is rounding
    assert_close("variances", &variances, &list(&case["variances"]), 1e-8);
    let fitted = Gp::fit(&rows, &targets, &settings).unwrap();
    let expected = length(number(&case["best_theta"]));
    assert_close("length", &[fitted.length()], &[expected], 1e-4);
    assert_close(
        "interpolates",
        &fitted.means(&rows).unwrap(),
        &targets,
        1e-6,
    );
}

/// All combinations of what a process can be.
fn processes() -> Vec<Settings> {
    let mut all = Vec::new();
    for kernel in [Kernel::Gauss, Kernel::Matern52] {
        for trend in [Trend::Mean, Trend::Linear] {
            for variance in [Variance::One, Variance::Fitted] {
                for standardise in [false, true] {
                    all.push(Settings {
                        kernel,
                        trend,
                        variance,
                        standardise,
                        lengths: Lengths {
                            start: 1.0,
                            low: 0.05,
                            high: 20.0,
                        },
                        noise: 0.01,
                    });
                }
            }
        }
    }
    all
}

#[test]
fn slope_of_the_likelihood_is_its_difference_quotient() {
    let case = fixture("matern");
    let (rows, targets) = (rows(&case["rows"]), list(&case["targets"]));
    let h = 1e-5;
    for settings in processes() {
        for length in [0.2_f64, 0.7, 3.0] {
            let at = |log: f64| of_length(&rows, &targets, &settings, log.exp()).unwrap();
            let value = |log: f64| at(log).likelihood().value;
            let log = length.ln();
            let quotient = (value(log + h) - value(log - h)) / (2.0 * h);
            let slope = at(log).likelihood().slope;
            let error = (slope - quotient).abs();
            assert!(
                error < 1e-6 * (1.0 + slope.abs()),
                "{settings:?}, length {length}: {slope}, expected {quotient}"
            );
        }
    }
}

#[test]
fn fitted_length_is_the_likeliest() {
    let case = fixture("matern");
    let (rows, targets) = (rows(&case["rows"]), list(&case["targets"]));
    for settings in processes() {
        let fitted = Gp::fit(&rows, &targets, &settings).unwrap().likelihood();
        let Lengths { low, high, .. } = settings.lengths;
        for i in 0..=200 {
            let length = low * (high / low).powf(f64::from(i) / 200.0);
            let other = of_length(&rows, &targets, &settings, length).unwrap();
            let value = other.likelihood().value;
            assert!(
                fitted.value >= value - 1e-6,
                "{settings:?}: {length} has {value}"
            );
        }
    }
}

#[test]
fn processes_of_degenerate_samples() {
    for settings in [Settings::matern(), Settings::kriging()] {
        // one sample, equal targets: no opinion but theirs, and no NaN
        let one = Gp::fit(&[vec![1.0, 2.0]], &[0.1], &settings).unwrap();
        assert_close("one", &one.means(&[vec![5.0, 5.0]]).unwrap(), &[0.1], 1e-12);
        let rows = [
            vec![0.0, 1.0],
            vec![1.0, 0.0],
            vec![0.5, 0.2],
            vec![0.1, 0.9],
        ];
        let flat = Gp::fit(&rows, &[0.1; 4], &settings).unwrap();
        let found = flat.predict(&[vec![0.3, 0.3]]).unwrap()[0];
        assert_close("flat", &[found.mean], &[0.1], 1e-12);
        assert!(found.variance >= 0.0 && found.variance <= 1.0 + 1e-9);
        // a repeated row
        let twice = column(&[0.0, 1.0, 1.0, 2.0, 3.0]);
        let noisy = Settings {
            noise: settings.noise.max(1e-6),
            ..settings
        };
        let twice = Gp::fit(&twice, &[0.0, 1.0, 2.0, 3.0, 5.0], &noisy).unwrap();
        let between = twice.means(&column(&[1.0])).unwrap()[0];
        assert!((between - 1.5).abs() < 0.5, "{between}");
    }
    let good = Settings::matern();
    let bad = [
        Settings {
            noise: -1.0,
            ..good
        },
        Settings {
            noise: f64::NAN,
            ..good
        },
        Settings {
            lengths: Lengths {
                start: 1.0,
                low: 0.0,
                high: 2.0,
            },
            ..good
        },
        Settings {
            lengths: Lengths {
                start: 1.0,
                low: 2.0,
                high: 3.0,
            },
            ..good
        },
        Settings {
            lengths: Lengths {
                start: f64::NAN,
                low: 2.0,
                high: f64::INFINITY,
            },
            ..good
        },
    ];
    for settings in bad {
        let refused = Gp::fit(&column(&[0.0, 1.0]), &[0.0, 1.0], &settings);
        assert!(
            matches!(refused, Err(SurrogateError::Setting { .. })),
            "{settings:?}"
        );
    }
}
