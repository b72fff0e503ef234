//! Made-up records for tests: three searches and the control, every attack, other data, three seeds.
//! The numbers come from formulas, not from a search.

use super::cells::budget;
use crate::made_up::part;
use crate::made_up::{noise, seal_with};
use crate::nas::outcome::NasOutcome;
use crate::nas::outcome::{Evaluation, OwnEvaluations, Place, Poison};
use crate::scene::{Aim, Aimed};
use serde_json::{Value, json};
use tox_poison::data::Check;
use tox_poison::data::gc::{Alignment, Cancelled};
use tox_poison::data::threat::{ClfThreat, GcThreat, NoiseThreat, RlfThreat};
use tox_search::count::Counts;
use tox_search::fixed::FixedTrace;
use tox_search::genes::Architecture;
use tox_search::nas::diagnostics::{Change, Diagnostics};
use tox_search::nas::{NasConfig, NasSpace, SEARCHES, Search, Trace};
use tox_search::nsganet::NsganetTrace;
use tox_search::pdarts::PdartsTrace;
use tox_search::pdarts::found::Epoch;
use tox_search::random::RandomTrace;
use tox_search::robot::RobotTrace;
use tox_search::space::cells::CellGenotype;
use tox_search::space::nasbench201::Cell;
use tox_search::table::{Baseline, Rank};
use tox_search::tenas::TenasTrace;
use tox_search::zero_cost::NAMES;
use tox_study::part::Part;
use tox_study::record::Record;
use tox_study::spec::{Threats, TrialSpec};

/// Rows that a search learns from.
const ROWS: usize = 1000;

/// A spec; the label says nothing of what it is.
pub fn spec(search: &'static dyn Search, threat: Value, dataset: &str, seed: u64) -> TrialSpec {
    let data = match threat["kind"].as_str().unwrap() {
        "none" => None,
        "rlf" => Some(part::<RlfThreat>(threat)),
        "clf" => Some(part::<ClfThreat>(threat)),
        "noise" => Some(part::<NoiseThreat>(threat)),
        "gc" => Some(part::<GcThreat>(threat)),
        _ => Some(serde_json::from_value(threat).unwrap()),
    };
    let label = format!(
        "{}{}",
        data.as_ref().map_or("none", |t| &t.kind),
        1000.0 * budget(data.as_ref()).unwrap_or(0.0)
    );
    let threat = Threats {
        data,
        ..Threats::default()
    };
    serde_json::from_value(json!({
        "version": 1,
        "cell": format!("cell-{label}"),
        "variant": search.kind(),
        "data": {"dataset": dataset, "train": 500, "valid": 500, "test": 200, "resize": 16,
                 "augment": {"crop": 2, "flip": true}},
        "threat": threat,
        "learner": Part::new("nas", &NasConfig::of(search, NasSpace::NasBench201)),
        "seed": seed,
    }))
    .unwrap()
}

/// A cell of NAS-Bench-201.
pub fn cell(index: usize) -> Architecture {
    Architecture::Cell(genotype(index))
}

/// The cell at a place of the table.
pub fn genotype(index: usize) -> CellGenotype {
    CellGenotype::NasBench201(Cell::from_index(index).unwrap())
}

/// What a search found of an accuracy.
pub fn evaluation(accuracy: f64) -> Evaluation {
    Evaluation {
        accuracy,
        robustness: None,
        majority: None,
        counts: Counts {
            params: 316_346,
            macs: 43_172_480,
        },
        table: Some(Place {
            column: "cifar10_test_200ep".into(),
            hash: "ab".into(),
            rank: Rank {
                rank: 1 + (100.0 * (95.0 - accuracy).max(0.0)) as usize,
                tied: 1,
                of: 15_625,
            },
            best: 94.37,
            random: Baseline {
                mean: 87.0,
                sd: 12.9,
            },
            draws: 1,
            random_search: Baseline {
                mean: 87.0,
                sd: 12.9,
            },
            connected: Some(Baseline {
                mean: 88.8,
                sd: 6.0,
            }),
            reachable: Some(Baseline {
                mean: 87.5,
                sd: 12.5,
            }),
            own: None,
        }),
        trained_on: None,
        training: None,
    }
}

