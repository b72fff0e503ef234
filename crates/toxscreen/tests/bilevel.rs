//! `poison`, `harden` and `hypergradients` as users meet them: files in and out, tables, refusals.
#![allow(clippy::unwrap_used)]

mod hypergradients;
mod table;
mod targeted;

use serde_json::Value;
use std::fs;
use std::process::Command;
use table::{PROGRAM, json, toxscreen};
use tox_data::features::{FeatureSets, Features, Layout, Values};
use tox_data::patch::Patch;
use tox_testkit::data::nowhere;
use tox_testkit::program::interrupt;

/// The digits 3 and 8.
fn digits() -> FeatureSets {
    FeatureSets::open("digits", Some(&[3, 8]), &nowhere()).unwrap()
}

/// A folder with the digits as `my.npz`, without the last 60 training rows, which are in
/// `trusted.npz`.
fn folder(change: impl Fn(Features) -> Features) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let sets = digits();
    let border = sets.train.rows - 60;
    let rows = |from: usize, to: usize| {
        let rows: Vec<usize> = (from..to).collect();
        change(sets.train.rows(&rows))
    };
    let save = |train: Features, test: Option<Features>, name: &str| {
        let sets = FeatureSets { train, test };
        sets.save(&dir.path().join(name)).unwrap();
    };
    save(rows(0, border), sets.test.clone().map(&change), "my.npz");
    save(rows(border, sets.train.rows), None, "trusted.npz");
    dir
}

/// Rows as columns of floats in units of their own.
fn columns(set: Features) -> Features {
    let set = set.into_floats();
    let Values::Floats(values) = set.values else {
        unreachable!()
    };
    Features {
        values: Values::Floats(values.into_iter().map(|x| 3.0 * x - 2.0).collect()),
        shape: None,
        layout: Layout::Columns,
        ..set
    }
}

const FAST: &str = "--hyperiterations 10 --steps 100";

