//! Made-up records for tests: three tasks, two of them on a table, five methods, three seeds. The
//! numbers come from formulas, not from a search.

use crate::made_up::part;
use crate::made_up::{noise, seal_with};
use crate::rcnas::outcome::{CompressOutcome, Judged, Looked, Role};
use crate::report_facts::evasion;
use serde_json::{Value, json};
use tox_nn::nets::wrn::Shape;
use tox_rcnas::learner::CompressConfig;
use tox_rcnas::learner::task::attack;
use tox_rcnas::observe::Topology;
use tox_rcnas::outcome::{Outcome as Search, Teacher};
use tox_rcnas::{Cost, Measured, MetaSummary, Method, Task, TaskData};
use tox_robust::attack::Attack;
use tox_robust::ball::{Ball, Norm};
use tox_robust::evaluation::{Attacked, Evaluation, Kind, Part, Queries, Reliable, Warning};
use tox_robust::threat::EvasionThreat;
use tox_study::record::Record;
use tox_study::spec::{Threats, TrialSpec};

/// The head of a study for tests.
pub const HEAD: &str = "name = \"small\"\ntitle = \"RC-NAS against its controls\"\n\
description = \"Made up.\"\npaper = \"rcnas\"\n[data]\ndataset = \"digits\"\n";

