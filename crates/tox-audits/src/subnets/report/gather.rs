//! The networks of all trials, taken together: data set by data set, mean over seeds; and the table
//! that searches look them up in.

use crate::report_facts::evasion;
use crate::subnets::outcome::TableOutcome;
use std::collections::BTreeMap;
use tox_nn::nets::wrn::{Block, Shape};
use tox_rcnas::Cost;
use tox_rcnas::learner::{TableConfig, task};
use tox_rcnas::table::{Row, Scores, Table};
use tox_report::ReportError;
use tox_report::run::Run;
use tox_study::spec::TrialSpec;

/// A network on a data set: means over the trainings that did not diverge.
pub struct Net {
    /// Its shape.
    pub shape: Shape,
    /// What it costs.
    pub cost: Cost,
    /// Accuracy on images as they are, percent.
    pub clean: f64,
    /// Accuracy under each attack, percent.
    pub robust: Vec<f64>,
    /// The same of each training: seed and accuracies.
    pub seeds: Vec<(u64, Vec<f64>)>,
}

/// The networks on a data set.
pub struct Data {
    /// Its name.
    pub name: String,
    /// Those that were measured, by their shapes.
    pub nets: Vec<Net>,
    /// Trainings that diverged.
    pub diverged: usize,
}

/// All of them.
pub struct Gathered {
    /// Names of the attacks that every row has.
    pub attacks: Vec<String>,
    /// By data set, as planned.
    pub data: Vec<Data>,
    /// Rows of the table.
    rows: Vec<Row>,
    /// What had to be left out, in sentences.
    pub notes: Vec<String>,
}

/// A training, put together from all trials that made it.
struct Training {
    cost: Option<Cost>,
    scores: Option<Known>,
}

#[derive(Clone, PartialEq)]
struct Known {
    clean: f64,
    lipschitz: f64,
    robust: Vec<(String, f64)>,
}

/// Data set, seed and shape.
type Key = (usize, u64, Shape);

fn add(to: &mut BTreeMap<Key, Training>, key: Key, found: Training) -> bool {
    let Some(known) = to.get_mut(&key) else {
        to.insert(key, found);
        return true;
    };
    match (&mut known.scores, found.scores) {
        (None, None) => {
            known.cost = known.cost.or(found.cost);
            true
        }
        (Some(a), Some(b)) if (a.clean, a.lipschitz) == (b.clean, b.lipschitz) => {
            let mut agree = known.cost == found.cost;
            for (name, accuracy) in b.robust {
                match a.robust.iter().find(|r| r.0 == name) {
                    Some(had) => agree &= had.1 == accuracy,
                    None => a.robust.push((name, accuracy)),
                }
            }
            agree
        }
        _ => false,
    }
}

/// The attacks that a trial plans, by the names of its outcome.
fn planned(spec: &TrialSpec, config: &TableConfig) -> Vec<String> {
    let Some(threat) = evasion(spec) else {
        return Vec::new();
    };
    let others = tox_rcnas::learner::attacks("attacks", &config.attacks).unwrap_or_default();
    let all = [threat.attack.clone()].into_iter().chain(others);
    all.map(|attack| {
        let mut one = threat.clone();
        one.attack = attack;
        task::attack(&one).name
    })
    .collect()
}

impl Gathered {
    /// From a run.
    pub fn new(run: &Run) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut trainings: BTreeMap<Key, Training> = BTreeMap::new();
        let mut conflicts = 0;
        for trial in run.trials.iter().filter(|t| !t.foreign) {
            let name = &trial.spec.data.dataset;
            let at = names.iter().position(|n| n == name).unwrap_or_else(|| {
                names.push(name.clone());
                names.len() - 1
            });
            let Some(outcome) = trial.outcome() else {
                continue;
            };
            for (shape, found) in trainings_of(outcome) {
                let agree = add(&mut trainings, (at, trial.spec.seed, shape), found);
                conflicts += usize::from(!agree);
            }
        }
        let attacks = attacks(run, &trainings);
        let mut notes = Vec::new();
        let mut note = |n: usize, what: &str| {
            if n > 0 {
                notes.push(format!("Warning: {n} {what}."));
            }
        };
        note(
            conflicts,
            "trainings of the same network, data set and seed differ between cells; the table has the \
             first of each. Put cells that train in different ways into studies of their own",
        );
        let before = trainings.len();
        trainings.retain(|key, _| key.2.block == Block::Basic);
        note(
            before - trainings.len(),
            "trainings are of networks of robust blocks only, which a table cannot hold",
        );
        let costs: BTreeMap<(usize, Shape), Cost> = trainings
            .iter()
            .filter_map(|(key, t)| Some(((key.0, key.2), t.cost?)))
            .collect();
        let mut rows = Vec::new();
        let mut lost = 0;
        for ((at, seed, shape), training) in &trainings {
            let Some(cost) = costs.get(&(*at, *shape)) else {
                lost += 1;
                continue;
            };
            rows.push(Row {
                data: names[*at].clone(),
                shape: *shape,
                seed: *seed,
                cost: *cost,
                scores: training.scores.as_ref().map(|k| scores(k, &attacks)),
            });
        }
        note(
            lost,
            "trainings that diverged are left out of the table, since their records lack the cost",
        );
        let data = names.into_iter().map(|name| of_data(name, &rows)).collect();
        Self {
            attacks,
            data,
            rows,
            notes,
        }
    }
}

