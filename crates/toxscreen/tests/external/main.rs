//! Learners that somebody brings: the protocol from the outside, by a program that knows toxscreen from
//! docs/guide/external.md alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod audit;
mod hostile;
mod inputs;
mod stops;
mod surroundings;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program, with a configuration folder of its own so that nobody's trust counts.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxscreen"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command.env("XDG_CONFIG_HOME", dir.join("config"));
    command
}

pub fn toxscreen(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

/// What it says where it must succeed.
pub fn done(dir: &Path, args: &[&str]) -> String {
    let ran = toxscreen(dir, args);
    let said = text(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", text(&ran.stderr));
    said
}

/// One seed of the [`recipe`].
pub const RUN: [&str; 7] = [
    "run",
    "own.toml",
    "--seeds",
    "0",
    "--out",
    "out",
    "--allow-commands",
];

pub const VERIFY: [&str; 3] = ["verify", "out", "--allow-commands"];

/// The learner of examples/learner.rs, which `cargo test` builds.
pub fn learner() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().unwrap().parent().unwrap();
    let found = target.join("examples").join("learner");
    let remedy = "cargo build --release --workspace --examples";
    assert!(
        found.is_file(),
        "{} is not there: {remedy}",
        found.display()
    );
    found
}

/// That learner as a recipe's key, with these words.
pub fn own(words: &[&str]) -> String {
    let exe = learner();
    command_of(&[&[exe.to_str().unwrap()], words].concat())
}

/// That learner behind a script of the shell, which ends in its place.
pub fn behind(script: &str) -> String {
    let script = format!("{script}; exec {} \"$0\"", learner().display());
    command_of(&["/bin/sh", "-c", &script])
}

/// Writes a recipe of 3 cells on 240 digits; `learner` are its keys.
pub fn recipe(dir: &Path, learner: &str, cells: &str) -> PathBuf {
    let text = format!(
        "name = \"own\"\nseeds = [0, 1]\n[data]\ndataset = \"digits\"\ntrain = 200\nvalid = 60\ntest = 100\n\
         [learner]\nkind = \"external\"\n{learner}\n{cells}"
    );
    let path = dir.join("own.toml");
    fs::write(&path, text).unwrap();
    path
}

pub const CLEAN: &str = "[[cell]]\nlabel = \"clean\"\n";

/// Clean, and flipped labels of no budget and of 0.4.
pub const CELLS: &str = "[[cell]]\nlabel = \"clean\"\n\
    [[cell]]\nlabel = \"zero\"\nthreat = { kind = \"rlf\", budget = 0.0 }\n\
    [[cell]]\nlabel = \"rlf\"\nthreat = { kind = \"rlf\", budget = 0.4 }\n";

pub fn command_of(words: &[&str]) -> String {
    format!("command = {}", Value::from(words.to_vec()))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Records of a study by cell and seed.
pub fn records(out: &Path) -> Vec<(String, u64, Value)> {
    let plan = fs::read_to_string(out.join("plan.jsonl")).unwrap();
    let read = |line: &str| {
        let trial: Value = serde_json::from_str(line).unwrap();
        let id = trial["trial"].as_str().unwrap();
        let path = out.join("trials").join(id).join("record.json");
        let record: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let spec = &record["spec"];
        let cell = spec["cell"].as_str().unwrap().to_owned();
        (
            cell,
            spec["seed"].as_u64().unwrap(),
            record["outcome"].clone(),
        )
    };
    plan.lines().map(read).collect()
}
