//! What a study's folder holds: specs, plans, records.

use crate::harness::{fuzz, scratch};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tox_audits::{HOUSE, REPORTS};
use tox_data::DataDir;
use tox_study::child;
use tox_study::files;
use tox_study::plan::{Trial, trial_id};
use tox_study::recipe::{Overrides, Study};
use tox_study::record::Record;
use tox_study::spec::TrialSpec;
use tox_study::store::Store;
use tox_study::trial::{TrialContext, execute};

/// Studies of a trial each, of learners that are quick.
const RECIPES: [&str; 3] = [
    r#"
name = "maps"
seeds = [0]
[data]
dataset = "gaussians"
train = 16
valid = 16
[learner]
kind = "synthetic"
steps = 2
hyperiterations = 2
retrain_epochs = 2
lambdas = 2
grid = 2
[[cell]]
label = "maps"
"#,
    r#"
name = "bilevel"
seeds = [0]
[data]
dataset = "digits"
classes = [3, 8]
split = "random"
train = 40
valid = 20
test = 20
[learner]
kind = "bilevel"
hyperiterations = 2
kuncheva = [5]
[learner.inner]
steps = 3
[threat]
kind = "bilevel"
batch = 2
batches = 1
[[cell]]
label = "learned"
"#,
    r#"
name = "enas"
seeds = [0]
[data]
dataset = "digits"
train = 32
valid = 16
test = 16
[learner]
kind = "enas"
child = { layers = 3, channels = 2, batch = 16, epochs = 1 }
controller = { steps = 1, aggregate = 2, batch = 16 }
evaluation = { candidates = 2, final_candidates = 2, density_samples = 5 }
retrain = { epochs = 1 }
[[cell]]
label = "5a"
poison = "P5"
q = 1
"#,
];

/// Runs a recipe's only trial in a study's folder at `dir`; its record's text.
fn study(dir: &Path, recipe: &str) -> (Trial, String) {
    let study = Study::parse(&HOUSE, "study", recipe, &Overrides::default()).unwrap();
    let (study, faults) = study
        .resolved(&HOUSE, &DataDir::resolve(Some(dir)).unwrap())
        .unwrap();
    assert!(faults.is_empty());
    let (store, _lock) = Store::create(&HOUSE, dir, &study).unwrap();
    let trial = study.trials[0].clone();
    let spec = dir.join("spec.json");
    fs::write(&spec, serde_json::to_string(&trial.spec).unwrap()).unwrap();
    let options = child::Options {
        spec,
        dir: store.trial_dir(&trial.id),
        data_dir: None,
        shared: None,
        device: "cpu".to_owned(),
        threads: 1,
    };
    let stop = AtomicBool::new(false);
    let run = |spec: &TrialSpec, context: TrialContext<'_>| execute(&HOUSE, spec, context);
    child::run(&options, &stop, &run, &mut |_| {}).unwrap();
    let text = files::read(&store.record_path(&trial.id)).unwrap();
    (trial, text)
}

const WORDS: [&str; 14] = [
    "version",
    "trial",
    "spec",
    "cell",
    "seed",
    "data",
    "learner",
    "kind",
    "threat",
    "outcome",
    "provenance",
    "digest",
    "\"enas\"",
    "\"bilevel\"",
];

#[test]
fn records_plans_and_specs() {
    let dirs = RECIPES.map(|_| scratch());
    let made = [0, 1, 2].map(|i| study(dirs[i].path(), RECIPES[i]));

    let specs: Vec<Vec<u8>> = made
        .iter()
        .map(|(trial, _)| serde_json::to_vec(&trial.spec).unwrap())
        .collect();
    fuzz("spec", &specs, &WORDS, |text| {
        let spec = serde_json::from_slice::<TrialSpec>(text);
        spec.is_ok_and(|s| trial_id(&s).len() == 16)
    });

    let path = dirs[0].path().join("record.json");
    let records: Vec<Vec<u8>> = made.iter().map(|m| m.1.clone().into_bytes()).collect();
    fuzz("record", &records, &WORDS, |text| {
        fs::write(&path, text).unwrap();
        // A damaged one that still reads may be sealed again, and is then what it says.
        if let Ok(record) = serde_json::from_slice::<Record>(text) {
            let Record {
                spec,
                outcome,
                provenance,
                timing,
                ..
            } = record;
            if let Ok(sealed) = Record::seal(spec, outcome, provenance, timing) {
                fs::write(dirs[1].path().join("sealed.json"), sealed.to_json()).unwrap();
                let _ = Record::read(&dirs[1].path().join("sealed.json"));
            }
        }
        Record::read(&path).is_ok()
    });

    // The whole folder, as a report reads it.
    let plans: Vec<Vec<u8>> = dirs
        .iter()
        .map(|d| fs::read(d.path().join("plan.jsonl")).unwrap())
        .collect();
    fuzz("plan", &plans, &WORDS, |text| {
        let mut read = false;
        for dir in &dirs {
            let path = dir.path().join("plan.jsonl");
            let whole = fs::read(&path).unwrap();
            fs::write(&path, text).unwrap();
            read |= tox_report::headline(&REPORTS, dir.path()).is_ok();
            fs::write(&path, whole).unwrap();
        }
        read
    });
}