fn trainings_of(outcome: &TableOutcome) -> Vec<(Shape, Training)> {
    let measured = outcome.rows.iter().map(|row| {
        let robust = outcome.attacks.iter().cloned();
        let scores = Known {
            clean: row.clean,
            lipschitz: row.lipschitz,
            robust: robust.zip(row.robust.iter().copied()).collect(),
        };
        let training = Training {
            cost: Some(row.cost),
            scores: Some(scores),
        };
        (row.shape, training)
    });
    let failed = outcome.failed.iter().map(|f| {
        let training = Training {
            cost: f.cost,
            scores: None,
        };
        (f.shape, training)
    });
    measured.chain(failed).collect()
}

/// Those that every training has that was measured; without one, those of the first trial's plan.
fn attacks(run: &Run, trainings: &BTreeMap<Key, Training>) -> Vec<String> {
    let mut measured = trainings.values().filter_map(|t| t.scores.as_ref());
    let Some(first) = measured.next() else {
        let first = run.trials.first();
        let first = first.and_then(|t| Some((&t.spec, t.config()?)));
        return first.map_or_else(Vec::new, |(spec, config)| planned(spec, config));
    };
    let mut names: Vec<String> = first.robust.iter().map(|r| r.0.clone()).collect();
    for known in measured {
        names.retain(|name| known.robust.iter().any(|r| r.0 == *name));
    }
    names
}

fn scores(known: &Known, attacks: &[String]) -> Scores {
    let of = |name: &String| known.robust.iter().find(|r| r.0 == *name).map(|r| r.1);
    Scores {
        clean: known.clean,
        robust: attacks.iter().filter_map(of).collect(),
        lipschitz: known.lipschitz,
    }
}

fn of_data(name: String, rows: &[Row]) -> Data {
    let own = || rows.iter().filter(|r| r.data == name);
    type Trainings<'a> = (Cost, Vec<(u64, &'a Scores)>);
    let mut shapes: BTreeMap<Shape, Trainings<'_>> = BTreeMap::new();
    for row in own() {
        if let Some(scores) = &row.scores {
            let entry = shapes.entry(row.shape).or_insert((row.cost, Vec::new()));
            entry.1.push((row.seed, scores));
        }
    }
    let diverged = own().filter(|r| r.scores.is_none()).count();
    let nets = shapes.into_iter().map(|(shape, (cost, all))| {
        let mean = |of: &dyn Fn(&Scores) -> f64| {
            all.iter().map(|s| of(s.1)).sum::<f64>() / all.len() as f64
        };
        let attacks = all[0].1.robust.len();
        Net {
            shape,
            cost,
            clean: mean(&|s| s.clean),
            robust: (0..attacks).map(|i| mean(&|s| s.robust[i])).collect(),
            seeds: all.iter().map(|s| (s.0, s.1.robust.clone())).collect(),
        }
    });
    let nets = nets.collect();
    Data {
        name,
        nets,
        diverged,
    }
}

/// The table that the learner `rc-nas` reads, of all trials that are done.
///
/// # Errors
/// A data set whose name the table cannot hold.
pub fn csv(run: &Run) -> Result<String, ReportError> {
    let all = Gathered::new(run);
    Table::text(&all.attacks, &all.rows).map_err(|e| ReportError::Wide(e.to_string()))
}
