//! The promises of a study, on real (small) searches: what is killed goes on to the same table,
//! zero poison is the baseline, jobs and threads change nothing, a changed record is noticed.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
    fs::read_to_string(dir.join(out).join("results.csv")).unwrap()
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

/// Process ids of the trials of a run.
#[cfg(target_os = "linux")]
fn children(parent: &Child) -> Vec<String> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let list = fs::read_to_string(path).unwrap_or_default();
    list.split_whitespace().map(str::to_owned).collect()
}

#[cfg(target_os = "linux")]
fn kill_hard(pid: &str) {
    let _ = Command::new("kill").args(["-9", pid]).status();
}

#[cfg(target_os = "linux")]
#[test]
fn a_study_killed_anywhere_ends_with_the_same_table() {
    let dir = study();
    finish(dir.path(), "undisturbed", &["--jobs", "2"]);
    let expected = table(dir.path(), "undisturbed");
    assert_eq!(expected.lines().count(), 5, "{expected}");
    let mut killed = 0;
    for (round, milliseconds) in [30, 200, 450, 800].into_iter().enumerate() {
        // The parent: its trials end by themselves, the next run waits for them.
        let out = format!("parent{round}");
        let mut run = command(dir.path(), &out, &["--jobs", "2"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        run.kill().unwrap();
        run.wait().unwrap();
        killed += usize::from(!dir.path().join(&out).join("results.csv").exists());
        finish(dir.path(), &out, &["--jobs", "2"]);
        assert_eq!(
            table(dir.path(), &out),
            expected,
            "parent killed after {milliseconds} ms"
        );

        // The trials: the run says that they failed, the next one does what is missing.
        let out = format!("child{round}");
        let mut run = command(dir.path(), &out, &["--jobs", "2"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let victims = children(&run);
        victims.iter().for_each(|pid| kill_hard(pid));
        let status = run.wait().unwrap();
        assert_eq!(
            status.success(),
            victims.is_empty(),
            "{victims:?}: {status}"
        );
        finish(dir.path(), &out, &["--jobs", "2"]);
        assert_eq!(
            table(dir.path(), &out),
            expected,
            "children killed after {milliseconds} ms"
        );
    }
    assert!(killed > 0, "every run was over before it was killed");
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
