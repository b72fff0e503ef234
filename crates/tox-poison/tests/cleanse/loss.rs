//! The loss filter on real digits, and inputs that it refuses.

use super::support::{against, applied, apply_until, assert_same, by_hand, digits, inputs, recipe};
use tox_data::features::Features;
use tox_data::spec::Augment;
use tox_poison::cleanse::{Inputs, trusted};
use tox_poison::data::flip;

const NETWORK: &str = "network = { width = 8, steps = 120, batch = 32 }";

#[test]
fn trusted_images_are_balanced_and_drawn_by_seed() {
    let clean = digits();
    let a = trusted((&clean).into(), 203, 1).unwrap();
    let mut counts = [0; 10];
    for &label in &a.labels {
        counts[usize::from(label)] += 1;
    }
    assert_eq!(counts, [21, 21, 21, 20, 20, 20, 20, 20, 20, 20]);
    assert_eq!(a, trusted((&clean).into(), 203, 1).unwrap());
    assert_ne!(a, trusted((&clean).into(), 203, 2).unwrap());
    let (pool, a) = (clean.pooled(), a.images().unwrap());
    let stride = a.images.stride();
    let rows: Vec<&[u8]> = pool.images.pixels.chunks_exact(stride).collect();
    for (image, label) in a.images.pixels.chunks_exact(stride).zip(&a.labels) {
        let there = rows.iter().zip(&pool.labels);
        assert!(
            there
                .into_iter()
                .any(|(row, l)| *row == image && l == label)
        );
    }
    let refused = |count| trusted((&clean).into(), count, 1).unwrap_err().to_string();
    assert!(refused(9).contains("9 rows of 10 classes"));
    assert!(refused(1_437).contains("lower `trusted`"));
}

/// The adversary flips a tenth of the labels, the defender knows that, and has looked at 200 images.
#[test]
fn flipped_digits_have_the_highest_loss_of_a_network_trained_on_a_few_trusted_ones() {
    let clean = digits();
    let rlf = flip::random(&clean.pool(), 0.1, 6).unwrap();
    let trusted = trusted((&clean).into(), 200, 1).unwrap();
    let text = format!(r#"{{ kind = "loss-filter", trusted = 200, drop = 0.1, {NETWORK} }}"#);
    let (data, cleaned, report) = against(&clean, &rlf, &text, Some(&trusted));
    let found = report.against.unwrap();
    eprintln!("{found:?}");
    assert_eq!((report.dropped, report.relabelled), (143, 0));
    assert_eq!(report.train_left + report.valid_left, 1_437 - 143);
    assert_eq!(cleaned.train.len() + cleaned.valid.len(), 1_437 - 143);
    assert_eq!(cleaned.test, clean.test);
    // By chance it were a tenth.
    assert!(found.recall().unwrap() > 0.8, "{found:?}");
    assert_eq!(found.caught + found.clean_touched, 143);
    assert_eq!(found.restored, 0);
    // As many are dropped by default, and stopping on the way changes nothing.
    let augment = Augment::default();
    let inputs = Inputs {
        trusted: Some(&trusted),
        ..inputs(&data, &augment)
    };
    let by_default = recipe(&format!(r#"{{ kind = "loss-filter", {NETWORK} }}"#));
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let stopped = apply_until(&by_default, &inputs, &checkpoint, 50).unwrap();
    assert!(stopped.is_none() && checkpoint.exists());
    let (again, _) = apply_until(&by_default, &inputs, &checkpoint, usize::MAX)
        .unwrap()
        .unwrap();
    assert_same(&again, &cleaned);
}

#[test]
fn a_quantile_of_held_out_losses_needs_no_guess_of_the_budget() {
    let clean = digits();
    let rlf = flip::random(&clean.pool(), 0.3, 6).unwrap();
    let trusted = trusted((&clean).into(), 300, 1).unwrap();
    let dropped = |quantile: f64| {
        let text = format!(r#"{{ kind = "loss-filter", quantile = {quantile:?}, {NETWORK} }}"#);
        against(&clean, &rlf, &text, Some(&trusted)).2
    };
    let report = dropped(0.95);
    let found = report.against.unwrap();
    eprintln!("{found:?}");
    assert_eq!(found.poisoned, 431);
    assert!(found.recall().unwrap() > 0.85, "{found:?}");
    assert!(found.clean_touched < 150, "{found:?}");
    let lenient = dropped(1.0);
    assert!(lenient.dropped < report.dropped, "{lenient:?}");
}

#[test]
fn dropping_nothing_changes_nothing() {
    let data = digits();
    let trusted = trusted((&data).into(), 20, 1).unwrap();
    let augment = Augment::default();
    let inputs = Inputs {
        trusted: Some(&trusted),
        ..inputs(&data, &augment)
    };
    let none = recipe(r#"{ kind = "loss-filter", drop = 0, network = { width = 2, steps = 1 } }"#);
    let (cleaned, report) = applied(&none, &inputs).unwrap();
    assert_same(&cleaned, &data);
    assert_eq!((report.dropped, report.mean_change), (0, 0.0));
}

#[test]
fn trusted_images_of_no_use_are_refused() {
    let data = by_hand(
        2,
        2,
        &[(&[1, 1], 0), (&[2, 1], 1), (&[3, 5], 0), (&[4, 4], 1)],
    );
    let augment = Augment::default();
    let filter = recipe(r#"{ kind = "loss-filter", network = { width = 1, steps = 1 } }"#);
    let refused = |trusted: Option<&Features>| {
        let inputs = Inputs {
            trusted,
            ..inputs(&data, &augment)
        };
        applied(&filter, &inputs).unwrap_err().to_string()
    };
    let of = |rows: &[(&[u8], u16)]| {
        let data = by_hand(rows[0].0.len(), rows.len(), rows);
        Features::of(data.train, data.class_names)
    };
    assert!(refused(None).contains("there are none"));
    assert!(refused(Some(&of(&[(&[1, 1], 0)]))).contains("expected at least 2"));
    let other = refused(Some(&of(&[(&[1], 0), (&[1], 1)])));
    assert!(
        other.contains("[1, 1, 1] (channels, height, width), expected images of shape [1, 1, 2]"),
        "{other}"
    );
    let label = refused(Some(&of(&[(&[1, 1], 0), (&[1, 2], 2)])));
    assert!(label.contains("label 2, expected one below 2"), "{label}");
    let missing = refused(Some(&of(&[(&[1, 1], 0), (&[1, 2], 0)])));
    assert!(missing.contains("is of class 1"), "{missing}");
}
