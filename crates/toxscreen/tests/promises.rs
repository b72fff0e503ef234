//! The promises of a study, on real (small) searches: zero poison is the baseline, jobs and threads change
//! nothing, a changed record is noticed. What is killed goes on: `kills.rs`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Four short trials on the embedded digits; `zero` is the clean space with a poison of q = 0.
const RECIPE: &str = r#"
name = "promises"
seeds = [4]
[data]
dataset = "digits"
train = 320
valid = 64
test = 64
augment = { crop = 1, flip = true, valid = true }
[learner]
kind = "enas"
child = { layers = 6, channels = 4, batch = 16, epochs = 3 }
controller = { steps = 2, aggregate = 3, batch = 32 }
evaluation = { candidates = 3, density_samples = 50 }
retrain = { epochs = 2 }
[[cell]]
label = "clean"
[[cell]]
label = "zero"
poison = "P5"
q = 0
[[cell]]
label = "5a"
poison = "P5"
q = 1
[[cell]]
label = "random"
poison = "P2"
q = 2
learner.strategy = "random"
"#;

fn command(dir: &Path, out: &str, options: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["run", "recipe.toml", "--out", out])
        .args(options)
        .env("TOXSCREEN_CHECKPOINT_SECONDS", "0.05")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn study() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
    dir
}

fn finish(dir: &Path, out: &str, options: &[&str]) {
    let status = command(dir, out, options).status().unwrap();
    assert!(status.success(), "{out} {options:?}: {status}");
}

fn table(dir: &Path, out: &str) -> String {
    fs::read_to_string(dir.join(out).join("wide.csv")).unwrap()
}

/// The record of the trial of a cell.
fn record(dir: &Path, out: &str, cell: &str) -> (PathBuf, serde_json::Value) {
    for entry in fs::read_dir(dir.join(out).join("trials")).unwrap() {
        let path = entry.unwrap().path().join("record.json");
        let record: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if record["spec"]["cell"] == cell {
            return (path, record);
        }
    }
    panic!("no record of {cell}");
}

#[test]
fn zero_poison_is_the_baseline_and_jobs_and_threads_change_nothing() {
    let dir = study();
    finish(dir.path(), "one", &["--jobs", "1", "--threads", "1"]);
    finish(dir.path(), "two", &["--jobs", "2", "--threads", "1"]);
    finish(dir.path(), "threads", &["--jobs", "1", "--threads", "2"]);
    let (_, clean) = record(dir.path(), "one", "clean");
    let (_, zero) = record(dir.path(), "one", "zero");
    assert_eq!(clean["outcome"], zero["outcome"]);
    let (_, poisoned) = record(dir.path(), "one", "5a");
    assert_ne!(clean["outcome"], poisoned["outcome"]);
    for cell in ["clean", "5a", "random"] {
        let (_, one) = record(dir.path(), "one", cell);
        for out in ["two", "threads"] {
            let (_, other) = record(dir.path(), out, cell);
            assert_eq!(one["outcome"], other["outcome"], "{cell} in {out}");
        }
    }
    assert_eq!(table(dir.path(), "one"), table(dir.path(), "two"));
}

#[test]
fn verify_passes_and_notices_one_changed_byte() {
    let dir = study();
    finish(dir.path(), "run", &["--set", "learner.child.epochs=1"]);
    let verify = || {
        Command::new(PROGRAM)
            .args(["verify", "run"])
            .current_dir(dir.path())
            .output()
    };
    let whole = verify().unwrap();
    assert!(
        whole.status.success(),
        "{}",
        String::from_utf8_lossy(&whole.stdout)
    );
    let (path, _) = record(dir.path(), "run", "5a");
    let record = fs::read_to_string(&path).unwrap();
    let at = record.find("\"valid_error\": ").unwrap() + "\"valid_error\": ".len();
    let digit = record.as_bytes()[at];
    let other = if digit == b'1' { "2" } else { "1" };
    fs::write(
        &path,
        format!("{}{other}{}", &record[..at], &record[at + 1..]),
    )
    .unwrap();
    let changed = verify().unwrap();
    assert_eq!(changed.status.code(), Some(1));
}
