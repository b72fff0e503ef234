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
use tox_study::trial::TrialContext;
use tox_testkit::recipes;

/// Studies of a trial each, of learners that are quick.
fn recipes() -> [String; 3] {
    let bilevel = [
        recipes::head("bilevel", &[0]),
        recipes::data("digits", [40, 20, 20]),
        "classes = [3, 8]\nsplit = \"random\"\n[learner]\nkind = \"bilevel\"\nhyperiterations = 2\n\
         kuncheva = [5]\n[learner.inner]\nsteps = 3\n"
            .to_owned(),
        recipes::bilevel(2, 1),
        recipes::cell("learned", ""),
    ];
    let evaluation = "candidates = 2, final_candidates = 2, density_samples = 5";
    let enas = [
        recipes::head("enas", &[0]),
        recipes::data("digits", [32, 16, 16]),
        recipes::enas([3, 2, 16, 1], [1, 2, 16], evaluation, 1),
        recipes::cell("5a", "poison = \"P5\"\nq = 1\n"),
    ];
    let keys = "steps = 2\nhyperiterations = 2\nretrain_epochs = 2\nlambdas = 2\ngrid = 2";
    let maps = [
        recipes::head("maps", &[0]),
        recipes::synthetic([16, 16], keys),
        recipes::cell("maps", ""),
    ];
    [maps.concat(), bilevel.concat(), enas.concat()]
}

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
        shared_only: false,
        device: "cpu".to_owned(),
        threads: 1,
    };
    let stop = AtomicBool::new(false);
    let run = |spec: &TrialSpec, context: TrialContext<'_>| HOUSE.execute(spec, context);
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
    let recipes = recipes();
    let dirs = [0; 3].map(|_| scratch());
    let made = [0, 1, 2].map(|i| study(dirs[i].path(), &recipes[i]));

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
