//! Targeted attacks as users meet them: `poison --target-set`, and `target` of recipes.

use super::{FAST, columns, digits, folder, json, table::PROGRAM, toxscreen};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tox_data::features::{FeatureSets, Features};

/// Ten eights of the test set that are wanted as threes, and two eights that are trained on, with the names of these
/// classes.
fn targets(at: &Path, [three, eight]: [u16; 2]) -> usize {
    let sets = digits();
    let of = |set: &Features, count: usize| {
        let eights = (0..set.rows).filter(|&i| set.labels[i] == 1);
        set.rows(&eights.take(count).collect::<Vec<_>>())
    };
    let test = sets.test.unwrap();
    let mut rows = of(&test, 10);
    let mut shared = of(&sets.train, 2);
    shared.labels.fill(eight);
    save(at, "shared.npz", shared);
    rows.labels.fill(three);
    let count = rows.rows;
    save(at, "wanted.npz", rows);
    count
}

fn save(at: &Path, name: &str, train: Features) {
    let sets = FeatureSets { train, test: None };
    sets.save(&at.join(name)).unwrap();
}

#[test]
fn a_target_set_is_aimed_at_and_the_trusted_rows_are_not() {
    let dir = folder(|set| set);
    let at = dir.path();
    let count = targets(at, [0, 1]);
    let words = format!(
        "poison --data my.npz --trusted trusted.npz --points 30 --victim none {FAST} --target-labels"
    );
    let words = format!("{words} wanted --target-set wanted.npz");
    let found = json(at, &format!("{words} --out p.npz --out runs/p"), 0);
    assert_eq!(found["attacked"], true);
    assert_eq!(
        found["target"],
        serde_json::json!({"rows": count, "labels": "wanted", "also": [0, 0, count]})
    );
    let of = |on: &str, key: &str| found["trained"][on][key].as_f64().unwrap();
    assert!(
        of("poison", "target_success") > of("clean", "target_success") + 20.0,
        "{found}"
    );
    assert!(of("poison", "target_objective") > of("flipped", "target_objective"));
    // With the same points the attack on all rows is worse for the trusted rows.
    let plain = words.replace(" --target-labels wanted --target-set wanted.npz", "");
    let all = json(at, &format!("{plain} --out all.npz"), 0);
    assert!(all["target"].is_null() && all["trained"]["poison"]["target_success"].is_null());
    let loss = |found: &Value| found["trained"]["poison"]["trusted_loss"].as_f64().unwrap();
    assert!(loss(&all) > loss(&found));

    let (code, text, stderr) = toxscreen(at, "verify runs/p");
    assert_eq!(code, 0, "{text}{stderr}");
    let csv = fs::read_to_string(at.join("runs/p/results.csv")).unwrap();
    assert!(csv.contains("target_success"), "{csv}");
    let (code, text, stderr) = toxscreen(at, &format!("{words} --out q.npz"));
    assert!(code == 0 && text.contains("targets as wanted"), "{text}");
    let said = format!("of {count} target rows 0 are training rows");
    assert!(stderr.contains(&said), "{stderr}");
}

#[test]
fn a_target_file_that_does_not_fit_is_one_error() {
    let dir = folder(|set| set);
    let at = dir.path();
    targets(at, [0, 1]);
    let mut fives = digits().train;
    fives.labels.fill(5);
    save(at, "five.npz", fives);
    save(at, "floats.npz", columns(digits().train));
    let mut narrow = columns(digits().train);
    narrow.columns = 32;
    narrow.labels = narrow.labels.repeat(2);
    narrow.rows *= 2;
    save(at, "narrow.npz", narrow);
    save(at, "empty.npz", digits().train.rows(&[]));
    for (file, expected, message) in [
        ("absent.npz", 2, "cannot read the target"),
        (
            "five.npz",
            3,
            "has the label 5: expected a class that is learned, one of 0, 1",
        ),
        (
            "floats.npz",
            3,
            "are floats and the training rows are 8-bit",
        ),
        ("narrow.npz", 3, "have 32 features: expected 64"),
        ("empty.npz", 3, "empty.npz"),
    ] {
        let words = format!("poison --data my.npz --out p.npz --target-set {file} {FAST}");
        let (code, stdout, stderr) = toxscreen(at, &words);
        assert_eq!((code, stdout.as_str()), (expected, ""), "{file}: {stderr}");
        assert!(stderr.contains(message), "{file}: {stderr}");
    }
    let words = "poison --data my.npz --out p.npz --attack rlf --target-set wanted.npz";
    let (code, _, stderr) = toxscreen(at, words);
    assert!(
        code == 2 && stderr.contains("--target-set is of no use"),
        "{stderr}"
    );
    let words = "poison --data my.npz --out p.npz --target-labels wanted";
    assert_eq!(toxscreen(at, words).0, 2);
}

