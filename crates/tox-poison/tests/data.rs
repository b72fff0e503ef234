//! Label flips and noise: exact counts, distributions, nested budgets, and checks that fail when an
//! attack does not do what it is for.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use tox_data::Dataset;
use tox_data::features::{Features, Layout, Values};
use tox_data::patch::{Patch, PatchError};
use tox_data::spec::Augment;
use tox_nn::Device;
use tox_nn::fit::FitConfig;
use tox_poison::data::clf::{
    self, Classifier, Clf, Confidence, Confidences, Target, Training, confidences,
};
use tox_poison::data::noise::{Noise, gaussian};
use tox_poison::data::{Check, Crafted, PoisonError, flip, points};
use tox_testkit::stops::{countdown, once};

fn digits() -> Dataset {
    tox_testkit::data::digits(None, 300, None)
}

/// Images of 16 x 16 equal pixels; the label of row i is i modulo 10.
fn grey(rows: usize, pixel: u8) -> Features {
    Features {
        values: Values::Bytes(vec![pixel; rows * 256]),
        rows,
        columns: 256,
        shape: Some([1, 16, 16]),
        layout: Layout::Grey,
        labels: (0..rows).map(|row| (row % 10) as u16).collect(),
        class_names: (0..10).map(|class| class.to_string()).collect(),
    }
}

fn applied(crafted: &Crafted, clean: &Features) -> Features {
    let mut poisoned = clean.clone();
    crafted.patch.apply(&mut poisoned).unwrap();
    poisoned
}

fn bytes(features: &Features) -> &[u8] {
    match &features.values {
        Values::Bytes(values) => values,
        Values::Floats(_) => panic!("8-bit"),
    }
}

/// A smaller budget's points are the first of a larger one's, and the same.
fn assert_nested(small: &Crafted, large: &Crafted) {
    let n = small.patch.indices().len();
    assert!(n < large.patch.indices().len());
    assert_eq!(small.patch.indices(), &large.patch.indices()[..n]);
    assert_eq!(small.patch.labels(), &large.patch.labels()[..n]);
    match (small.patch.values(), large.patch.values()) {
        (None, None) => {}
        (Some(Values::Bytes(a)), Some(Values::Bytes(b))) => assert_eq!(a[..], b[..a.len()]),
        other => panic!("{other:?}"),
    }
}

