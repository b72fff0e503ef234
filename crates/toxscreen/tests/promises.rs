//! The promises of a study, on real (small) searches: zero poison is the baseline, jobs and threads change
//! nothing, a changed record is noticed. What is killed goes on: `kills.rs`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use tox_testkit::program::{Program, folder, read, silent, trials};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

/// Four short trials on the embedded digits; `zero` is the clean space with a poison of q = 0.
fn recipe() -> String {
    [
        recipes::head("promises", &[4]),
        recipes::data("digits", [320, 64, 64]),
        "augment = { crop = 1, flip = true, valid = true }\n".to_owned(),
        recipes::enas(
            [6, 4, 16, 3],
            [2, 3, 32],
            "candidates = 3, density_samples = 50",
            2,
        ),
        recipes::cell("clean", ""),
        recipes::cell("zero", "poison = \"P5\"\nq = 0\n"),
        recipes::cell("5a", "poison = \"P5\"\nq = 1\n"),
        recipes::cell(
            "random",
            "poison = \"P2\"\nq = 2\nlearner.strategy = \"random\"\n",
        ),
    ]
    .concat()
}

fn study() -> tempfile::TempDir {
    folder("recipe.toml", &recipe())
}

fn finish(dir: &Path, out: &str, options: &[&str]) {
    let args = [&["run", "recipe.toml", "--out", out], options].concat();
    let status = silent(&mut TOXSCREEN.saving(dir, &args)).status().unwrap();
    assert!(status.success(), "{out} {options:?}: {status}");
}

fn table(dir: &Path, out: &str) -> String {
    fs::read_to_string(dir.join(out).join("wide.csv")).unwrap()
}

/// The record of the trial of a cell.
fn record(dir: &Path, out: &str, cell: &str) -> (PathBuf, serde_json::Value) {
    for trial in trials(&dir.join(out)) {
        let path = trial.join("record.json");
        let record = read(&path);
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
    let verify = || TOXSCREEN.words(dir.path(), "verify run");
    let whole = verify();
    assert_eq!(whole.code, 0, "{}", whole.stdout);
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
    assert_eq!(verify().code, 1);
}