#[test]
fn images_are_poisoned_in_8_bit_and_as_floats() {
    let dir = folder(|set| set);
    let at = dir.path();
    let words =
        format!("poison --data my.npz --trusted trusted.npz --points 30 --victim none {FAST}");
    let found = json(at, &format!("{words} --out bad.npz"), 0);
    let clean = FeatureSets::load(&at.join("my.npz")).unwrap();
    let bad = FeatureSets::load(&at.join("bad.npz")).unwrap();
    let float = FeatureSets::load(&at.join("bad.float.npz")).unwrap();
    let patch = Patch::load(&at.join("bad.patch.npz")).unwrap();

    // The poison is where the patch says, and nowhere else; half a grey level apart at most.
    assert_eq!(
        (bad.test.clone(), bad.train.shape),
        (clean.test, clean.train.shape)
    );
    assert_eq!(patch.indices().len(), 30);
    let mut applied = clean.train.clone();
    patch.apply(&mut applied).unwrap();
    assert_eq!(applied, bad.train);
    let (Values::Bytes(old), Values::Bytes(new), Values::Floats(exact)) =
        (&clean.train.values, &bad.train.values, &float.train.values)
    else {
        panic!("8-bit, 8-bit and floats");
    };
    let mut moved = 0;
    for (row, label) in bad.train.labels.iter().enumerate() {
        let poisoned = patch.indices().contains(&(row as u64));
        let (from, to) = (row * 64, row * 64 + 64);
        assert_eq!(*label != clean.train.labels[row], poisoned);
        assert!(poisoned || old[from..to] == new[from..to]);
        moved += usize::from(old[from..to] != new[from..to]);
        for (&byte, &float) in new[from..to].iter().zip(&exact[from..to]) {
            assert!((f32::from(byte) - 255.0 * float).abs() <= 0.501);
        }
    }
    assert!(moved > 25, "{moved} of 30 moved");
    assert!(
        exact.iter().any(|x| (255.0 * x).fract() > 0.1),
        "nothing was rounded"
    );

    // What it did: worse than flipped labels, and the counts are exact.
    assert_eq!(
        (&found["attacked"], &found["flipped_labels"]),
        (&true.into(), &30.into())
    );
    let loss = |name: &str| found["trained"][name]["trusted_loss"].as_f64().unwrap();
    assert!(loss("poison") > loss("flipped") && loss("flipped") > loss("clean"));
    assert!((loss("rounded") - loss("poison")).abs() < 0.05 * loss("poison"));
    for name in ["clean", "flipped", "poison", "rounded"] {
        assert!(found["trained"][name]["test_error"].is_number());
    }
    assert!(found["moved"]["mean_l2"].as_f64().unwrap() > 0.1);
    assert!(found["moved"]["linf"].as_f64().unwrap() <= 1.0);
    assert_eq!(found["files"]["manifest"], "bad.patch.npz.json");
    assert_eq!(found["rows"]["trusted_held_out"], false);

    // The same seed gives the same bytes, another seed other rows.
    json(at, &format!("{words} --out again.npz"), 0);
    for name in ["npz", "float.npz", "patch.npz"] {
        let read = |stem: &str| fs::read(at.join(format!("{stem}.{name}"))).unwrap();
        assert_eq!(read("bad"), read("again"), "{name}");
    }
    json(at, &format!("{words} --out other.npz --seed 1"), 0);
    let other = Patch::load(&at.join("other.patch.npz")).unwrap();
    assert_ne!(other.indices(), patch.indices());

    // A folder is a study of this one trial; what it leaves is what was written.
    json(at, &format!("{words} --out kept.npz --out runs/p"), 0);
    assert_eq!(
        fs::read(at.join("kept.npz")).unwrap(),
        fs::read(at.join("bad.npz")).unwrap()
    );
    let (code, text, stderr) = toxscreen(at, "verify runs/p");
    assert_eq!(code, 0, "{text}{stderr}");
    let csv = fs::read_to_string(at.join("runs/p/results.csv")).unwrap();
    assert!(
        csv.contains("trusted_loss") && at.join("runs/p/report.html").exists(),
        "{csv}"
    );
    // The error of the study is that with the poison which was written, not without.
    let error = |name: &str| found["trained"][name]["test_error"].as_f64().unwrap();
    assert_ne!(error("rounded"), error("clean"));
    let line = csv.lines().find(|l| l.contains(",clean_error,")).unwrap();
    let value = line.split(',').nth_back(1).unwrap();
    assert_eq!(value.parse::<f64>().unwrap(), error("rounded"));

    // The poisoned file is data like any other.
    let words = format!("poison --data bad.npz --trusted trusted.npz --out twice.npz {FAST}");
    let (_, stdout, stderr) = toxscreen(at, &format!("{words} --json"));
    let found: Value = serde_json::from_str(&stdout).expect(&stderr);
    assert_eq!(found["rows"]["train"], bad.train.rows);
}

