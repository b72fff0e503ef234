//! Denoisers against hand-worked planes, scipy and scikit-image.

use super::support::{against, applied, apply_until, assert_same, digits, inputs, recipe};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::Deserialize;
use std::collections::BTreeMap;
use tox_data::rng::stream;
use tox_data::spec::Augment;
use tox_poison::cleanse::{Denoise, Median, TvChambolle, tv_chambolle};
use tox_poison::data::noise::{Noise, gaussian};

#[derive(Deserialize)]
struct Case {
    height: usize,
    plane: Vec<u8>,
    median: BTreeMap<usize, Vec<u8>>,
    tv: Vec<Tv>,
}

#[derive(Deserialize)]
struct Tv {
    weight: f64,
    eps: f64,
    iterations: usize,
    values: Vec<f64>,
}

#[test]
fn medians_and_total_variation_are_those_of_scipy_and_scikit_image() {
    let text = include_str!("../fixtures/denoise.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let sides = (case.height, case.plane.len() / case.height);
        for (size, expected) in case.median {
            let mut plane = case.plane.clone();
            Denoise::Median(Median { size }).plane(&mut plane, sides);
            assert_eq!(plane, expected, "median of side {size}");
        }
        let image: Vec<f64> = case.plane.iter().map(|v| f64::from(*v) / 255.0).collect();
        for tv in case.tv {
            let settings = TvChambolle {
                weight: tv.weight,
                eps: tv.eps,
                iterations: tv.iterations,
            };
            let found = tv_chambolle(&image, sides, &settings);
            for (found, expected) in found.iter().zip(&tv.values) {
                assert!((found - expected).abs() < 1e-11, "{found} {expected}");
            }
            // The divergence of a field that ends at the borders adds up to 0.
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            assert!((mean(&found) - mean(&image)).abs() < 1e-12);
        }
    }
}

/// A ramp whose total variation is the sum of its steps: a longer way to the minimum only lowers
/// `weight * TV + |u - f|^2 / 2`.
#[test]
fn the_objective_of_total_variation_falls() {
    let case: Vec<Case> = serde_json::from_str(include_str!("../fixtures/denoise.json")).unwrap();
    let case = &case[2];
    let (h, w) = (case.height, case.plane.len() / case.height);
    let image: Vec<f64> = case.plane.iter().map(|v| f64::from(*v) / 255.0).collect();
    let objective = |iterations| {
        let settings = TvChambolle {
            eps: 0.0,
            iterations,
            ..TvChambolle::default()
        };
        let u = tv_chambolle(&image, (h, w), &settings);
        let step = |at: usize| {
            let down = if at / w + 1 < h {
                u[at + w] - u[at]
            } else {
                0.0
            };
            let right = if at % w + 1 < w {
                u[at + 1] - u[at]
            } else {
                0.0
            };
            down.hypot(right)
        };
        let variation: f64 = (0..u.len()).map(step).sum();
        let distance = u.iter().zip(&image).map(|(u, f)| (u - f).powi(2));
        0.1 * variation + distance.sum::<f64>() / 2.0
    };
    let values = [1, 2, 5, 20, 80, 400].map(objective);
    assert!(values.windows(2).all(|v| v[1] < v[0]), "{values:?}");
}

#[test]
fn planes_by_hand() {
    let with = |text: &str, plane: &[u8], sides| {
        let denoise: Denoise = toml::from_str(text).unwrap();
        let mut plane = plane.to_vec();
        denoise.plane(&mut plane, sides);
        plane
    };
    // A lone bright pixel goes, an edge stays.
    let median = r#"method = "median""#;
    let salt = [0, 0, 0, 0, 255, 0, 0, 0, 0];
    assert_eq!(with(median, &salt, (3, 3)), [0; 9]);
    let edge = [0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 9, 9];
    assert_eq!(with(median, &edge, (3, 4)), edge);
    // Corner: 1 four times, 2 and 4 twice, 5 once.
    let nine = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(with(median, &nine, (3, 3)), [2, 3, 3, 4, 5, 6, 7, 7, 8]);
    let one = "method = \"bit-depth\"\nbits = 1";
    assert_eq!(with(one, &[0, 127, 128, 255], (2, 2)), [0, 0, 255, 255]);
    let two = "method = \"bit-depth\"\nbits = 2";
    assert_eq!(
        with(two, &[42, 43, 127, 128, 212, 213], (2, 3)),
        [0, 85, 85, 170, 170, 255]
    );
    // Steps of 255 / 7 = 36.43: 36, 73, 109, 146, 182, 219.
    let three = "method = \"bit-depth\"\nbits = 3";
    assert_eq!(
        with(three, &[36, 70, 110, 150, 180, 220], (2, 3)),
        [36, 73, 109, 146, 182, 219]
    );
    for text in [median, one, "method = \"tv-chambolle\"\nweight = 3.0"] {
        let constant = with(text, &[255; 12], (3, 4));
        assert_eq!(constant, [255; 12], "{text}");
    }
}