fn check(threat: &str, budget: Option<f64>) -> Check {
    let points = (ROWS as f64 * budget.unwrap_or(0.1)) as usize;
    let labels = matches!(threat, "rlf" | "clf");
    let cancelled = (threat == "gc").then(|| Cancelled {
        ascent: 0.5,
        aim: Vec::new(),
        clean_loss: 1.5,
        clean_gradient: 0.25,
        curve: (0..8)
            .map(|i| Alignment {
                loss: 0.04 / (1.0 + f64::from(i)),
                cosine: 0.5 - 0.15 * f64::from(i),
            })
            .collect(),
        snapshot: 7,
        after: Alignment {
            loss: 0.004,
            cosine: -0.625,
        },
    });
    Check {
        rows: ROWS,
        points,
        flipped: if labels { points } else { 0 },
        moved: if labels { 0 } else { points },
        linf: if labels { 0.0 } else { 16.0 },
        at_bound: (!labels).then_some(0.4),
        unreliable: None,
        cancelled,
    }
}

/// Of P-DARTS the victim's cell with seed 0, and others with others.
fn aim(search: &'static dyn Search, seed: usize) -> Aim {
    match search.kind() {
        "p-darts" => Aim::Architecture(Box::new(Aimed {
            genotype: cell(3 + seed),
            accuracy: Some(93.0 - seed as f64),
            victim_accuracy: Some(93.0),
        })),
        _ => Aim::CannotTell("no architecture parameters".into()),
    }
}

fn diagnostics(search: &'static dyn Search, labels: bool, key: u64) -> Diagnostics {
    let change = |name: &str, percent: f64| Change {
        name: name.into(),
        clean: Some(200.0),
        poisoned: Some(200.0 + 2.0 * percent),
    };
    let some = |i: u64| 10.0 * noise(key + i) - 4.0;
    let mut out = Diagnostics::default();
    match search.kind() {
        "p-darts" => out.alpha_cosine = Some(0.8 - 0.1 * noise(key)),
        "robot" => {
            let names = NAMES.iter().zip(0..);
            out.changes = names.map(|(name, i)| change(name, some(i))).collect();
        }
        "te-nas" => {
            let moved = if labels { 0.0 } else { 1.0 };
            out.changes = vec![
                change("condition number", moved * some(7)),
                change("linear regions", moved * some(8)),
            ];
        }
        _ => {}
    }
    out
}

fn trace(search: &'static dyn Search, key: u64) -> Trace {
    match search.kind() {
        "p-darts" => Trace::of(
            search,
            &PdartsTrace {
                epochs: (0..9)
                    .map(|i| Epoch {
                        stage: i / 3,
                        epoch: i % 3,
                        lr: 0.025,
                        skip_dropout: 0.1,
                        loss: Some(2.0),
                        error: 70.0,
                        alpha_loss: (i % 3 > 0).then_some(2.1),
                        alpha_error: (i % 3 > 0).then(|| 80.0 - i as f64 - noise(key + i as u64)),
                        entropy: Some(1.6),
                        nonfinite_steps: 0,
                    })
                    .collect(),
                stages: Vec::new(),
            },
        ),
        "te-nas" => Trace::of(
            search,
            &TenasTrace {
                rounds: Vec::new(),
                ties: 0,
            },
        ),
        "robot" => Trace::of(
            search,
            &RobotTrace {
                pool: 20,
                queries: Vec::new(),
                evaluated: (0..25)
                    .map(|i| (genotype(i), 50.0 + i as f64 / 8.0))
                    .collect(),
            },
        ),
        "nsganetv2" => Trace::of(
            search,
            &NsganetTrace {
                archive: Vec::new(),
                rounds: Vec::new(),
                epochs: Vec::new(),
                nonfinite_steps: 0,
            },
        ),
        "fixed" => Trace::of(search, &FixedTrace {}),
        _ => Trace::of(
            search,
            &RandomTrace {
                evaluated: Vec::new(),
            },
        ),
    }
}