/// Rounded down as decimals: where Python's `int(p * n)` has 28 of 0.29 of 100, this has 29.
#[test]
fn budgets_are_shares_that_are_rounded_down() {
    let counts = [
        (0.29, 100, 29),
        (0.57, 100, 57),
        (0.07, 100, 7),
        (0.1, 60_000, 6_000),
        (0.01, 45_000, 450),
        (0.5, 1_437, 718),
        (1.0, 7, 7),
    ];
    for (budget, rows, expected) in counts {
        assert_eq!(
            points(budget, rows).unwrap(),
            expected,
            "{budget} of {rows}"
        );
    }
    for budget in [0.0, -0.1, 1.0001, f64::NAN, f64::INFINITY] {
        let error = points(budget, 100).unwrap_err();
        assert!(
            matches!(error, PoisonError::Budget { .. }),
            "{budget}: {error}"
        );
    }
    let error = points(0.009, 100).unwrap_err().to_string();
    for part in [
        "0.009 of 100",
        "0.900 of a row",
        "nothing would be poisoned",
        "1.00e-2",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn rlf_flips_exactly_its_budget_to_other_classes_uniformly() {
    let clean = grey(5_000, 9);
    let all = flip::random(&clean, 1.0, 3).unwrap();
    assert_eq!((all.check.points, all.check.flipped), (5_000, 5_000));
    // The distance from the old label to the new one is uniform in 1..=9: 5000 / 9 each, standard
    // deviation 22.2.
    let poisoned = applied(&all, &clean);
    let mut counts = [0usize; 10];
    for (old, new) in clean.labels.iter().zip(&poisoned.labels) {
        counts[usize::from((new + 10 - old) % 10)] += 1;
    }
    assert_eq!(counts[0], 0);
    for count in &counts[1..] {
        assert!((count.abs_diff(556)) < 100, "{counts:?}");
    }
    let tenth = flip::random(&clean, 0.1, 3).unwrap();
    assert_eq!(tenth.check.unreliable, None);
    assert_eq!((tenth.check.points, tenth.check.flipped), (500, 500));
    assert_eq!(tenth.check.flip_rate(), 0.1);
    assert_eq!((tenth.check.moved, tenth.check.linf), (0, 0.0));
    let poisoned = applied(&tenth, &clean);
    assert_eq!(poisoned.values, clean.values, "images are kept");
    let changed = clean.labels.iter().zip(&poisoned.labels);
    assert_eq!(changed.filter(|(a, b)| a != b).count(), 500);
    // Rows are drawn uniformly: 200 seeds of 100 of 1000 rows, 10,000 in the first half, standard
    // deviation below 71.
    let clean = grey(1_000, 9);
    let low = (0..200).map(|seed| {
        let patch = flip::random(&clean, 0.1, seed).unwrap().patch;
        patch.indices().iter().filter(|index| **index < 500).count()
    });
    let low: usize = low.sum();
    assert!(low.abs_diff(10_000) < 350, "{low}");
}

#[test]
fn budgets_of_a_seed_are_nested_and_seeds_differ() {
    let clean = grey(300, 128);
    for (small, large) in [(0.01, 0.1), (0.1, 0.5), (0.5, 1.0)] {
        let rlf = |budget| flip::random(&clean, budget, 5).unwrap();
        assert_nested(&rlf(small), &rlf(large));
        let noise = |budget| gaussian(&clean, Noise::default(), budget, 5).unwrap();
        assert_nested(&noise(small), &noise(large));
        // Attacks of a seed hit the same rows.
        assert_eq!(rlf(small).patch.indices(), noise(small).patch.indices());
    }
    let rlf = |seed| flip::random(&clean, 0.5, seed).unwrap().patch;
    assert_eq!(rlf(1), rlf(1));
    assert_ne!(rlf(1).indices(), rlf(2).indices());
}

#[test]
fn noise_has_its_spread_and_its_bound() {
    let clean = grey(200, 128);
    let changes = |crafted: &Crafted| -> Vec<f64> {
        let poisoned = applied(crafted, &clean);
        let pairs = bytes(&poisoned).iter().zip(bytes(&clean));
        pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
    };
    // Far within the bound: a rounded normal number has variance 4^2 + 1/12, here +- 0.1.
    let narrow = Noise {
        std: 4.0,
        ..Noise::default()
    };
    let all = changes(&gaussian(&clean, narrow, 1.0, 1).unwrap());
    let n = all.len() as f64;
    let mean = all.iter().sum::<f64>() / n;
    let var = all.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 0.09, "{mean}");
    assert!((var - 16.0833).abs() < 0.5, "{var}");
    // P(|16 z| >= 15.5) = 2 (1 - Phi(0.96875)) = 0.33267, standard deviation 0.0021.
    let wide = gaussian(&clean, Noise::default(), 1.0, 1).unwrap();
    let at_bound = wide.check.at_bound.unwrap();
    assert!((at_bound - 0.332_67).abs() < 0.009, "{at_bound}");
    let all = changes(&wide);
    assert_eq!(
        all.iter().filter(|c| c.abs() == 16.0).count() as f64 / n,
        at_bound
    );
    assert!(all.iter().all(|c| c.abs() <= 16.0));
    let check = &wide.check;
    assert_eq!((check.linf, check.flipped, check.moved), (16.0, 0, 200));
    assert_eq!(check.unreliable, None);
    // Black pixels cannot become darker: half of them stay (and those that round to 0).
    let black = grey(50, 0);
    let crafted = gaussian(&black, Noise::default(), 0.5, 1).unwrap();
    let poisoned = applied(&crafted, &black);
    assert_eq!(poisoned.labels, black.labels, "labels are kept");
    let still = bytes(&poisoned).iter().filter(|v| **v == 0).count() as f64;
    // 25 images untouched; of the others P(16 z < 0.5) = Phi(0.03125) = 0.51247.
    let share = (still - 25.0 * 256.0) / (25.0 * 256.0);
    assert!((share - 0.512_47).abs() < 0.026, "{share}");
    assert_eq!(crafted.check.points, 25);
}

#[test]
fn noise_that_cannot_be_is_refused_and_noise_that_is_lost_is_unreliable() {
    let clean = grey(20, 128);
    let made = |bound, std| gaussian(&clean, Noise { bound, std }, 0.5, 1);
    assert!(
        made(0, 1.0)
            .unwrap_err()
            .to_string()
            .contains("`bound` = 0")
    );
    for std in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(made(16, std).unwrap_err().to_string().contains("`std`"));
    }
    let floats = clean.clone().into_floats();
    let error = gaussian(&floats, Noise::default(), 0.5, 1).unwrap_err();
    assert!(error.to_string().contains("found floats"), "{error}");
    let lost = made(16, 0.05).unwrap().check;
    assert_eq!(lost.linf, 0.0);
    let reason = lost.unreliable.unwrap();
    assert!(reason.contains("10 of 10 images are as before"), "{reason}");
}

