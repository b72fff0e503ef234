//! Threats and defences by surface: the composed recipes run, verify and report; strength zero on every
//! surface is the clean trial; what has no meaning is refused with its reason.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tox_testkit::program::{Program, read};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

fn toxscreen(dir: &Path, args: &[&str]) -> Output {
    TOXSCREEN.command(dir, args).output().unwrap()
}

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/compose")
}

/// Runs a recipe and returns its records.
fn run(recipe: &Path, out: &Path) -> Vec<Value> {
    let words = [recipe.to_str().unwrap(), out.to_str().unwrap()];
    let ran = toxscreen(out.parent().unwrap(), &["run", words[0], "--out", words[1]]);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let read = |line: &str| {
        let trial: Value = serde_json::from_str(line).unwrap();
        let id = trial["trial"].as_str().unwrap();
        read(&out.join("trials").join(id).join("record.json"))
    };
    let plan = fs::read_to_string(out.join("plan.jsonl")).unwrap();
    plan.lines().map(read).collect()
}

/// Outcome of a cell.
fn outcome<'a>(records: &'a [Value], cell: &str, variant: &str) -> &'a Value {
    let mut found = records.iter().filter(|r| {
        let spec = &r["spec"];
        spec["cell"] == cell && spec["variant"].as_str().unwrap_or_default() == variant
    });
    &found
        .next()
        .unwrap_or_else(|| panic!("no cell {cell} {variant}"))["outcome"]
}

/// Runs a composed recipe: a trial verifies, the report is there, and the tidy results name the surfaces.
fn composed(name: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let records = run(&recipes().join(format!("{name}.toml")), &out);
    let verified = toxscreen(dir.path(), &["verify", "out", "--sample", "1"]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success() && said.contains("same"), "{said}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<table"), "{name}: a report without a table");
    let tidy = fs::read_to_string(out.join("results.csv")).unwrap();
    let head = tidy.lines().next().unwrap();
    for column in [
        "threat_space",
        "threat_data",
        "threat_inputs",
        "metric",
        "value",
        "unit",
    ] {
        assert!(
            head.split(',').any(|found| found == column),
            "{name}: {head}"
        );
    }
    records
}

/// Accuracies under attack are no higher than on clean images.
fn attacked(outcome: &Value) {
    let found = &outcome["attacked"];
    let clean = found["clean"].as_f64().unwrap();
    for attack in found["attacks"].as_array().unwrap() {
        assert!(attack["accuracy"].as_f64().unwrap() <= clean, "{found}");
    }
}

#[test]
fn enas_learns_from_poisoned_data() {
    let records = composed("enas-data");
    let clean = outcome(&records, "clean", "");
    assert!(clean.get("poison").is_none());
    for cell in ["rlf", "noise", "gc"] {
        let found = outcome(&records, cell, "");
        assert!(found["poison"]["check"]["points"].as_u64().unwrap() > 0);
        assert_ne!(found["valid_error"], clean["valid_error"], "{cell}");
    }
    let both = outcome(&records, "rlf-and-bad-ops", "defended");
    assert!(!both["screened"].as_array().unwrap().is_empty());
    assert!(both["cleansed"]["against"]["caught"].as_u64().unwrap() > 0);
}

#[test]
fn enas_is_attacked_on_every_surface() {
    let records = composed("enas-surfaces");
    for cell in ["clean", "space", "data", "all"] {
        attacked(outcome(&records, cell, ""));
    }
    attacked(outcome(&records, "all", "defended"));
}

#[test]
fn poison_search_train_attack_is_one_trial() {
    let records = composed("nas-attack");
    assert_eq!(records.len(), 12);
    for record in &records {
        attacked(&record["outcome"]);
        assert!(record["outcome"]["evaluation"]["training"].is_object());
    }
}

#[test]
fn defences_stand_in_a_chain() {
    let records = composed("nas-defended");
    let both = outcome(&records, "rlf", "knn-and-parts");
    assert_eq!(both["parts"].as_array().unwrap().len(), 3);
    assert!(both["cleansed"]["relabelled"].as_u64().unwrap() > 0);
}