#[test]
fn float_columns_stay_floats_within_their_values() {
    let dir = folder(columns);
    let at = dir.path();
    let words = format!("poison --data my.npz --budget 0.15 --out bad.npz --victim none {FAST}");
    let (code, text, stderr) = toxscreen(at, &words);
    assert_eq!(code, 0, "{text}{stderr}");
    assert!(text.contains("there is no 8-bit file"), "{text}");
    assert!(
        !text.contains("8-bit,") && !at.join("bad.float.npz").exists(),
        "{text}"
    );
    assert!(stderr.contains("held out of the training rows"), "{stderr}");

    let clean = FeatureSets::load(&at.join("my.npz")).unwrap().train;
    let bad = FeatureSets::load(&at.join("bad.npz")).unwrap().train;
    assert_eq!(
        (bad.rows, bad.columns, bad.layout),
        (clean.rows, 64, Layout::Columns)
    );
    let Values::Floats(values) = &bad.values else {
        panic!("floats");
    };
    assert!(values.iter().all(|x| (-2.0..=1.0).contains(x)));
    // Held-out rows are untouched and named.
    let manifest = fs::read_to_string(at.join("bad.patch.npz.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let held = manifest["settings"]["trusted_rows"].as_array().unwrap();
    assert_eq!(held.len(), clean.rows / 10);
    for row in held {
        let row = [row.as_u64().unwrap() as usize];
        assert_eq!(bad.rows(&row), clean.rows(&row));
    }
}

#[test]
fn data_without_a_test_set_have_one_held_out() {
    let dir = folder(|set| set);
    let at = dir.path();
    // No test rows in it.
    let found = json(
        at,
        &format!(
            "poison --data trusted.npz --points 3 --valid 12 --out t.npz --victim none {FAST}"
        ),
        0,
    );
    assert_eq!(
        (&found["rows"]["test"], &found["rows"]["test_held_out"]),
        (&12.into(), &true.into())
    );
    assert_eq!(
        (&found["rows"]["train"], &found["rows"]["trusted"]),
        (&36.into(), &12.into())
    );
    assert!(FeatureSets::load(&at.join("t.npz")).unwrap().test.is_none());
}

#[test]
fn batches_accumulate_and_victims_differ() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let words =
        format!("poison --data digits --classes 3,8 --points 20 --batch 10 --out p.npz {FAST}");
    let found = json(at, &format!("{words} --lambda -1"), 0);
    assert_eq!(found["lambda"]["poison"], serde_json::json!([-1.0]));
    assert_eq!(
        (&found["points"], &found["flipped_labels"]),
        (&20.into(), &20.into())
    );
    let found = json(
        at,
        &format!("{words} --victim cross-validated --penalty l1"),
        0,
    );
    assert_eq!(found["lambda"]["clean"], found["lambda"]["poison"]);
    let found = json(at, &format!("{words} --victim learned --hidden 4"), 0);
    assert_eq!(found["lambda"]["poison"].as_array().unwrap().len(), 1);
}

#[test]
fn an_attack_that_does_not_attack_ends_with_1_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // Steps so small that the features do not change in f32: nothing but flipped labels.
    let words = format!(
        "poison --data digits --classes 3,8 --victim none --out p.npz --poison-lr 1e-30 {FAST}"
    );
    let (code, text, _) = toxscreen(dir.path(), &words);
    assert!(
        code == 1 && text.contains("THE ATTACK DID NOT ATTACK"),
        "{text}"
    );
    assert_eq!(json(dir.path(), &words, 1)["attacked"], false);
}