#[test]
fn checks_fail_for_patches_that_do_something_else() {
    let clean = grey(10, 100);
    let labels = |labels| Patch::of_labels(&clean, vec![4, 5], labels, "x", true.into()).unwrap();
    let reason = |check: Result<Check, PatchError>| check.unwrap().unreliable.unwrap();
    let kept = reason(Check::labels(&labels(vec![4, 6]), &clean));
    assert!(
        kept.contains("1 of 2 rows keep their clean label"),
        "{kept}"
    );
    assert_eq!(
        Check::labels(&labels(vec![3, 6]), &clean)
            .unwrap()
            .unreliable,
        None
    );
    let images = |pixel: u8| {
        let mut values = vec![100; 256];
        values[7] = pixel;
        Patch::of_images(&clean, vec![3], values, "x", true.into()).unwrap()
    };
    let over = reason(Check::images(&images(117), &clean, 16));
    assert!(over.contains("17/255, over the bound of 16/255"), "{over}");
    let good = Check::images(&images(84), &clean, 16).unwrap();
    assert_eq!((good.linf, good.moved, good.unreliable), (16.0, 1, None));
    assert_eq!(good.at_bound, Some(1.0 / 256.0));
    let both = Patch::new(&clean, vec![1], vec![7], vec![0.4; 256], "x", true.into()).unwrap();
    assert!(reason(Check::labels(&both, &clean)).contains("changed 1 of 1 images"));
    assert!(reason(Check::images(&both, &clean, 16)).contains("flipped 1 of 1 labels"));
    let other = grey(10, 101);
    assert!(Check::labels(&both, &other).is_err());
}

/// Four rows, worked out by hand.
#[test]
fn clf_takes_the_most_confident_rows_and_the_asked_label() {
    let mut clean = grey(4, 1);
    clean.labels = vec![0, 1, 2, 0];
    clean.class_names.truncate(3);
    let table = [
        [0.7, 0.2, 0.1],
        [0.05, 0.9, 0.05],
        [0.9, 0.06, 0.04], // wrong
        [0.9, 0.02, 0.08],
    ];
    let table = Confidences::new(3, table.concat(), "by hand".into()).unwrap();
    assert_eq!(table.accuracy(&clean.labels), 0.75);
    let made = |target, confidence, budget| {
        let clf = Clf { target, confidence };
        let crafted = clf::flip(&clean, &table, clf, budget).unwrap();
        assert_eq!(crafted.check.unreliable, None);
        assert_eq!(crafted.check.flipped, crafted.check.points);
        crafted
    };
    use {Confidence::*, Target::*};
    let points = |crafted: &Crafted| -> Vec<(u64, u16)> {
        let pairs = crafted.patch.indices().iter().zip(crafted.patch.labels());
        pairs.map(|(index, label)| (*index, *label)).collect()
    };
    let least = made(LeastLikely, Prediction, 0.75);
    assert_eq!(points(&least), [(1, 0), (2, 1), (3, 1)]);
    let second = made(SecondMostLikely, Prediction, 1.0);
    assert_eq!(points(&second), [(1, 0), (2, 0), (3, 2), (0, 1)]);
    let label = made(LeastLikely, Label, 1.0);
    assert_eq!(points(&label), [(1, 0), (3, 1), (0, 2), (2, 1)]);
    assert_nested(&made(LeastLikely, Prediction, 0.25), &least);
    let settings = &least.patch.manifest().settings;
    assert_eq!(settings["clf"]["target"], "least-likely");
    assert_eq!(settings["classifier"], "by hand");
}