/// A task: data set, attack, unseen parts, and whether candidates are looked up.
pub type Setting = (&'static str, Value, &'static [&'static str], bool);

/// The tasks.
pub fn settings() -> Vec<Setting> {
    let attack = |name: &str| json!({"kind": "evasion", "attack": name, "epsilon": "16/255"});
    vec![
        ("digits", attack("pgd20"), &["data", "attack"], true),
        ("digits", json!({"kind": "none"}), &["data"], true),
        ("cifar10", attack("autoattack"), &[], false),
    ]
}

/// A spec of a task.
pub fn spec((dataset, threat, unseen, table): &Setting, method: Method, seed: u64) -> TrialSpec {
    let mut learner = json!({
        "kind": "rc-nas",
        "teacher": "wrn-16-2-b4",
        "budget": {"share": 0.4},
        "unseen": unseen,
        "search": {"method": method.word(), "evaluations": 12},
    });
    if *table {
        learner["table"] = json!({"path": "table.csv", "hash": "ab"});
    } else {
        learner["judge"] = json!({"attacks": ["fgsm", "pgd20", "autoattack"], "images": 100});
    }
    let none = threat["kind"] == "none";
    let threats = Threats {
        inputs: (!none).then(|| part::<EvasionThreat>(threat.clone())),
        ..Threats::default()
    };
    serde_json::from_value(json!({
        "version": 1,
        "cell": format!("{dataset}-{}", threat["attack"].as_str().unwrap_or("clean")),
        "variant": method.word(),
        "data": {"dataset": dataset, "train": 1000, "valid": 500, "test": 200,
                 "augment": {"crop": 0, "flip": false}},
        "threat": threats,
        "learner": part::<CompressConfig>(learner),
        "seed": seed,
    }))
    .unwrap()
}

/// Some seeds of all methods on some tasks.
pub fn specs(settings: &[Setting], methods: &[Method], seeds: u64) -> Vec<TrialSpec> {
    let mut out = Vec::new();
    for setting in settings {
        for method in methods {
            out.extend((0..seeds).map(|seed| spec(setting, *method, seed)));
        }
    }
    out
}

/// How fast a method climbs, and where it ends.
fn climb(method: Method) -> (f64, f64) {
    match method {
        Method::RcNas => (1.0, 40.0),
        Method::FromScratch => (6.0, 40.0),
        Method::Random => (6.0, 38.0),
        Method::Uniform => (2.0, 39.0),
        Method::Evolution => (5.0, 39.5),
    }
}

fn shape(key: u64, strong: bool) -> Shape {
    let pick = |i: u64| 1 + usize::from(noise(key + i) > 0.5);
    let last = if strong { 1 } else { pick(2) };
    let robust = [noise(key + 4) > 0.7, false, strong || noise(key + 5) > 0.6];
    let mut shape = Shape::new([2, pick(1), last], [2, pick(3), last], robust);
    shape.base = 4;
    shape
}

/// What attacks found of a network: 30 % under the worst and something of the seed.
pub fn attacked(spec: &TrialSpec) -> Evaluation {
    judged(Role::Teacher, shape(0, true), 0.0, spec).evaluation
}

fn judged(role: Role, of: Shape, gain: f64, spec: &TrialSpec) -> Judged {
    let attacked = |name: &str, accuracy: f64| {
        let attack: Attack = name.parse().unwrap();
        let parts = match name {
            "autoattack" => ["apgd-ce", "apgd-dlr-t", "fab-t", "square"]
                .map(|part| Part {
                    attack: part.to_owned(),
                    fooled: 10.0,
                })
                .to_vec(),
            _ => Vec::new(),
        };
        Attacked {
            attack,
            accuracy,
            eight_bit: None,
            queries: Queries::default(),
            parts,
            robust: Vec::new(),
        }
    };
    let base = 30.0 + gain + noise(spec.seed);
    // One network deceives.
    let warnings: Vec<Warning> = match (role, spec.seed) {
        (Role::Found, 1) => vec![Warning {
            kind: Kind::SquareBeatsGradients,
            attack: Some("autoattack".to_owned()),
            reason: "Square lowers accuracy by 2.00 points <more>".to_owned(),
        }],
        _ => Vec::new(),
    };
    Judged {
        role,
        shape: of,
        cost: Cost {
            macs: if role == Role::Teacher {
                10_000_000
            } else {
                3_900_000
            },
            parameters: if role == Role::Teacher {
                44_000
            } else {
                17_500
            },
        },
        lipschitz: if role == Role::Teacher { 3.0 } else { 2.5 },
        epochs: Vec::new(),
        evaluation: Evaluation {
            images: 100,
            ball: Ball {
                norm: Norm::Linf,
                epsilon: 16.0 / 255.0,
            },
            clean: base + 40.0,
            majority: 10.0,
            worst_case: base,
            upper_bound: !warnings.is_empty(),
            attacks: vec![
                attacked("fgsm", base + 10.0),
                attacked("pgd20", base + 4.0),
                attacked("autoattack", base),
            ],
            own: None,
            notes: Vec::new(),
            reliable: match warnings.is_empty() {
                true => Reliable::Yes,
                false => Reliable::No,
            },
            warnings,
            untested: Vec::new(),
        },
    }
}

/// A plausible record for a spec.
pub fn record(spec: &TrialSpec) -> Record {
    let config: CompressConfig = spec.learner.read().unwrap();
    let method = config.search.method;
    let (slow, end) = climb(method);
    let key = 1000 * spec.seed + 17 * method as u64 + 3 * spec.data.dataset.len() as u64;
    let target = Task {
        data: TaskData {
            name: spec.data.dataset.clone(),
            classes: 10,
            channels: 1,
            side: 8,
            images: 1000,
        },
        attack: match &evasion(spec) {
            Some(threat) => attack(threat),
            None => serde_json::from_value(json!({"name": "none", "norm": "linf", "epsilon": 0.0,
                "steps": 1, "members": 1, "black_box": false}))
            .unwrap(),
        },
        teacher: config.teacher,
        budget: config.budget,
    };
    let strong = method == Method::RcNas && !spec.threat.is_none();
    let mut best: Option<f64> = None;
    let evaluations: Vec<_> = (1..=12usize)
        .map(|index| {
            // The second one of evolution diverges.
            let failed = method == Method::Evolution && index == 2;
            let robust = end - 20.0 * (-(index as f64) / slow).exp() + noise(key + index as u64);
            if !failed {
                best = Some(best.unwrap_or(0.0).max(robust));
            }
            tox_rcnas::Evaluation {
                index,
                step: 0,
                shape: shape(key + 100 * index as u64, strong),
                cost: Cost {
                    macs: 3_900_000,
                    parameters: 17_500,
                },
                measured: (!failed).then_some(Measured {
                    clean: robust + 30.0,
                    robust,
                    lipschitz: 2.5,
                }),
                failed: failed.then(|| "its training diverged".to_owned()),
                reward: 0.5,
                feasible: true,
                filled: false,
                best_robust: best,
                best_reward: best.map(|_| 0.5),
            }
        })
        .collect();
    let chosen = (0..12).max_by(|a: &usize, b| {
        let robust = |i: usize| evaluations[i].measured.map_or(0.0, |m| m.robust);
        robust(*a).total_cmp(&robust(*b))
    });
    let found = evaluations[chosen.unwrap()].shape;
    let table = config.table.is_some().then(|| Looked {
        hash: "ab".to_owned(),
        within: 180,
        best: 42.0,
        mean: 30.0,
        found: best.map(|b| b - 0.5),
        retest: None,
    });
    let judge = config.judge.is_some();
    let outcome = CompressOutcome {
        poison: None,
        cleansed: Vec::new(),
        search: Search {
            method,
            budget: 4_000_000,
            teacher: Teacher {
                cost: Cost {
                    macs: 10_000_000,
                    parameters: 44_000,
                },
                measured: Measured {
                    clean: 75.0,
                    robust: 41.0,
                    lipschitz: 3.0,
                },
            },
            meta: (method == Method::RcNas).then(|| MetaSummary {
                rounds: Vec::new(),
                evaluations: 900 + spec.seed as usize,
                repeats: 3000,
                failed: 2,
                unseen: serde_json::from_value(json!(config.unseen)).unwrap(),
            }),
            steps: Vec::new(),
            repeats: 3,
            skipped: 7,
            best: chosen,
            topology: Some(Topology::new(&found, &config.teacher)),
            target,
            evaluations,
        },
        table,
        judged: match judge {
            true => vec![
                judged(Role::Teacher, config.teacher, 0.0, spec),
                judged(Role::Found, found, 1.5 + 0.1 * noise(key), spec),
            ],
            false => Vec::new(),
        },
    };
    seal_with(spec, tox_study::part::Part::new("rc-nas", &outcome), |p| {
        p.data_notes.clear()
    })
}
