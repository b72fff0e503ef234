//! Flipped labels and noise.

use crate::support::{PROGRAM, bytes, digits, refused, report};
use serde_json::Value;
use std::path::Path;
use tox_data::features::FeatureSets;
use tox_testkit::program::Program;

#[test]
fn random_flips_are_as_many_as_asked_and_nested() {
    let dir = tempfile::tempdir().unwrap();
    let clean = digits();
    let flipped = |budget: f64, seed: u64| -> Vec<(usize, u16)> {
        let args =
            format!("--attack rlf --data digits --budget {budget} --seed {seed} --out p.npz");
        let said = report(dir.path(), &args);
        let set = FeatureSets::load(&dir.path().join("p.npz")).unwrap();
        assert_eq!(bytes(&set), bytes(&clean), "a label attack keeps images");
        let pairs = set.train.labels.iter().zip(&clean.train.labels);
        let rows = pairs.enumerate().filter(|(_, (new, old))| new != old);
        let rows: Vec<_> = rows.map(|(row, (new, _))| (row, *new)).collect();
        assert_eq!(said["check"]["flipped"], rows.len());
        assert_eq!(said["flip_rate"], rows.len() as f64 / 1437.0);
        rows
    };
    let (few, many) = (flipped(0.1, 0), flipped(0.5, 0));
    assert_eq!([few.len(), many.len()], [143, 718]);
    assert!(few.iter().all(|flip| many.contains(flip)));
    assert_ne!(flipped(0.1, 1), few);
    assert_eq!(flipped(0.1, 0), few);
    assert_eq!(flipped(1.0, 0).len(), 1437);
}

#[test]
fn noise_stays_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let clean = digits();
    for bound in [1u8, 16] {
        let args = format!("--attack noise --data digits --budget 0.3 --bound {bound} --out p.npz");
        let said = report(dir.path(), &args);
        let set = FeatureSets::load(&dir.path().join("p.npz")).unwrap();
        assert_eq!(set.train.labels, clean.train.labels, "labels are kept");
        let changes = bytes(&set)
            .iter()
            .zip(bytes(&clean))
            .map(|(a, b)| a.abs_diff(*b));
        assert_eq!(changes.clone().max(), Some(bound));
        let images = changes.collect::<Vec<u8>>();
        let moved = images
            .chunks(64)
            .filter(|image| image.iter().any(|c| *c > 0));
        assert_eq!(
            [moved.count(), 431],
            [431, said["check"]["moved"].as_u64().unwrap() as usize]
        );
    }
}

/// The surest rows of a classifier that is right get the label that it finds least likely; another run
/// gives the same file.
#[test]
fn confidence_based_flips_are_exact_and_repeatable() {
    let dir = tempfile::tempdir().unwrap();
    let clf = "--attack clf --data digits --budget 0.1 --width 4 --epochs 6";
    let said = report(dir.path(), &format!("{clf} --out a.npz"));
    assert_eq!(said["check"]["flipped"], 143);
    assert_eq!(said["check"]["unreliable"], Value::Null);
    assert!(
        said["classifier_accuracy"].as_f64().unwrap() > 0.8,
        "{said}"
    );
    report(dir.path(), &format!("{clf} --out b.npz"));
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("a.patch.npz"), read("b.patch.npz"));
    assert!(!dir.path().join("a.npz.unfinished").exists());
    let kept = format!("{clf} --out a.npz --out study");
    assert_eq!(report(dir.path(), &kept)["check"], said["check"]);
    let verified = Program(PROGRAM).words(dir.path(), "verify study");
    verified.must(0, &[]);
    assert!(dir.path().join("study/report.html").exists());
    let second = format!("{clf} --target second-most-likely --out c.npz");
    report(dir.path(), &second);
    assert_ne!(read("a.patch.npz"), read("c.patch.npz"));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let floats = floats_attacked(dir.path());
    let commands = [
        (
            "--attack rlf --data digits --budget 0",
            2,
            "a budget above 0",
        ),
        ("--attack rlf --data digits --budget 1.5", 2, "at most 1"),
        (
            "--attack rlf --data digits --budget nan",
            2,
            "a budget above 0",
        ),
        (
            "--attack rlf --data digits --budget 0.0001",
            2,
            "no row at all",
        ),
        (
            "--attack rlf --data digits --steps 300",
            2,
            "--steps is of no use to --attack rlf",
        ),
        (
            "--attack noise --data digits --epochs 2",
            2,
            "use --attack clf",
        ),
        (
            "--attack bilevel --data digits --bound 8",
            2,
            "use --attack noise",
        ),
        // Neither has an attack that would read it.
        (
            "--attack rlf --data digits --set budget=0.5",
            2,
            "--set is of no use to --attack rlf",
        ),
        (
            "--data digits --classes 3,8 --set lr=0.1",
            2,
            "--set is of no use to --attack bilevel",
        ),
        ("--attack noise --data digits --bound 0", 2, "`bound` = 0"),
        ("--attack noise --data digits --std -1", 2, "`std` = -1"),
        ("--attack clf --data digits --width 0", 2, "`width` = 0"),
        (
            "--attack clf --data digits --epochs 0",
            2,
            "`fit.epochs` = 0",
        ),
        ("--attack clf --data digits --device tpu", 2, "tpu"),
        (floats.as_str(), 3, "needs 8-bit images, found floats"),
    ];
    refused(dir.path(), &commands);
}

/// The noise on a data set of floats.
fn floats_attacked(dir: &Path) -> String {
    let set = digits();
    let floats = FeatureSets {
        train: set.train.into_floats(),
        test: None,
    };
    floats.save(&dir.join("floats.npz")).unwrap();
    "--attack noise --data floats.npz --budget 0.1".to_owned()
}
