//! The report of tables, over made-up records.

use super::figures::front;
use super::gather::Gathered;
use crate::made_up::{self, assert_balanced, edit, noise, part, read, seal};
use crate::subnets::outcome::{Failed, Row, TableOutcome};
use serde_json::json;
use tox_nn::nets::wrn::{Shape, WrnConfig};
use tox_rcnas::Cost;
use tox_rcnas::config::SpaceConfig;
use tox_rcnas::learner::TableConfig;
use tox_rcnas::space::Space;
use tox_rcnas::table::Table;
use tox_robust::threat::EvasionThreat;
use tox_study::record::Record;
use tox_study::spec::TrialSpec;

const HEAD: &str = "name = \"table\"\ntitle = \"All sub-networks\"\n[data]\ndataset = \"digits\"\n";
const TEACHER: &str = "d2,2,1-w2,1,2-b4";

fn spec(label: &str, dataset: &str, attacks: &[&str], seed: u64) -> TrialSpec {
    serde_json::from_value(json!({
        "version": 1,
        "cell": label,
        "data": {"dataset": dataset, "valid": 100, "augment": {"crop": 0, "flip": false}},
        "threat": {"inputs": part::<EvasionThreat>(json!({"kind": "evasion", "attack": "pgd20"}))},
        "learner": part::<TableConfig>(
            json!({"kind": "sub-networks", "teacher": TEACHER, "attacks": attacks}),
        ),
        "seed": seed,
    }))
    .unwrap()
}

fn specs() -> Vec<TrialSpec> {
    let all = ["digits", "mnist"].map(|data| [0, 1].map(|seed| spec(data, data, &["cw40"], seed)));
    all.concat()
}

fn space() -> Space {
    Space::new(&Shape::parse(TEACHER).unwrap(), &SpaceConfig::default())
}

/// More depth is better, a robust block helps; the second network of seed 1 diverged.
fn record(spec: &TrialSpec) -> Record {
    let mut outcome = TableOutcome {
        poison: None,
        cleansed: Vec::new(),
        attacks: vec!["pgd20".to_owned(), "cw40".to_owned()],
        rows: Vec::new(),
        failed: Vec::new(),
    };
    for (i, shape) in space().iter().enumerate() {
        let network = WrnConfig::new(shape, 1, 10);
        let cost = Cost {
            macs: network.macs(8, 8),
            parameters: network.parameters(),
        };
        if (i, spec.seed) == (1, 1) {
            outcome.failed.push(Failed {
                shape,
                cost: Some(cost),
                reason: "its training diverged".to_owned(),
            });
            continue;
        }
        let depth: usize = shape.stages.iter().map(|s| s.depth).sum();
        let blocks = shape.stages.iter().filter(|s| s.robust).count();
        let key = 1000 * spec.seed + 10 * i as u64 + spec.data.dataset.len() as u64;
        let robust = 30.0 + depth as f64 + blocks as f64 + noise(key);
        outcome.rows.push(Row {
            shape,
            cost,
            clean: 60.0 + 2.0 * depth as f64 + noise(key + 1),
            robust: vec![robust, robust - 2.0 + 0.5 * noise(key + 2)],
            lipschitz: 2.0 + noise(key + 3),
        });
    }
    seal(spec, tox_study::part::Part::new("sub-networks", &outcome))
}

fn folder(specs: &[TrialSpec], state: impl Fn(usize) -> u8) -> tempfile::TempDir {
    made_up::folder(HEAD, specs, record, state)
}

#[test]
fn searches_read_the_table_with_every_number() {
    let specs = specs();
    let dir = folder(&specs, |_| 0);
    let paths = made_up::report(dir.path());
    let table = Table::read(paths.wide.as_ref().unwrap()).unwrap();
    assert_eq!(table.attacks(), ["pgd20", "cw40"]);
    assert_eq!(table.data().collect::<Vec<_>>(), ["digits", "mnist"]);
    for data in ["digits", "mnist"] {
        table.complete(data, &space()).unwrap();
    }
    let [a, b] = [0, 1].map(|i| record(&specs[i]).outcome.read::<TableOutcome>().unwrap());
    // Of the network that diverged once, the other seed alone.
    let (first, second) = (&a.rows[0], &a.rows[1]);
    let found = table
        .robust("digits", "cw40", &first.shape)
        .unwrap()
        .unwrap();
    assert!((found - (first.robust[1] + b.rows[0].robust[1]) / 2.0).abs() < 1e-9);
    let found = table.robust("digits", "pgd20", &second.shape).unwrap();
    assert_eq!(found, Some(second.robust[0]));
    assert_eq!(table.cost("mnist", &first.shape).unwrap(), first.cost);
    let lines = read(paths.wide.as_ref().unwrap()).lines().count();
    assert_eq!(lines, 1 + 4 * a.rows.len());
}

