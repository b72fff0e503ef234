//! The seam between a study and whatever runs its trials: a plan of commands, and one trial a command.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn toxscreen(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxscreen"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command.output().unwrap()
}

fn recipe(dir: &Path) {
    let text = "name = \"seam\"\nseeds = [0, 1]\n[data]\ndataset = \"digits\"\nclasses = [3, 8]\n\
        train = 120\nvalid = 60\ntest = 60\n\
        [learner]\nkind = \"bilevel\"\nvictim = \"none\"\nhyperiterations = 1\ninner = { steps = 20 }\n\
        [[cell]]\nlabel = \"clean\"\n\
        [[cell]]\nlabel = \"rlf\"\nthreat = { kind = \"rlf\", budget = 0.5 }\n";
    fs::write(dir.join("seam.toml"), text).unwrap();
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_shell_runs_a_study() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path());
    let plan = ["plan", "seam.toml", "--out", "out", "--commands"];
    let planned = toxscreen(dir.path(), &plan);
    let commands = said(&planned.stdout);
    assert_eq!(commands.lines().count(), 4, "{}", said(&planned.stderr));
    // In any order, by anybody, from anywhere.
    for line in commands.lines().rev() {
        let ran = Command::new("sh")
            .args(["-c", line])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(ran.status.success(), "{line}: {}", said(&ran.stderr));
    }
    assert!(said(&toxscreen(dir.path(), &["status", "out"]).stdout).contains("2/2"));
    assert!(toxscreen(dir.path(), &["report", "out"]).status.success());
    // What a local run gives, byte for byte.
    assert!(
        toxscreen(dir.path(), &["run", "seam.toml", "--out", "local"])
            .status
            .success()
    );
    for file in ["results.csv", "wide.csv", "report.html", "plan.jsonl"] {
        let read = |study: &str| fs::read(dir.path().join(study).join(file)).unwrap();
        if file == "report.html" {
            // It tells how long trials took.
            continue;
        }
        assert_eq!(read("out"), read("local"), "{file}");
    }
    // Nothing is left to do.
    assert_eq!(said(&toxscreen(dir.path(), &plan).stdout), "");
    assert!(toxscreen(dir.path(), &["verify", "out"]).status.success());
}

#[test]
fn a_trial_says_itself_how_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path());
    assert!(
        toxscreen(dir.path(), &["plan", "seam.toml", "--out", "out"])
            .status
            .success()
    );
    let ran = toxscreen(dir.path(), &["trial", "--study", "out", "--index", "4"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(
        said(&ran.stderr).contains("--index from 0 to 3"),
        "{}",
        said(&ran.stderr)
    );
    // The learner has no device.
    let ran = toxscreen(
        dir.path(),
        &[
            "trial", "--study", "out", "--index", "0", "--device", "vulkan:0",
        ],
    );
    assert_eq!(ran.status.code(), Some(2), "{}", said(&ran.stderr));
    let status = said(&toxscreen(dir.path(), &["status", "out"]).stdout);
    assert!(status.contains("on the CPU"), "{status}");
    // The same trial, asked for as it can be run.
    let ran = toxscreen(dir.path(), &["trial", "--study", "out", "--index", "0"]);
    assert!(ran.status.success(), "{}", said(&ran.stderr));
    let status = said(&toxscreen(dir.path(), &["status", "out"]).stdout);
    assert!(!status.contains("on the CPU"), "{status}");
}

#[test]
fn what_a_trial_could_not_say_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path());
    let plan = ["plan", "seam.toml", "--out", "out"];
    assert!(toxscreen(dir.path(), &plan).status.success());
    let at = |more: &[&str]| {
        let args = [&["trial", "--study", "out", "--index", "0"], more].concat();
        toxscreen(dir.path(), &args)
    };
    let failed = ["--failed", "its node burned down", "--exit-code", "137"];
    assert!(at(&failed).status.success());
    let status = said(&toxscreen(dir.path(), &["status", "out"]).stdout);
    assert!(status.contains("its node burned down"), "{status}");
    // It runs all the same, and a trial that is done did not fail.
    assert!(at(&[]).status.success());
    assert!(at(&failed).status.success());
    let status = said(&toxscreen(dir.path(), &["status", "out"]).stdout);
    assert!(!status.contains("burned"), "{status}");
    // Somebody runs it: it is asked for again, and is no failure.
    let trials = fs::read_dir(dir.path().join("out/trials")).unwrap();
    let open = trials.map(|trial| trial.unwrap().path());
    let open: Vec<_> = open
        .filter(|trial| !trial.join("record.json").is_file())
        .collect();
    let lock = fs::File::create(open[0].join(".lock")).unwrap();
    lock.lock().unwrap();
    let id = open[0].file_name().unwrap().to_str().unwrap();
    let args = ["trial", "--study", "out", "--id", id, "--failed", "gone"];
    let ran = toxscreen(dir.path(), &args);
    assert_eq!(ran.status.code(), Some(75), "{}", said(&ran.stderr));
    assert!(!open[0].join("failure.json").exists());
}

#[test]
fn results_are_written_for_a_paper() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path());
    let run = ["run", "seam.toml", "--out", "out"];
    assert!(toxscreen(dir.path(), &run).status.success());
    let ran = toxscreen(dir.path(), &["report", "out", "--latex", "t.tex"]);
    assert!(ran.status.success(), "{}", said(&ran.stderr));
    assert!(said(&ran.stdout).contains("wrote    t.tex"));
    let text = fs::read_to_string(dir.path().join("t.tex")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("% seam; needs"), "{text}");
    assert_eq!(
        &lines[1..3],
        ["\\begin{tabular}{llrrrrr}", "\\toprule"],
        "{text}"
    );
    let columns = |line: &str| line.matches('&').count();
    let rows: Vec<&&str> = lines.iter().filter(|line| line.ends_with("\\\\")).collect();
    // A head, and a row a cell.
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows.iter().all(|row| columns(row) == 6), "{text}");
    assert!(
        text.contains("$\\pm$") && text.contains("RLF 50 \\%"),
        "{text}"
    );
    // Tests are built without Parquet.
    let ran = toxscreen(dir.path(), &["report", "out", "--parquet"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        said(&ran.stderr).contains("--features parquet"),
        "{}",
        said(&ran.stderr)
    );
}