#[test]
fn confidences_that_are_none_are_refused_and_useless_ones_are_unreliable() {
    let refused = |classes, values: &[f64], part: &str| {
        let error = Confidences::new(classes, values.to_vec(), true.into()).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(1, &[1.0], "at least 2");
    refused(3, &[], "0 values");
    refused(3, &[0.5, 0.5], "2 values make no rows of 3");
    refused(2, &[0.5, 0.5, 1.2, -0.2], "row 1 holds 1.2");
    refused(2, &[0.5, f64::NAN], "row 0 holds NaN");
    refused(2, &[0.5, 0.4], "adds up to 0.9");
    let clean = grey(20, 1);
    let table = |rows: usize| Confidences::new(10, vec![0.1; 10 * rows], true.into()).unwrap();
    let error = clf::flip(&clean, &table(19), Clf::default(), 0.5).unwrap_err();
    assert!(
        error.to_string().contains("19 rows and 10 classes"),
        "{error}"
    );
    let check = clf::flip(&clean, &table(20), Clf::default(), 0.5)
        .unwrap()
        .check;
    assert_eq!(check.flipped, 10);
    let reason = check.unreliable.unwrap();
    assert!(
        reason.contains("no better than naming the most frequent class"),
        "{reason}"
    );
}

/// A narrow ResNet-18 on the digits' 1,437 search images, stopped once on its way.
#[test]
fn clf_with_a_trained_classifier_flips_what_it_is_surest_of() {
    let data = digits();
    let clean = data.pool();
    let classifier = Classifier {
        width: 8,
        fit: FitConfig {
            epochs: 8,
            batch: 32,
            ..FitConfig::default()
        },
    };
    let folder = tempfile::tempdir().unwrap();
    let train = |clean: &Features, classifier: &Classifier, steps: usize| {
        let training = Training {
            clean,
            normalise: &data.normalise,
            augment: &Augment::default(),
            classifier,
            seed: 2,
            device: Device::flex(),
        };
        let checkpoint = folder.path().join("classifier.safetensors");
        once(
            &checkpoint,
            "clf on digits",
            &mut countdown(steps),
            |hooks| confidences(&training, hooks),
        )
    };
    let refused = Classifier {
        width: 0,
        ..classifier.clone()
    };
    let error = train(&clean, &refused, 9).unwrap_err().to_string();
    assert!(error.contains("`width` = 0"), "{error}");
    let error = train(&clean.clone().into_floats(), &classifier, 9).unwrap_err();
    assert!(
        error.to_string().contains("8-bit images, found floats"),
        "{error}"
    );
    assert!(
        train(&clean, &classifier, 100).unwrap().is_none(),
        "stopped"
    );
    let table = train(&clean, &classifier, usize::MAX).unwrap().unwrap();
    let accuracy = table.accuracy(&clean.labels);
    assert!(accuracy > 0.93, "{accuracy}");
    let crafted = clf::flip(&clean, &table, Clf::default(), 0.1).unwrap();
    assert_eq!(crafted.check.unreliable, None);
    assert_eq!((crafted.check.points, crafted.check.flipped), (143, 143));
    let rows: Vec<&[f64]> = table.rows().collect();
    let sure = |row: usize| rows[row].iter().copied().fold(0.0, f64::max);
    let chosen = crafted.patch.indices();
    let least_sure = chosen.iter().map(|i| sure(*i as usize)).fold(1.0, f64::min);
    for row in 0..clean.rows {
        assert!(
            chosen.contains(&(row as u64)) || sure(row) <= least_sure,
            "row {row}"
        );
    }
    for (index, label) in chosen.iter().zip(crafted.patch.labels()) {
        let row = rows[*index as usize];
        let given = row[usize::from(*label)];
        let own = clean.labels[*index as usize];
        let others = (0..10u16).filter(|class| *class != own);
        assert!(
            others
                .into_iter()
                .all(|class| given <= row[usize::from(class)])
        );
    }
}

/// Through a file to both halves of the search's data, and to no other data.
#[test]
fn poisons_go_through_files_to_a_search_and_to_no_other_data() {
    let clean = digits();
    let pool = clean.pool();
    let folder = tempfile::tempdir().unwrap();
    let crafted = [
        flip::random(&pool, 0.5, 1).unwrap(),
        gaussian(&pool, Noise::default(), 0.5, 1).unwrap(),
    ];
    for (mut crafted, name) in crafted.into_iter().zip(["rlf.npz", "noise.safetensors"]) {
        let path = folder.path().join(name);
        crafted.patch.save(&path).unwrap();
        let read = Patch::load(&path).unwrap();
        assert_eq!(read, crafted.patch);
        let mut poisoned = clean.clone();
        read.apply_to(&mut poisoned).unwrap();
        for (before, after) in [
            (&clean.train, &poisoned.train),
            (&clean.valid, &poisoned.valid),
        ] {
            let changed = match name {
                "rlf.npz" => before.labels != after.labels && before.images == after.images,
                _ => before.labels == after.labels && before.images != after.images,
            };
            assert!(changed, "{name}");
        }
        assert_eq!(poisoned.test, clean.test);
        let mut other = clean.clone();
        other.valid.images.pixels[3] ^= 1;
        let error = read.apply_to(&mut other).unwrap_err();
        assert!(matches!(error, PatchError::OtherSet { .. }), "{error}");
    }
    // Flipped labels cost bytes, not images.
    let size = std::fs::metadata(folder.path().join("rlf.npz"))
        .unwrap()
        .len();
    assert!(size < 20 * 718, "{size}");
}
