//! `toxscreen poison` with the attacks on rows: what is written is what was asked for, and what cannot
//! be done is refused.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use tox_data::features::{FeatureSets, Values};
use tox_data::patch::Patch;

/// Runs `toxscreen poison` in `dir`: exit code, stdout, stderr.
fn poison(dir: &Path, args: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_toxscreen"))
        .arg("poison")
        .args(args.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

fn report(dir: &Path, args: &str) -> Value {
    let (code, out, err) = poison(dir, &format!("{args} --json"));
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

fn bytes(set: &FeatureSets) -> &[u8] {
    match &set.train.values {
        Values::Bytes(bytes) => bytes,
        Values::Floats(_) => panic!("floats"),
    }
}

/// The clean digits, by a poison that changes one label.
fn clean(dir: &Path) -> FeatureSets {
    report(
        dir,
        "--attack rlf --data digits --budget 0.0007 --out one.npz",
    );
    let patch = Patch::load(&dir.join("one.patch.npz")).unwrap();
    let mut set = FeatureSets::load(&dir.join("one.npz")).unwrap();
    let [row] = patch.indices() else {
        panic!("{:?}", patch.indices())
    };
    // Its hash is checked by applying the patch, so one of the labels must fit.
    let label = (0..10).find(|label| {
        set.train.labels[*row as usize] = *label;
        patch.apply(&mut set.train.clone()).is_ok()
    });
    set.train.labels[*row as usize] = label.unwrap();
    set
}

#[test]
fn random_flips_are_as_many_as_asked_and_nested() {
    let dir = tempfile::tempdir().unwrap();
    let clean = clean(dir.path());
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
    let clean = clean(dir.path());
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
    assert!(!dir.path().join("a.checkpoint.safetensors").exists());
    let second = format!("{clf} --target second-most-likely --out c.npz");
    report(dir.path(), &second);
    assert_ne!(read("a.patch.npz"), read("c.patch.npz"));
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let floats = floats_attacked(dir.path());
    let refused = [
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
        ("--attack noise --data digits --bound 0", 2, "`bound` = 0"),
        ("--attack noise --data digits --std -1", 2, "`std` = -1"),
        ("--attack clf --data digits --width 0", 2, "`width` = 0"),
        ("--attack clf --data digits --epochs 0", 2, "`epochs` = 0"),
        ("--attack clf --data digits --device tpu", 2, "tpu"),
        (floats.as_str(), 3, "needs 8-bit images, found floats"),
    ];
    for (args, code, what) in refused {
        let (found, out, err) = poison(dir.path(), &format!("{args} --out p.npz"));
        assert_eq!(found, code, "{args}: {out}{err}");
        assert!(
            err.contains(what) && err.contains("hint: "),
            "{args}: {err}"
        );
        assert!(!dir.path().join("p.npz").exists(), "{args}");
    }
}

/// The noise on a data set of floats.
fn floats_attacked(dir: &Path) -> String {
    let set = clean(dir);
    let floats = FeatureSets {
        train: set.train.into_floats(),
        test: None,
    };
    floats.save(&dir.join("floats.npz")).unwrap();
    "--attack noise --data floats.npz --budget 0.1".to_owned()
}
