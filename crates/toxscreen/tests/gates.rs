//! Gates: what a recipe asks of its results is an exit code, a line of the report, and files for a CI job.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn toxscreen(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxscreen"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command.output().unwrap()
}

/// Logistic regression on two digits under flipped labels.
fn recipe(dir: &Path, gates: &str) {
    let text = format!(
        "name = \"gated\"\nseeds = [0, 1, 2]\n[data]\ndataset = \"digits\"\nclasses = [3, 8]\n\
         train = 120\nvalid = 60\ntest = 60\nsplit = \"random\"\n\
         [learner]\nkind = \"bilevel\"\nvictim = \"none\"\nhyperiterations = 1\n\
         inner = {{ steps = 20 }}\n[gate]\n{gates}\n\
         [[cell]]\nlabel = \"clean\"\n\
         [[cell]]\nlabel = \"rlf\"\nthreat = {{ kind = \"rlf\", budget = 0.5 }}\n"
    );
    fs::write(dir.join("gated.toml"), text).unwrap();
}

const RUN: [&str; 8] = [
    "run",
    "gated.toml",
    "--out",
    "out",
    "--summary",
    "summary.md",
    "--junit",
    "junit.xml",
];

#[test]
fn gates_are_held_or_not_or_cannot_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    // Half of the labels flipped leave no classifier.
    recipe(
        dir.path(),
        "good = 'error(\"clean\") <= 60'\nmild = 'damage(\"rlf\") <= 2.0'\nrobust = 'robust(\"clean\") >= 1'",
    );
    let ran = toxscreen(dir.path(), &RUN);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(5), "{said}");
    assert!(
        said.contains("gate good: error(\"clean\") <= 60: held"),
        "{said}"
    );
    assert!(
        said.contains("gate mild: damage(\"rlf\") <= 2: NOT HELD"),
        "{said}"
    );
    assert!(said.contains("gate robust: robust(\"clean\") >= 1: cannot tell, nothing is measured"));
    let junit = file("junit.xml");
    assert!(
        junit.contains("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\""),
        "{junit}"
    );
    roxmltree::Document::parse(&junit).unwrap();
    let summary = file("summary.md");
    assert!(
        summary.contains("❌ mild") && summary.contains("| rlf | RLF 50 % |"),
        "{summary}"
    );
    assert!(file("out/report.html").contains("NOT HELD"));

    // Other gates need no trial anew.
    recipe(dir.path(), "good = 'error(\"clean\") <= 60'");
    let ran = toxscreen(dir.path(), &RUN);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert!(said.contains("0 of them now"), "{said}");
    // A trial that is missing, as one that failed, may be the one that would not hold.
    let of_clean = |trial: &std::fs::DirEntry| {
        let spec = fs::read_to_string(trial.path().join("spec.json")).unwrap();
        spec.contains("\"clean\"")
    };
    let mut trials = fs::read_dir(dir.path().join("out/trials")).unwrap();
    let clean = trials.find_map(|t| t.ok().filter(of_clean)).unwrap();
    let record = clean.path().join("record.json");
    let kept = fs::read(&record).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let chance = read["provenance"]["chance_error"].as_f64().unwrap();
    assert!((30.0..=50.0).contains(&chance), "{chance}");
    fs::remove_file(&record).unwrap();
    let partial = toxscreen(dir.path(), &["report", "out"]);
    let said = String::from_utf8_lossy(&partial.stdout).into_owned();
    assert_eq!(partial.status.code(), Some(4), "{said}");
    assert!(
        said.contains("cannot tell") && said.contains("(2 of 3 seeds)"),
        "{said}"
    );
    fs::write(&record, kept).unwrap();
    recipe(dir.path(), "good = 'robust(\"clean\") >= 1'");
    assert_eq!(toxscreen(dir.path(), &RUN).status.code(), Some(4));
    assert_eq!(
        toxscreen(dir.path(), &["report", "out"]).status.code(),
        Some(4)
    );
    assert_eq!(
        toxscreen(dir.path(), &["verify", "out"]).status.code(),
        Some(0)
    );
}

#[test]
fn a_threat_that_attacks_nothing_is_refused_before_a_trial() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), "good = 'error(\"clean\") <= 60'");
    let path = dir.path().join("gated.toml");
    let text = fs::read_to_string(&path).unwrap();
    let rlf = "kind = \"rlf\", budget = 0.5";
    let poison = [
        "poison", "--attack", "rlf", "--data", "digits", "--budget", "0.3", "--out", "p.npz",
    ];
    assert!(toxscreen(dir.path(), &poison).status.success());
    for (threat, says) in [
        ("kind = \"rlf\", budget = 0.001", "rounds down to no row"),
        ("kind = \"file\", path = \"p.patch.npz\"", "expected"),
    ] {
        fs::write(&path, text.replace(rlf, threat)).unwrap();
        let ran = toxscreen(dir.path(), &RUN);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{said}");
        for part in ["cell \"rlf\"", "attacks nothing of digits", says] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!dir.path().join("out").exists());
    }
    // No poison at all is a baseline.
    fs::write(&path, text.replace("budget = 0.5", "budget = 0.0")).unwrap();
    assert!(toxscreen(dir.path(), &RUN).status.success());
}

#[test]
fn a_gate_that_is_none_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    for (gate, says) in [
        ("a = 'damage(\"rlf\") < 2'", "has neither <= nor >="),
        ("a = 'damage(\"lrf\") <= 2'", "the cells are clean, rlf"),
        ("a = 3", "gate"),
    ] {
        recipe(dir.path(), gate);
        let ran = toxscreen(dir.path(), &["plan", "gated.toml"]);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(said.contains(says) && said.contains("gated.toml"), "{said}");
    }
}

#[test]
fn findings_of_a_screen_have_lines() {
    let dir = tempfile::tempdir().unwrap();
    let space = "[[op]]\nop = \"conv\"\nk = 3\n\n[[op]]\nop = \"gaussian\"\nsigma = 10.0\n";
    fs::write(dir.path().join("space.toml"), space).unwrap();
    let args = ["screen", "space.toml", "--sarif", "found.sarif"];
    assert_eq!(toxscreen(dir.path(), &args).status.code(), Some(1));
    let text = fs::read_to_string(dir.path().join("found.sarif")).unwrap();
    let log: serde_json::Value = serde_json::from_str(&text).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let noise = results
        .iter()
        .find(|r| r["ruleId"] == "drowned-in-noise")
        .unwrap();
    let place = &noise["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "space.toml");
    assert_eq!(place["region"]["startLine"], 5);
}
