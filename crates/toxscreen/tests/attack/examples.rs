//! What `--out` keeps: adversarial examples that are what the numbers say, a table of images, and how a stopped
//! attack goes on.

use super::{PROGRAM, compressed, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tox_audits::network::architectures::{Arch, Images};
use tox_data::Normalise;
use tox_nn::Device;
use tox_nn::nets::file::WeightsFile;
use tox_robust::attacks::predicted;
use tox_testkit::arrays::{Npy, unzipped};
use tox_testkit::program::{interrupt, silent, trials};

const ATTACK: &str = "attack --weights a/found.safetensors --data digits --classes 0,1,2,3 --attack fgsm,pgd5 \
                      --epsilon 0.2 --images 70";

struct Read(BTreeMap<String, Npy>);

impl Read {
    fn of(path: &Path) -> Self {
        Self(unzipped(&fs::read(path).unwrap()))
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        assert_eq!(self.0[name].descr, "<i8");
        let (words, _) = self.0[name].data.as_chunks::<8>();
        words.iter().map(|w| i64::from_le_bytes(*w)).collect()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        assert_eq!(self.0[name].descr, "<f4");
        let (words, _) = self.0[name].data.as_chunks::<4>();
        words.iter().map(|w| f32::from_le_bytes(*w)).collect()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let array = &self.0[name];
        let width: usize = array.descr.strip_prefix("<U").unwrap().parse().unwrap();
        let text = |bytes: &[u8]| -> String {
            let (words, _) = bytes.as_chunks::<4>();
            let letters = words
                .iter()
                .map(|w| char::from_u32(u32::from_le_bytes(*w)).unwrap());
            letters.filter(|c| *c != '\0').collect()
        };
        array.data.chunks(4 * width).map(text).collect()
    }
}

/// Logits for images of the network that a report is of.
fn logits(weights: &Path, report: &Value, shape: &[usize], pixels: &[f32]) -> Vec<f32> {
    let file = WeightsFile::read(weights).unwrap();
    let images = Images {
        shape: [shape[1], shape[2], shape[3]],
        classes: 4,
    };
    let constants = |key: &str| -> Vec<f32> {
        let values = report["normalise"][key].as_array().unwrap().iter();
        values.map(|v| v.as_f64().unwrap() as f32).collect()
    };
    let normalise = Normalise {
        mean: constants("mean"),
        std: constants("std"),
    };
    let taken = Arch::of(&file).unwrap().take(&file, images).unwrap();
    let oracle = taken.network.oracle(&normalise, images, Device::flex());
    oracle.logits(pixels)
}

#[test]
fn examples_are_what_the_numbers_say() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    compressed(at, "0,1,2,3", "a", &["--judge", "fgsm"]);
    let words = format!("{ATTACK} --out adv.npz --out s");
    let report = PROGRAM.json(at, &words, 0);
    let evaluation = &report["evaluation"];
    let read = Read::of(&at.join("adv.npz"));
    let (images, labels) = (read.floats("images"), read.integers("labels"));
    let shape = &read.0["images"].shape;
    assert_eq!(shape[..2], [70, 1]);
    assert!(images.iter().all(|v| (0.0..=1.0).contains(v)));
    assert_eq!(read.integers("indices"), (0..70).collect::<Vec<i64>>());

    // Asked again, the network is right on exactly so many of them as the worst case says.
    let logits = logits(&at.join("a/found.safetensors"), &report, shape, &images);
    let again: Vec<i64> = logits
        .chunks(4)
        .map(|row| predicted(row).unwrap() as i64)
        .collect();
    assert_eq!(again, read.integers("prediction"));
    let share = |right: usize| Value::from(100.0 * right as f64 / 70.0);
    let right = again.iter().zip(&labels).filter(|(a, b)| a == b).count();
    assert_eq!(evaluation["worst_case"], share(right));
    assert!(right > 0 && evaluation["worst_case"] != evaluation["clean"]);
    let clean = read.integers("clean");
    let right = clean.iter().zip(&labels).filter(|(a, b)| a == b).count();
    assert_eq!(evaluation["clean"], share(right));

    // By attack, and the first that fools.
    assert_eq!(read.texts("attacks"), ["fgsm", "pgd5"]);
    let (fooled, distance) = (&read.0["fooled"].data, read.floats("distance"));
    assert_eq!(read.0["fooled"].descr, "|b1");
    for attack in 0..2 {
        let of = fooled
            .iter()
            .skip(attack)
            .step_by(2)
            .filter(|f| **f == 1)
            .count();
        assert_eq!(evaluation["attacks"][attack]["accuracy"], share(right - of));
    }
    let outcomes = read.texts("attack");
    for i in 0..70 {
        let expected = match (clean[i] == labels[i], fooled[2 * i], fooled[2 * i + 1]) {
            (false, ..) => "misclassified",
            (true, 1, _) => "fgsm",
            (true, 0, 1) => "pgd5",
            (true, ..) => "robust",
        };
        assert_eq!(outcomes[i], expected, "{i}");
        assert!((0..2).all(|a| (fooled[2 * i + a] == 1) == distance[2 * i + a].is_finite()));
    }
    assert!(distance.iter().all(|d| d.is_nan() || *d <= 0.2 && *d > 0.0));
    for word in ["fgsm", "pgd5", "robust"] {
        assert!(outcomes.iter().any(|o| o == word), "{word}");
    }

    // The table says the same.
    let folder = &trials(&at.join("s"))[0];
    assert_eq!(
        report["images"],
        folder
            .strip_prefix(at)
            .unwrap()
            .join("images.csv")
            .to_str()
            .unwrap()
    );
    let table = fs::read_to_string(folder.join("images.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(
        rows[0][..7],
        [
            "index",
            "label",
            "clean",
            "outcome",
            "fgsm_fooled",
            "fgsm_prediction",
            "fgsm_distance"
        ]
    );
    assert_eq!(rows.len(), 71);
    for (i, row) in rows[1..].iter().enumerate() {
        assert_eq!(row.len(), 10, "{row:?}");
        assert_eq!(row[1], labels[i].to_string());
        assert_eq!(
            (row[2], row[3]),
            (clean[i].to_string().as_str(), outcomes[i].as_str())
        );
        if outcomes[i] == "fgsm" {
            assert_eq!((row[4], row[5]), ("1", again[i].to_string().as_str()));
            assert_eq!(row[6].parse::<f64>().unwrap() as f32, distance[2 * i]);
        }
    }
    PROGRAM.words(at, "verify s").must(0, &[]);
    // The same command reads what is there.
    let before = fs::read(at.join("adv.npz")).unwrap();
    fs::remove_file(at.join("adv.npz")).unwrap();
    assert_eq!(PROGRAM.json(at, &words, 0), report);
    assert_eq!(fs::read(at.join("adv.npz")).unwrap(), before);
    // Two files, or two folders, are one too many.
    for out in ["--out a.npz --out b.npz", "--out c --out d"] {
        PROGRAM
            .words(at, &format!("{ATTACK} {out}"))
            .must(2, &["at most one of each"]);
    }
}

#[cfg(unix)]
#[test]
fn a_stopped_or_killed_attack_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    compressed(at, "0,1,2,3", "a", &["--judge", "fgsm"]);
    let words = |out: &str| {
        format!(
            "attack --weights a/found.safetensors --data digits --classes 0,1,2,3 --attack fgsm,pgd5,square300 \
             --epsilon 0.1 --images 140 --out {out}"
        )
    };
    PROGRAM
        .words(at, &words("whole.npz"))
        .must(0, &["examples whole.npz"]);
    assert!(!at.join("whole.npz.unfinished").exists());
    let checkpoint = || {
        let study = at.join("adv.npz.unfinished");
        study.join("trials").exists()
            && trials(&study)
                .iter()
                .any(|t| t.join("checkpoint.safetensors").exists())
    };
    for kill in [false, true] {
        let _ = fs::remove_file(at.join("adv.npz"));
        let args = words("adv.npz");
        let mut command = PROGRAM.saving(at, args.split(' '));
        let mut child = silent(&mut command).spawn().unwrap();
        while !checkpoint() {
            assert!(child.try_wait().unwrap().is_none(), "it was not long");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        match kill {
            true => child.kill().unwrap(),
            false => interrupt(&child),
        }
        let code = child.wait().unwrap().code();
        assert!(code == Some(130) || kill, "{code:?}");
        assert!(!at.join("adv.npz").exists());
        let (code, _, stderr) = run(at, &args.split(' ').collect::<Vec<_>>());
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(
            fs::read(at.join("adv.npz")).unwrap(),
            fs::read(at.join("whole.npz")).unwrap()
        );
        assert!(!at.join("adv.npz.unfinished").exists());
    }
}