#[test]
fn linear_models_meet_every_poison() {
    let records = composed("linear");
    for record in &records {
        attacked(&record["outcome"]);
    }
    let chain = outcome(&records, "rlf-knn-denoise", "learned");
    assert_eq!(chain["cleansed"].as_array().unwrap().len(), 2);
    // The optimal poison alone has levels.
    let levels = |cell| {
        outcome(&records, cell, "learned")["levels"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        [levels("optimal"), levels("rlf"), levels("clean")],
        [3, 1, 1]
    );
}

#[test]
fn nets_meet_every_poison() {
    for record in composed("net") {
        attacked(&record["outcome"]);
    }
}

#[test]
fn rc_nas_learns_from_poisoned_data() {
    let records = composed("rc-nas-data");
    let (clean, flipped) = (outcome(&records, "clean", ""), outcome(&records, "rlf", ""));
    assert_ne!(
        clean["judged"][0]["evaluation"]["clean"],
        flipped["judged"][0]["evaluation"]["clean"]
    );
}

#[test]
fn cells_are_searched_among_bad_ops() {
    let records = composed("cell-spaces");
    assert_eq!(records.len(), 15);
}

/// Of the ops in the files beside the recipe; weak noise is found, and copies of a clean op are one branch then.
#[test]
fn a_space_and_bad_ops_of_ones_own_are_searched() {
    let records = composed("own-ops");
    let ops = |cell: &str, variant: &str| {
        let layers = outcome(&records, cell, variant)["genotype"]["layers"].clone();
        let layers: Vec<Value> = layers.as_array().unwrap().clone();
        let op = |layer: &Value| layer["op"].as_str().unwrap().to_owned();
        layers.iter().map(op).collect::<Vec<_>>()
    };
    let known = ["conv3", "maxpool3"];
    assert!(
        ops("clean", "")
            .iter()
            .all(|op| known.contains(&op.as_str()))
    );
    let screened = outcome(&records, "bad", "screened");
    let dropped = screened["screened"].as_array().unwrap();
    assert_eq!(dropped.len(), 1);
    assert_eq!(dropped[0]["op"], "gaussian(0.5)");
    // What is left is the clean space: the clean trial, but for what was dropped.
    let clean = outcome(&records, "clean", "");
    for key in ["genotype", "epochs", "test_error", "retrained_test_error"] {
        assert_eq!(screened[key], clean[key], "{key}");
    }
    // The odds of a bad branch are 12 in 14: some of 20 samples have one.
    let bad = outcome(&records, "bad", "")["bad_ops"].as_array().unwrap();
    assert!(bad[1..].iter().any(|n| n.as_u64() > Some(0)), "{bad:?}");
    assert_ne!(outcome(&records, "paper", "")["epochs"], clean["epochs"]);
}

/// Three learners, on each surface that they have a threat of strength zero.
#[test]
fn strength_zero_is_the_clean_trial() {
    let head = |sizes| recipes::head("zero", &[3]) + &recipes::data("digits", sizes);
    let enas =
        head([96, 32, 32]) + &recipes::enas([4, 4, 16, 1], [1, 2, 16], "density_samples = 5", 1);
    let cells = head([96, 32, 32])
        + r#"[learner]
kind = "nas"
search = "random"
evaluate = "train"
random = { draws = 2, channels = 2, cells = 1, train = { epochs = 1, batch = 32 } }
train = { channels = 2, cells = 1, epochs = 1, batch = 32, crop = 1, cutout = 2 }
"#;
    let bilevel = head([64, 30, 32])
        + r#"classes = [3, 8]
split = "random"
[learner]
kind = "bilevel"
hyperiterations = 2
inner = { steps = 10, lr = 0.2 }
"#;
    const CLEAN: &str = "[[cell]]\nlabel = \"clean\"\n";
    const SPACE: &str = "threat.space = { kind = \"bad-ops\", set = \"P5\", q = 0 }\n";
    const DATA: &str = "threat.data = { kind = \"rlf\", budget = 0 }\n";
    const INPUTS: &str = "threat.inputs = { kind = \"evasion\", attack = \"pgd5\", epsilon = 0 }\n";
    for (name, head, threats) in [
        ("enas", enas, &[SPACE, DATA, INPUTS][..]),
        ("cells", cells, &[SPACE, DATA, INPUTS]),
        ("bilevel", bilevel, &[DATA, INPUTS]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let recipe = dir.path().join("recipe.toml");
        let zero = format!("[[cell]]\nlabel = \"zero\"\n{}", threats.concat());
        fs::write(&recipe, format!("{head}{CLEAN}{zero}")).unwrap();
        let records = run(&recipe, &dir.path().join("out"));
        let [clean, zero] = ["clean", "zero"].map(|cell| outcome(&records, cell, ""));
        assert_eq!(clean.to_string(), zero.to_string(), "{name}");
    }
}

#[test]
fn what_has_no_meaning_is_refused_with_its_reason() {
    let recipe = |learner: &str, cell: &str| {
        format!(
            "name = \"no\"\nseeds = [1]\n[data]\ndataset = \"digits\"\nvalid = 100\n[learner]\n{learner}\n\
             [[cell]]\nlabel = \"a\"\n{cell}\n"
        )
    };
    let (enas, bilevel) = ("kind = \"enas\"", "kind = \"bilevel\"");
    let nas = "kind = \"nas\"\nsearch = \"te-nas\"";
    let evasion = "threat.inputs = { kind = \"evasion\", attack = \"pgd5\" }";
    for (learner, cell, said) in [
        (nas, evasion, "no trained network to attack"),
        (
            enas,
            "threat.data = { kind = \"bilevel\" }",
            "\"bilevel\" alone",
        ),
        (
            bilevel,
            "poison = \"P1\"\nq = 1",
            "searches no space of ops",
        ),
        (
            enas,
            "threat.data = { kind = \"evasion\", attack = \"pgd5\" }",
            "acts on inputs, not on data",
        ),
        (enas, "defence = \"parts\"", "lets several searches vote"),
        (
            "kind = \"enas\"\nretrain = { epochs = 0 }",
            evasion,
            "no trained network to attack",
        ),
        (
            enas,
            "threat = { kind = \"rfl\", budget = 0.1 }",
            "did you mean `rlf`?",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("r.toml"), recipe(learner, cell)).unwrap();
        let refused = toxscreen(dir.path(), &["plan", "r.toml"]);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{cell}: {text}");
        assert!(text.contains(said), "{cell}: {text}");
    }
}
