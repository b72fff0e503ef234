//! A study of 10,000 trials: its plan in a second, its status in two, its report in ten (docs/guide/long-tests.md).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tox_audits::HOUSE;
use tox_study::record::Record;
use tox_study::store::Store;
use tox_testkit::program::Program;
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

/// Gives every trial of a study the outcome of the one that was run, under a seal of its own.
fn plant(study: &Path) {
    let store = Store::open(&HOUSE, study).unwrap();
    let trials = &store.study.trials;
    let made = trials.iter().find(|t| store.is_done(&t.id)).unwrap();
    let events = fs::read(store.trial_dir(&made.id).join("events.jsonl")).unwrap();
    let made = store.record(&made.id).unwrap().unwrap();
    for trial in trials.iter().filter(|t| !store.is_done(&t.id)) {
        let (outcome, from) = (made.outcome.clone(), made.provenance.clone());
        let record = Record::seal(trial.spec.clone(), outcome, from, made.timing.clone()).unwrap();
        let dir = store.trial_dir(&trial.id);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("spec.json"), trial.spec_json()).unwrap();
        fs::write(dir.join("record.json"), record.to_json()).unwrap();
        fs::write(dir.join("events.jsonl"), &events).unwrap();
    }
}

/// Runs `words` three times; the least time that it took.
fn timed(dir: &Path, words: &str, code: i32) -> Duration {
    let times = (0..3).map(|_| {
        let begun = Instant::now();
        TOXSCREEN.words(dir, words).must(code, &[]);
        begun.elapsed()
    });
    let least = times.min().unwrap();
    println!("{words}: {least:.2?}");
    least
}

#[test]
#[ignore = "times commands; needs an idle machine"]
fn ten_thousand_trials_are_planned_told_of_and_reported_in_seconds() {
    let keys = "steps = 2\nhyperiterations = 1\nretrain_epochs = 1\nlambdas = 2\ngrid = 2";
    let cells = ["a", "b"].map(|label| recipes::cell(label, ""));
    let text = recipes::head("big", &[0]) + &recipes::synthetic([16, 16], keys) + &cells[0];
    let text = text + &cells[1].replace("label = \"b\"", "label = \"b\"\nlearner = { steps = 3 }");
    let dir = tox_testkit::program::folder("big.toml", &text);
    let dir = dir.path();
    let all = "--seeds 0..5000";
    let plan = timed(dir, &format!("plan big.toml {all}"), 0);
    TOXSCREEN
        .words(dir, "run big.toml --out big --seeds 0 --cells a")
        .must(0, &["1 of 1"]);
    // Making 10,000 folders is the file system's time.
    let begun = Instant::now();
    TOXSCREEN
        .words(dir, &format!("plan big.toml {all} --out new"))
        .must(0, &["10000 of 10000"]);
    println!("plan --out, of a new folder: {:.2?}", begun.elapsed());
    let made = timed(dir, &format!("plan big.toml {all} --out new"), 0);
    let commands = timed(
        dir,
        &format!("plan big.toml {all} --out new --commands --pack 20"),
        0,
    );
    let begun = timed(dir, "status new", 0);
    TOXSCREEN
        .words(dir, &format!("plan big.toml {all} --out big"))
        .must(0, &["9999 of 10000"]);
    plant(&dir.join("big"));
    let done = timed(dir, "status big", 0);
    let priced = timed(dir, &format!("plan big.toml {all} --out big"), 0);
    let report = timed(dir, "report big", 0);
    for (what, took, most) in [
        ("plan", plan, 1.0),
        ("plan --out", made, 1.0),
        ("plan --commands", commands, 1.0),
        ("plan of what is done", priced, 1.0),
        ("status", begun.max(done), 2.0),
        ("report", report, 10.0),
    ] {
        assert!(took.as_secs_f64() <= most, "{what}: {took:.2?}");
    }
}