const RECIPE: &str = r#"
name = "targeted"
seeds = [0]
[data]
dataset = "digits"
classes = [3, 8]
split = "random"
train = 160
valid = 50
test = 100
[learner]
kind = "bilevel"
hyperiterations = 60
inner.steps = 300
[threat]
kind = "bilevel"
batch = 8
batches = 2
[[cell]]
label = "wanted"
threat.target = { path = "wanted.npz", labels = "wanted" }
[[cell]]
label = "true"
threat.target = { path = "shared.npz" }
[[cell]]
label = "trusted"
"#;

fn outcome(at: &Path, label: &str) -> Value {
    let trials = fs::read_dir(at.join("trials")).unwrap();
    let records = trials.map(|trial| {
        let text = fs::read_to_string(trial.unwrap().path().join("record.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let mut of = records.filter(|record| record["spec"]["cell"] == label);
    of.next().unwrap()["outcome"].clone()
}

#[test]
fn a_recipe_names_targets_by_content_and_goes_on_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    targets(at, [3, 8]);
    fs::write(at.join("r.toml"), RECIPE).unwrap();
    let (code, text, stderr) = toxscreen(at, "run r.toml --out whole");
    assert_eq!(code, 0, "{text}{stderr}");

    // Killed as soon as a trial has saved itself.
    let mut child = Command::new(PROGRAM)
        .args(["run", "r.toml", "--out", "killed", "--jobs", "1"])
        .current_dir(at)
        .env("TOXSCREEN_CHECKPOINT_SECONDS", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let saved = || {
        let trials = fs::read_dir(at.join("killed/trials")).into_iter().flatten();
        let mut files = trials.flat_map(|t| fs::read_dir(t.unwrap().path()).into_iter().flatten());
        files.any(|file| {
            file.unwrap()
                .file_name()
                .to_string_lossy()
                .contains("checkpoint")
        })
    };
    let seen = (0..6000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        saved()
    });
    assert!(seen, "no trial saved itself");
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, text, stderr) = toxscreen(at, "run r.toml --out killed");
    assert_eq!(code, 0, "{text}{stderr}");
    for label in ["wanted", "true", "trusted"] {
        assert_eq!(
            outcome(&at.join("whole"), label),
            outcome(&at.join("killed"), label)
        );
    }
    let (code, text, stderr) = toxscreen(at, "verify whole");
    assert_eq!(code, 0, "{text}{stderr}");

    let wanted = outcome(&at.join("whole"), "wanted");
    let hit = |level: usize| {
        wanted["levels"][level]["target"]["success"]
            .as_f64()
            .unwrap()
    };
    assert!(hit(2) > hit(0), "{wanted}");
    assert!(wanted["levels"][2]["target"]["flipped_success"].is_number());
    let shared = outcome(&at.join("whole"), "true");
    let also: Vec<u64> = serde_json::from_value(shared["target"]["also"].clone()).unwrap();
    assert_eq!(shared["target"]["rows"].as_u64(), Some(2));
    // The split draws 310 of the 357 images.
    assert!((1..=2).contains(&also.iter().sum::<u64>()), "{also:?}");
    assert!(outcome(&at.join("whole"), "trusted")["target"].is_null());
    let wide = fs::read_to_string(at.join("whole/wide.csv")).unwrap();
    assert!(
        wide.lines().next().unwrap().ends_with("target_objective"),
        "{wide}"
    );
    let page = fs::read_to_string(at.join("whole/report.html")).unwrap();
    for said in [
        "Target rows that get the label that the adversary wants, clean to most poison",
        "aimed at a target set",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(page.contains("get the label that the adversary wants"));

    // Other rows under the same name are another study.
    fs::copy(at.join("shared.npz"), at.join("wanted.npz")).unwrap();
    let (code, _, stderr) = toxscreen(at, "run r.toml --out whole");
    assert!(code != 0 && stderr.contains("wanted.npz"), "{stderr}");
}
