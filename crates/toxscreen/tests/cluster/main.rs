//! A study on a cluster ends as one on this machine, whatever happens to its jobs and to the command that waits
//! for them. The cluster is `fake-slurm.sh`; tests whose names begin with `slurm_` use a real one.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod cluster;
mod queue;
mod real;
mod submit;

use cluster::Cluster;
use std::fs;
use std::path::Path;
use tox_testkit::program::{Program, Said};

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

/// A study of 24 trials of digits in `dir`, each of so many steps; 2,000 take a second or so.
fn recipe(dir: &Path, steps: usize) {
    let text = format!(
        "name = \"digits\"\nseeds = [0, 1, 2, 3, 4, 5]\n[data]\ndataset = \"digits\"\nclasses = [3, 8]\n\
         train = 160\nvalid = 50\ntest = 60\n[learner]\nkind = \"bilevel\"\nvictim = \"learned\"\n\
         hyperiterations = {steps}\ninner = {{ steps = 100 }}\n\
         [[cell]]\nlabel = \"clean\"\n\
         [[cell]]\nlabel = \"rlf-10\"\nthreat = {{ kind = \"rlf\", budget = 0.1 }}\n\
         [[cell]]\nlabel = \"rlf-50\"\nthreat = {{ kind = \"rlf\", budget = 0.5 }}\n\
         [[cell]]\nlabel = \"noise\"\nthreat = {{ kind = \"noise\", budget = 0.3 }}\n"
    );
    fs::write(dir.join("digits.toml"), text).unwrap();
}

/// Trials of no time.
const QUICK: usize = 50;

/// Trials that can be met while they run.
const SLOW: usize = 1500;

/// Runs the recipe here, into `local`.
fn local(dir: &Path, steps: usize) {
    recipe(dir, steps);
    TOXSCREEN
        .words(dir, "run digits.toml --out local")
        .must(0, &["24 of 24 trials done"]);
}

/// That both studies have the same results, byte for byte.
fn same_results(dir: &Path, study: &str) {
    for file in ["results.csv", "wide.csv", "plan.jsonl"] {
        let read = |study: &str| fs::read(dir.join(study).join(file)).unwrap();
        assert_eq!(read("local"), read(study), "{file}");
    }
    let verified = TOXSCREEN.words(dir, &format!("verify {study} --no-rerun"));
    verified.must(0, &["24"]);
}

/// The study on a cluster, with what must be said.
fn on(cluster: &Cluster, dir: &Path, words: &str, code: i32, parts: &[&str]) -> Said {
    let said = Said::of(cluster.command(dir, words).output().unwrap());
    assert_eq!(said.code, code, "{words}: {}", said.all());
    for part in parts {
        assert!(said.all().contains(part), "{part}: {}", said.all());
    }
    said
}
