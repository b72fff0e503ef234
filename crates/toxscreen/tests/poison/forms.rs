//! Data of every form at the doors of the commands: what is said on stderr and in JSON, and how they end.

use crate::support::{PROGRAM, digits, poison, report};
use std::fs;
use std::path::Path;
use std::process::Command;
use tox_data::features::{FeatureSets, Values};

/// Runs toxscreen in `dir`: exit code and stderr.
fn toxscreen(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = Command::new(PROGRAM)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), stderr)
}

#[test]
fn tables_are_poisoned_and_notes_reach_stderr_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let rows: String = (0..40)
        .map(|row| format!("{row},{},{}.5\n", ["cat", "dog"][row % 2], row * 7 % 11))
        .collect();
    fs::write(at.join("a.csv"), format!("size,kind,weight\n{rows}")).unwrap();
    let (code, _, err) = poison(at, "--attack rlf --data a.csv --budget 0.1 --out p.npz");
    assert_eq!(code, 3);
    assert!(
        err.contains("column `kind`") && err.contains("--label"),
        "{err}"
    );
    let args = "--attack rlf --data a.csv --label kind --budget 0.1 --out p.npz";
    let said = report(at, args);
    assert_eq!(said["check"]["points"], 4);
    assert_eq!(said["class_names"], serde_json::json!(["cat", "dog"]));
    let notes = said["notes"].to_string();
    assert!(notes.contains("cat is class 0, dog is class 1"), "{notes}");
    let (_, _, err) = poison(at, args);
    assert!(err.contains("note: the labels are text"), "{err}");
    let found = FeatureSets::load(&at.join("p.npz")).unwrap().train;
    assert_eq!((found.rows, found.columns), (40, 2));
    assert_eq!(found.class_names, ["cat", "dog"]);
    // A table has a classifier and noise of its own.
    let rows: String = (0..40)
        .map(|row| {
            format!(
                "{},{},{}\n",
                100 * (row % 2) + row,
                ["cat", "dog"][row % 2],
                row % 3
            )
        })
        .collect();
    fs::write(at.join("b.csv"), format!("size,kind,weight\n{rows}")).unwrap();
    for attack in ["clf", "noise"] {
        let args =
            format!("--attack {attack} --data b.csv --label kind --budget 0.1 --out {attack}.npz");
        let check = &report(at, &args)["check"];
        assert_eq!(
            (&check["points"], &check["unreliable"]),
            (&4.into(), &serde_json::Value::Null)
        );
        assert_eq!(
            check["flipped"],
            if attack == "clf" { 4 } else { 0 },
            "{check}"
        );
    }
    let args = "--attack clf --data a.csv --label kind --budget 0.1 --epochs 3 --out p.npz";
    let (code, _, err) = poison(at, args);
    assert!(code == 2 && err.contains("logistic regression"), "{err}");
    // What was written is read by the same command, and by those that learn on rows.
    let again = "--attack rlf --data p.npz --budget 0.5 --seed 1 --out q.npz";
    assert_eq!(report(at, again)["class_names"], said["class_names"]);
    let harden = [
        "harden",
        "--data",
        "p.npz",
        "--trusted",
        "a.csv",
        "--steps",
        "5",
        "--hyperiterations",
        "2",
    ];
    let (code, err) = toxscreen(at, &harden);
    assert!(code == 3 && err.contains("--label"), "{err}");
}

/// Files sorted by class are refused where a part lacks classes, before anything is made.
#[test]
fn rows_in_the_order_of_their_classes_are_refused_by_run_and_compress() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let mut sets = digits();
    let mut order: Vec<usize> = (0..sets.train.rows).collect();
    order.sort_by_key(|&row| sets.train.labels[row]);
    sets.train = sets.train.rows(&order);
    sets.test = None;
    sets.save(&at.join("sorted.npz")).unwrap();
    let recipe = "name = \"sorted\"\nseeds = [0]\n[data]\ndataset = \"sorted.npz\"\nvalid = 100\n[learner]\nkind = \
                  \"enas\"\n[[cell]]\nlabel = \"a\"\n";
    fs::write(at.join("sorted.toml"), recipe).unwrap();
    for args in [
        &["run", "sorted.toml", "--out", "s"][..],
        &[
            "compress",
            "--arch",
            "wrn-10-1",
            "--budget",
            "50%",
            "--data",
            "sorted.npz",
        ],
    ] {
        let (code, err) = toxscreen(at, args);
        assert_eq!(code, 3, "{err}");
        for part in ["not in random order", "lack the class", "permutation"] {
            assert!(err.contains(part), "{err}");
        }
    }
    assert!(!at.join("s").exists());
    // Flipping labels needs no split.
    report(
        at,
        "--attack rlf --data sorted.npz --budget 0.1 --out p.npz",
    );
}