#[test]
fn headline_and_findings_are_as_before() {
    let dir = folder(&specs(), |i| if i == 3 { 1 } else { 0 });
    insta::assert_snapshot!("headline", made_up::headline(dir.path()));
    let run = made_up::run(dir.path());
    let found = super::findings::findings(&run, &Gathered::new(&run));
    insta::assert_snapshot!("findings", found.join("\n"));
}

#[test]
fn page_is_well_formed_and_offline() {
    let dir = folder(&specs(), |_| 0);
    let (paths, _) = made_up::page(dir.path(), "tables figures effects agreement");
    roxmltree::Document::parse(&read(&paths.figures[0])).unwrap();
}

#[test]
fn nothing_done_is_a_header_of_what_is_planned() {
    let dir = folder(&specs(), |_| 2);
    let paths = made_up::report(dir.path());
    let csv = read(paths.wide.as_ref().unwrap());
    let header = "dataset,base,d1,d2,d3,w1,w2,w3,r1,r2,r3,seed,clean,pgd20,cw40,macs,parameters,\
                  lipschitz\n";
    assert_eq!(csv, header);
    let html = read(&paths.html);
    assert_balanced(&html);
    assert!(html.contains("Incomplete: 0 of 4 trials are done"));
}

#[test]
fn trainings_that_differ_between_cells_are_said() {
    let mut specs = specs();
    let mut other = spec("again", "digits", &["cw40", "fgsm"], 0);
    other.data.dataset = "digits".to_owned();
    specs.push(other.clone());
    let dir = folder(&specs, |_| 0);
    let run = made_up::run(dir.path());
    assert!(Gathered::new(&run).notes.is_empty());
    let path = dir.path().join("trials");
    let path = path
        .join(tox_study::plan::trial_id(&other))
        .join("record.json");
    let mut changed = Record::read(&path).unwrap();
    edit(&mut changed.outcome, |o: &mut TableOutcome| {
        o.rows[0].clean += 1.0
    });
    made_up::reseal(&path, changed);
    let run = made_up::run(dir.path());
    let notes = Gathered::new(&run).notes;
    assert!(notes[0].starts_with("Warning: 1 trainings"), "{notes:?}");
    // The table is written all the same.
    let paths = made_up::report(dir.path());
    Table::read(paths.wide.as_ref().unwrap()).unwrap();
}

#[test]
fn main_effects_and_the_front_are_what_was_put_in() {
    let dir = folder(&specs(), |_| 0);
    let run = made_up::run(dir.path());
    let all = Gathered::new(&run);
    let effects = super::effects::all(&all);
    let digits = &effects[0].levels;
    let of = |factor: &str| -> Vec<f64> {
        let own = digits.iter().filter(|l| l.factor == factor);
        own.map(|l| l.robust[0]).collect()
    };
    for factor in ["depth of stage 1", "robust block of stage 3"] {
        let [low, high] = of(factor)[..] else {
            panic!("{factor}: {:?}", of(factor));
        };
        assert!((high - low - 1.0).abs() < 0.3, "{factor}: {low} {high}");
    }
    let [one, two] = of("width of stage 1")[..] else {
        panic!("levels");
    };
    assert!((one - two).abs() < 0.3);
    // Stage 2 has one width, stage 3 one depth.
    assert!(of("width of stage 2").is_empty() && of("depth of stage 3").is_empty());
    let front = front(&all.data[0], 0);
    assert!(front.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 < w[1].1));
    for net in &all.data[0].nets {
        let beaten = front
            .iter()
            .any(|p| p.0 <= net.cost.macs && p.1 >= net.robust[0]);
        assert!(beaten, "{}", net.shape);
    }
}

#[test]
#[ignore = "writes where TOXSCREEN_REPORT_SAMPLE says"]
fn sample() {
    made_up::sample("subnets", HEAD, &specs(), record, |_| 0);
}