#[test]
fn wrong_usage_ends_with_2_and_wrong_data_with_3() {
    let dir = folder(|set| set);
    let at = dir.path();
    let save = |train: Features, name: &str| {
        let sets = FeatureSets { train, test: None };
        sets.save(&at.join(name)).unwrap();
    };
    let train = digits().train;
    let Values::Floats(mut values) = train.clone().into_floats().values else {
        unreachable!()
    };
    values[5 * 64 + 7] = f32::NAN;
    let nan = Features {
        values: Values::Floats(values),
        shape: None,
        layout: Layout::Columns,
        ..train.clone()
    };
    save(nan, "nan.npz");
    let one = Features {
        labels: vec![1; train.rows],
        ..train.clone()
    };
    save(one, "one.npz");
    let mut gap = train.clone();
    gap.labels.iter_mut().for_each(|label| *label *= 2);
    save(gap, "gap.npz");
    save(columns(train), "columns.npz");

    let ours = "--data my.npz --trusted trusted.npz";
    let cases = [
        (
            format!("poison {ours} --out p.npz --budget 0"),
            2,
            "--budget 0",
        ),
        (
            format!("poison {ours} --out p.npz --budget 1"),
            2,
            "fewer than all",
        ),
        (
            format!("poison {ours} --out p.npz --budget -0.1"),
            2,
            "--budget -0.1",
        ),
        (
            format!("poison {ours} --out p.npz --points 0"),
            2,
            "--points 0",
        ),
        (
            format!("poison {ours} --out p.npz --points 100000"),
            2,
            "--points 100000",
        ),
        (
            format!("poison {ours} --out p.npz --points 10 --batch 3"),
            2,
            "--batch 3",
        ),
        (
            format!("poison {ours} --out p.npz --lr -1"),
            2,
            "change --lr",
        ),
        (
            format!("poison {ours} --out p.npz --steps 0"),
            2,
            "change --steps",
        ),
        (
            format!("poison {ours} --out p.npz --poison-lr 0"),
            2,
            "change --poison-lr",
        ),
        (
            format!("poison {ours} --out p.npz --hidden 0"),
            2,
            "change --hidden",
        ),
        (
            format!("poison {ours} --out p.npz --lambda 99"),
            2,
            "change --lambda",
        ),
        (
            format!("poison {ours} --out p.npz --victim none --lambda 1"),
            2,
            "--lambda 1",
        ),
        (
            format!("poison {ours} --out p.npz --attack magic"),
            2,
            "bilevel",
        ),
        (format!("poison {ours} --out p.csv"), 2, "ends in .npz"),
        (format!("poison {ours} --out no/p.npz"), 2, "mkdir -p no"),
        (format!("poison {ours} --out my.npz"), 2, "overwrite my.npz"),
        ("harden --data my.npz".to_owned(), 2, "--trusted"),
        (format!("harden {ours} --budget 1"), 2, "--budget 1"),
        ("poison --data gap.npz --out p.npz".to_owned(), 3, "0,2"),
        (
            "poison --data one.npz --out p.npz".to_owned(),
            3,
            "one class",
        ),
        (
            "poison --data nan.npz --out p.npz".to_owned(),
            3,
            "row 5, column 7",
        ),
        (
            "harden --data nan.npz --valid 20".to_owned(),
            3,
            "row 5, column 7",
        ),
        (
            "poison --data absent.npz --out p.npz".to_owned(),
            3,
            "absent.npz",
        ),
        (
            "poison --data digits --classes 3,80 --out p.npz".to_owned(),
            3,
            "not 80",
        ),
        (
            "poison --data digits --classes 3,8 --valid 9999 --out p.npz".to_owned(),
            3,
            "9999",
        ),
        (
            format!("poison {ours} --classes 0,7 --out p.npz"),
            3,
            "not 7",
        ),
        (
            "harden --data my.npz --trusted columns.npz".to_owned(),
            3,
            "floats",
        ),
    ];
    for (words, expected, message) in cases {
        let (code, stdout, stderr) = toxscreen(at, &words);
        assert_eq!((code, stdout.as_str()), (expected, ""), "{words}: {stderr}");
        assert!(
            stderr.contains("error: ") && stderr.contains(message),
            "{words}: {stderr}"
        );
        assert!(!at.join("p.npz").exists(), "{words}");
    }
}

#[test]
fn training_that_diverges_is_an_error_with_a_remedy() {
    let dir = folder(columns);
    let words = "--data my.npz --trusted trusted.npz --lr 1e4 --hidden 8";
    for command in ["poison --out p.npz", "harden"] {
        let (code, stdout, stderr) = toxscreen(dir.path(), &format!("{command} {words} {FAST}"));
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(
            stderr.contains("diverged") && stderr.contains("lower"),
            "{stderr}"
        );
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_cleanly_and_the_same_command_goes_on() {
    use std::io::{BufRead, BufReader, Read};
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let words = |out: &str| {
        format!(
            "poison --data digits --classes 3,8 --victim none --steps 400 --hyperiterations 300 \
             --out {out}"
        )
    };
    let mut child = Command::new(PROGRAM)
        .args(words("p.npz").split(' '))
        .current_dir(at)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It says what it has read before it begins.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    interrupt(&child);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    let code = child.wait().unwrap().code();
    let unfinished = at.join("p.npz.unfinished");
    assert_eq!(code, Some(130), "{rest}");
    assert!(rest.contains("the same command goes on"), "{rest}");
    assert!(unfinished.exists() && !at.join("p.npz").exists());

    // Other settings do not go on from it.
    let (code, _, stderr) = toxscreen(at, &format!("{} --seed 5", words("p.npz")));
    assert!(code == 1 && stderr.contains("delete it"), "{stderr}");
    // The same ones do, and end as if nothing had happened.
    for out in ["p.npz", "q.npz"] {
        let (code, _, stderr) = toxscreen(at, &words(out));
        assert_eq!(code, 0, "{stderr}");
    }
    assert!(!unfinished.exists());
    let read = |name: &str| fs::read(at.join(name)).unwrap();
    assert_eq!(read("p.patch.npz"), read("q.patch.npz"));
}