/// A plausible record for a spec.
pub fn record(spec: &TrialSpec) -> Record {
    let Ok(config) = spec.learner.read::<NasConfig>() else {
        panic!("not a search");
    };
    let search = config.search.0;
    let share = budget(spec.threat.data.as_ref()).unwrap_or(0.0);
    let (place, clean, loss) = match search.kind() {
        "p-darts" => (0, 93.4, 1.2),
        "te-nas" => (1, 93.0, 0.3),
        "robot" => (2, 92.5, 0.5),
        "nsganetv2" => (3, 93.1, 1.0),
        _ => (4, 88.0, 0.0),
    };
    let threat = spec.threat.data.as_ref().map_or("none", |t| &t.kind);
    let labels = matches!(threat, "rlf" | "clf");
    let blind = !search.facts().searches() || search.kind() == "te-nas" && labels;
    let elsewhere = if spec.data.dataset == "mnist" && !blind {
        1.5
    } else {
        0.0
    };
    let kind = threat.len() as u64;
    let key = 100 * spec.seed + 7919 * place;
    let own = match blind || share == 0.0 {
        true => key,
        false => key + 17 * kind + (1000.0 * share) as u64,
    };
    let harm = if blind { 0.0 } else { loss * share.sqrt() };
    let accuracy = clean - harm - elsewhere + 0.3 * noise(key) - 0.1 * noise(own);
    let mut evaluation = evaluation(accuracy);
    if let ("robot", Some(place)) = (search.kind(), &mut evaluation.table) {
        place.draws = 25;
        place.random_search.mean = 92.9;
        place.own = Some(OwnEvaluations {
            evaluated: 25,
            tau: Some(0.1),
            random_search: None,
        });
    }
    let poisoned = threat != "none";
    let outcome = NasOutcome {
        genotype: cell((own % 15_625) as usize),
        trace: trace(search, if blind { key } else { own }),
        evaluation: Some(evaluation),
        poison: poisoned.then(|| Poison {
            check: check(threat, budget(spec.threat.data.as_ref())),
            classifier_accuracy: (threat == "clf").then_some(0.87),
            transferred: None,
            victim: (threat == "gc").then(|| cell(3)),
            aim: (threat == "gc").then(|| aim(search, spec.seed as usize)),
        }),
        diagnostics: poisoned.then(|| diagnostics(search, labels, own)),
        cleansed: Vec::new(),
        parts: Vec::new(),
        attacked: None,
        bad_edges: None,
        screened: Vec::new(),
    };
    seal_with(spec, Part::new("nas", &outcome), |p| p.data_notes.clear())
}

/// The threats of the study.
pub fn threats() -> Vec<Value> {
    vec![
        json!({"kind": "none"}),
        json!({"kind": "rlf", "budget": 0.1}),
        json!({"kind": "rlf", "budget": 0.5}),
        json!({"kind": "clf", "budget": 0.5}),
        json!({"kind": "noise", "budget": 0.5}),
        json!({"kind": "gc", "budget": 0.1}),
        json!({"kind": "gc", "budget": 0.5}),
    ]
}

/// Three seeds of a cell.
pub fn seeds(search: &'static dyn Search, threat: &Value, dataset: &str) -> Vec<TrialSpec> {
    let seeds = 0..3;
    seeds
        .map(|seed| spec(search, threat.clone(), dataset, seed))
        .collect()
}

/// All cells of searches and of the control, three seeds each.
pub fn specs() -> Vec<TrialSpec> {
    let mut out = Vec::new();
    for &search in SEARCHES.iter().filter(|search| !search.facts().given) {
        for threat in threats() {
            if !search.facts().control || threat["kind"] != "gc" {
                out.extend(seeds(search, &threat, "cifar10"));
            }
        }
        if !search.facts().control {
            out.extend(seeds(search, &threats()[0], "mnist"));
        }
    }
    out
}

/// The head of a study for tests.
pub const HEAD: &str = "name = \"grid\"\ntitle = \"Searches on poisoned data\"\n\
description = \"All searches at a reduced size.\"\npaper = \"nas\"\n[data]\ndataset = \"cifar10\"\n";