#[test]
fn settings_that_do_nothing_change_nothing_bit_for_bit() {
    let data = digits();
    let augment = Augment::default();
    for text in [
        r#"{ kind = "denoise", method = "median", size = 1 }"#,
        r#"{ kind = "denoise", method = "bit-depth", bits = 8 }"#,
        r#"{ kind = "denoise", method = "tv-chambolle", iterations = 1 }"#,
    ] {
        let (cleaned, report) = applied(&recipe(text), &inputs(&data, &augment)).unwrap();
        assert_same(&cleaned, &data);
        assert_eq!(
            (report.images_changed, report.mean_change),
            (0, 0.0),
            "{text}"
        );
    }
}

/// A disc under Gaussian noise of 16/255: what a denoiser makes of it is nearer to the clean one.
#[test]
fn noise_on_a_disc_mostly_goes() {
    let sides = (32, 32);
    let disc: Vec<u8> = (0..32 * 32)
        .map(
            |at: i32| match (at / 32 - 15).pow(2) + (at % 32 - 17).pow(2) < 90 {
                true => 190,
                false => 60,
            },
        )
        .collect();
    let mut rng = stream(7, "test", &[]);
    let mut move_by = |v: &u8| (f64::from(*v) + 16.0 * rng.sample::<f64, _>(StandardNormal)) as u8;
    let noisy: Vec<u8> = disc.iter().map(&mut move_by).collect();
    let distance = |plane: &[u8]| -> u64 {
        let pairs = plane.iter().zip(&disc);
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
    };
    for text in ["method = \"median\"", "method = \"tv-chambolle\""] {
        let denoise: Denoise = toml::from_str(text).unwrap();
        let mut plane = noisy.clone();
        denoise.plane(&mut plane, sides);
        let (before, after) = (distance(&noisy), distance(&plane));
        eprintln!("{text}: {before} {after}");
        assert!(after * 3 < before, "{text}: {before} {after}");
    }
}

/// On noisy digits: all methods change images only, by an amount that the report says, and the same on
/// one thread.
#[test]
fn noisy_digits_are_smoothed_whatever_the_threads() {
    let clean = digits();
    let noise = gaussian(&clean.pool(), Noise::default(), 0.5, 3).unwrap();
    for text in [
        r#"{ kind = "denoise", method = "median" }"#,
        r#"{ kind = "denoise", method = "tv-chambolle" }"#,
        r#"{ kind = "denoise", method = "bit-depth" }"#,
    ] {
        let run = || against(&clean, &noise, text, None);
        let (poisoned, cleaned, report) = run();
        assert_eq!(cleaned.pool().labels, clean.pool().labels);
        assert_eq!(cleaned.test, clean.test);
        assert_eq!((report.dropped, report.relabelled), (0, 0));
        let found = report.against.unwrap();
        assert_eq!((found.poisoned, found.caught), (718, 718), "{text}");
        let pools = [
            poisoned.pooled().images.pixels,
            cleaned.pooled().images.pixels,
        ];
        let changes = || pools[0].iter().zip(&pools[1]).map(|(a, b)| a.abs_diff(*b));
        assert_eq!(changes().max().unwrap(), report.largest_change);
        let sum: u64 = changes().map(u64::from).sum();
        assert_eq!(report.mean_change, sum as f64 / pools[0].len() as f64);
        assert!(report.mean_change > 0.5, "{report:?}");
        let images = pools[0].chunks_exact(64).zip(pools[1].chunks_exact(64));
        let changed = images.filter(|(a, b)| a != b).count();
        assert_eq!(changed, report.images_changed);
        assert_eq!(changed, found.caught + found.clean_touched);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1);
        let (_, alone, same) = one.build().unwrap().install(run);
        assert_same(&alone, &cleaned);
        assert_eq!(same, report);
    }
}

#[test]
fn denoising_can_be_stopped() {
    let data = digits();
    let augment = Augment::default();
    let median = recipe(r#"{ kind = "denoise", method = "median" }"#);
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let stopped = apply_until(&median, &inputs(&data, &augment), &checkpoint, 2).unwrap();
    assert!(stopped.is_none());
}
