//! Nodes that share a file system: locks that are leases, and instruction sets that differ.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tox_testkit::program::{Program, Said, records, silent};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

/// Four trials of digits, of so many steps; 2,000 take a second or so.
fn recipe(dir: &Path, steps: usize) {
    let learner = format!(
        "classes = [3, 8]\n[learner]\nkind = \"bilevel\"\nhyperiterations = {steps}\ninner = {{ steps = 100 }}\n"
    );
    let text = recipes::head("nodes", &[0, 1])
        + &recipes::data("digits", [160, 50, 60])
        + &learner
        + &recipes::cell("clean", "")
        + &recipes::cell("rlf", "threat = { kind = \"rlf\", budget = 0.5 }\n");
    fs::write(dir.join("nodes.toml"), text).unwrap();
}

fn leased(dir: &Path, words: &str) -> Command {
    let mut command = TOXSCREEN.command(dir, words.split(' '));
    command.env("TOXSCREEN_LEASES", "1");
    command
}

fn said(mut command: Command) -> Said {
    Said::of(command.output().unwrap())
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Files of leases below a folder.
fn leases(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(leases(&entry.path()));
        } else if name.contains("owner") || name.starts_with(".lease-") {
            found.push(entry.path());
        }
    }
    found
}

fn results(dir: &Path, study: &str) -> Vec<u8> {
    fs::read(dir.join(study).join("results.csv")).unwrap()
}

#[test]
fn two_drivers_refuse_each_other_by_leases_and_a_dead_one_is_followed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), 1500);
    TOXSCREEN
        .words(dir.path(), "run nodes.toml --out local")
        .must(0, &["4 of 4"]);
    let out = dir.path().join("out");
    let run = "run nodes.toml --out out";
    let mut first: Child = silent(&mut leased(dir.path(), run)).spawn().unwrap();
    wait("a trial's lease", || {
        out.is_dir() && leases(&out).len() >= 2
    });
    // Who comes later decides by the folder, not by the environment.
    let other = TOXSCREEN.words(dir.path(), run);
    other.must(1, &["another toxscreen runs the study"]);
    let status = TOXSCREEN.json(dir.path(), "status out", 0);
    assert!(
        status["begun"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["running"] == true),
        "{status}"
    );
    first.kill().unwrap();
    first.wait().unwrap();
    let again = said(leased(dir.path(), run));
    again.must(0, &["4 of 4"]);
    assert_eq!(results(dir.path(), "local"), results(dir.path(), "out"));
    let left = leases(&out);
    assert!(left.is_empty(), "{left:?}");
    TOXSCREEN.words(dir.path(), "verify out").must(0, &["same"]);
}

#[test]
fn another_nodes_lease_is_waited_for_until_it_is_not_heard_of() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), 50);
    let run = |words: &str| {
        let mut command = leased(dir.path(), words);
        command.env("TOXSCREEN_LEASE_SECONDS", "4");
        said(command)
    };
    run("run nodes.toml --out out --seeds 0").must(0, &["asks for them", "2 of 2"]);
    let owner = dir.path().join("out/.lock.owner");
    let there = "{\"host\":{\"name\":\"elsewhere\",\"boot\":\"b\",\"space\":\"s\"},\"process\":1,\"began\":1,\
                 \"token\":\"t\"}\n";
    fs::write(&owner, there).unwrap();
    let begun = Instant::now();
    run("run nodes.toml --out out").must(1, &["another toxscreen runs the study"]);
    assert!(begun.elapsed() < Duration::from_secs(4));
    wait("the bound", || run("run nodes.toml --out out").code == 0);
    assert!(begun.elapsed() >= Duration::from_secs(4));
    assert_eq!(records(&dir.path().join("out")).len(), 4);
}

#[test]
fn a_studys_instruction_set_is_that_of_all_its_trials() {
    let dir = tempfile::tempdir().unwrap();
    recipe(dir.path(), 50);
    let run = "run nodes.toml --out out --kernels portable";
    TOXSCREEN
        .words(dir.path(), &format!("{run} --seeds 0"))
        .must(0, &["2 of 2"]);
    // Whoever runs a trial of it, one or several.
    TOXSCREEN
        .words(dir.path(), "plan nodes.toml --out out --kernels portable")
        .must(0, &["2 of 4"]);
    TOXSCREEN
        .words(dir.path(), "trial --study out --index 1")
        .must(0, &[]);
    TOXSCREEN
        .words(dir.path(), "trial --study out --index 3")
        .must(0, &[]);
    let sets = |study: &str| -> Vec<String> {
        let records = records(&dir.path().join(study));
        records
            .iter()
            .map(|r| r["provenance"]["simd"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(sets("out"), ["portable"; 4]);
    let commands = TOXSCREEN.words(
        dir.path(),
        "plan nodes.toml --out two --kernels portable --commands --pack 4",
    );
    TOXSCREEN
        .shell(dir.path(), commands.stdout.trim())
        .must(0, &[]);
    assert_eq!(sets("two"), ["portable"; 4]);
    for other in [
        "run nodes.toml --out out",
        "run nodes.toml --out out --kernels plain",
    ] {
        TOXSCREEN
            .words(dir.path(), other)
            .must(2, &["instruction set portable", "add --kernels portable"]);
    }
    TOXSCREEN.words(dir.path(), run).must(0, &["4 of 4"]);
    let report = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(!report.contains("more than one setup"));
    // Nodes that differ, and nobody who said anything.
    let mut old = TOXSCREEN.command(
        dir.path(),
        "run nodes.toml --out mixed --seeds 0".split(' '),
    );
    said({
        old.env("TOXSCREEN_KERNELS", "portable");
        old
    })
    .must(0, &["2 of 2"]);
    TOXSCREEN
        .words(dir.path(), "run nodes.toml --out mixed")
        .must(0, &["4 of 4"]);
    if sets("mixed").iter().any(|set| set != "portable") {
        let report = fs::read_to_string(dir.path().join("mixed/report.html")).unwrap();
        assert!(report.contains("more than one setup") && report.contains("instruction set"));
    }
    TOXSCREEN
        .words(dir.path(), "run nodes.toml --out no --kernels avx9")
        .must(2, &["avx2, portable, plain"]);
}