/// The names, types and further arrays of a file come back; what `images` and `labels` were is read as that again.
#[test]
fn a_poisoned_file_has_the_form_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let clean = digits().train;
    let Values::Bytes(pixels) = &clean.values else {
        panic!("8-bit");
    };
    let wide: Vec<u8> = pixels
        .iter()
        .flat_map(|&p| i64::from(p).to_le_bytes())
        .collect();
    let labels: Vec<u8> = clean.labels.iter().map(|&l| l as u8).collect();
    let npy = |descr: &str, shape: &str, data: &[u8]| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.bytes());
        bytes.extend(data);
        bytes
    };
    fs::write(at.join("images.npy"), npy("<i8", "(1437, 8, 8)", &wide)).unwrap();
    fs::write(at.join("labels.npy"), npy("|u1", "(1437, 1)", &labels)).unwrap();
    let data = "images.npy,labels.npy";
    let said = report(
        at,
        &format!("--attack noise --data {data} --budget 0.1 --out p.npz"),
    );
    assert_eq!(said["check"]["moved"], 143);
    let found = FeatureSets::load(&at.join("p.npz")).unwrap().train;
    assert_eq!(found.labels, clean.labels);
    let bytes = fs::read(at.join("p.npz")).unwrap();
    assert!(bytes.len() > 1000);
    // The same poison as of the same images in another form.
    let mut sets = digits();
    sets.test = None;
    sets.save(&at.join("plain.npz")).unwrap();
    report(
        at,
        "--attack noise --data plain.npz --budget 0.1 --out q.npz",
    );
    assert_eq!(
        found.hash(),
        FeatureSets::load(&at.join("q.npz")).unwrap().train.hash()
    );
    assert_eq!(
        fs::read(at.join("p.patch.npz")).unwrap(),
        fs::read(at.join("q.patch.npz")).unwrap()
    );
    let args = [
        "attack",
        "--weights",
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tox-nn/tests/fixtures/wrn.safetensors"
        ),
        "--data",
        "p.npz",
    ];
    // The weights are of other images and classes, which is found beside the data.
    let (_, err) = toxscreen(at, &args);
    assert!(err.contains("5 classes"), "the data are read: {err}");
    assert!(err.contains("last fifth"), "{err}");
}

#[test]
fn doors_and_damage_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("a.feather"), "FEA1").unwrap();
    fs::write(at.join("x.npy"), "x").unwrap();
    let class = at.join("set/a");
    fs::create_dir_all(&class).unwrap();
    fs::write(class.join("0.jpg"), [0xff, 0xd8, 0xff, 0xe0, 0, 4, 0, 0]).unwrap();
    for (data, part) in [
        ("a.feather", "numpy.savez(\"data.npz\", x=X, y=y)"),
        ("x.npy", "X.npy,y.npy"),
        ("set", "0.jpg"),
        ("none.csv", "no such file"),
    ] {
        let (code, _, err) = poison(at, &format!("--attack rlf --data {data} --out p.npz"));
        assert!(code == 3 && err.contains(part), "{data}: {err}");
    }
}

/// A column that says nothing is no obstacle; a number that is none is named.
#[test]
fn constant_columns_are_learned_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let row = |row: usize| format!("{},3,{}\n", (row * 13 % 17) as f64 / 17.0, row % 2);
    let rows: String = (0..60).map(row).collect();
    fs::write(at.join("a.csv"), format!("a,b,y\n{rows}")).unwrap();
    let args =
        "--data a.csv --points 6 --victim none --steps 20 --hyperiterations 2 --out p.npz --json";
    let (code, out, err) = poison(at, args);
    assert!(code == 0 || code == 1, "{err}");
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(said["trained"]["clean"]["test_error"].is_number(), "{said}");
    let Values::Floats(values) = FeatureSets::load(&at.join("p.npz")).unwrap().train.values else {
        panic!("floats");
    };
    assert!(values.iter().skip(1).step_by(2).all(|value| *value == 3.0));
}
